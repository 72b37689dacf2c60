package bot

import (
	"context"
	"errors"

	"ipublish/deploy"
)

// follower is the notifier on its way through the journal. It remembers durably
// how far it came with every letter, but where nobody is told of anything only
// once in a while: each commit of its own would be one beside each of the work's.
type follower struct {
	*Notifier
	wake  chan<- struct{}
	known bool   // at and saved are
	at    uint64 // Seq of the last event that was looked at
	saved uint64 // what the outbox remembers
}

// once turns the next events into letters.
func (f *follower) once(ctx context.Context) error {
	if err := f.begin(); err != nil {
		return err
	}
	events, err := f.next(ctx)
	if len(events) == 0 {
		return err
	}
	if err != nil {
		f.Log.Error("records were skipped", "after", f.at, "err", err)
	}
	var letters []deploy.Letter
	if f.tells() {
		if letters, err = f.letters(events); err != nil {
			return err
		}
	}
	before := f.at
	f.at = events[len(events)-1].Seq
	if len(letters) == 0 && f.at-f.saved < longestLag {
		return nil
	}
	if err := f.save(letters); err != nil {
		f.at = before
		return err
	}
	nudge(f.wake)
	return nil
}

// begin reads where the last run left off.
func (f *follower) begin() error {
	if f.known {
		return nil
	}
	seq, err := f.Tail.Cursor(reader)
	if err != nil {
		return err
	}
	f.known, f.at, f.saved = true, seq, seq
	return nil
}

// tells is false where there is no chat: no event wants a letter then.
func (f *follower) tells() bool { return len(f.Chats) > 0 }

// next waits for events, of which one is enough where none is told of. When none
// comes for a while it saves where it is.
func (f *follower) next(ctx context.Context) ([]deploy.Event, error) {
	limit := tailBatch
	if !f.tells() {
		f.at, limit = max(f.at, f.Tail.LastSeq()), 1
	}
	if f.at == f.saved {
		return f.Tail.Tail(ctx, f.at, limit)
	}
	short, cancel := context.WithTimeout(ctx, stillness)
	defer cancel()
	events, err := f.Tail.Tail(short, f.at, limit)
	if len(events) == 0 && ctx.Err() == nil && errors.Is(short.Err(), context.DeadlineExceeded) {
		return nil, f.save(nil)
	}
	return events, err
}

// save moves the cursor, with the letters in the same transaction.
func (f *follower) save(letters []deploy.Letter) error {
	if f.at == f.saved {
		return nil
	}
	if err := f.Outbox.Enqueue(reader, f.at, letters); err != nil {
		return err
	}
	f.saved = f.at
	return nil
}
