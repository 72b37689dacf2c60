package store

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// Append makes ev the event afterN+1 of the deploy and folds it into its
// environment; durable when it returns. The Store sets Seq, N, Deploy, Target, V
// and, if it is zero, At. A queued deploy that gets its end leaves the queue; an
// active one gives its environment free.
//
// deploy.CodeConflict: the deploy moved on or has ended, fold again.
// deploy.CodeNotFound: there is no such deploy. deploy.CodeRefused: the event is
// not legal there; nothing was recorded. deploy.CodeInvalid: requests and claims
// are recorded by Submit and Claim only.
func (s *Store) Append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	if ev.Kind == deploy.KindRequested || ev.Kind == deploy.KindClaimed {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "append", Subject: id.String(), Message: fmt.Sprintf("an event %q cannot be appended", ev.Kind)}
	}
	return s.write(context.Background(), "append", func(b *batch) error { return b.append(id, afterN, ev) })
}

func (b *batch) append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	h := b.held(id)
	switch {
	case h == nil && b.tx.Bucket([]byte(bucketDeploys)).Get(deployKey(id)) == nil:
		return notFound("append", id)
	case h == nil:
		return conflict(id, "it has ended")
	case h.err != nil:
		return h.err
	case h.state.N != afterN:
		return conflict(id, fmt.Sprintf("it is at event %d, not %d", h.state.N, afterN))
	}
	ev.Deploy, ev.Target = id, h.state.Target
	after, err := b.record(h, ev)
	if err != nil || !after.state.Ended() {
		return err
	}
	return b.leave(after, h.place())
}

func conflict(id deploy.ID, why string) error {
	return &deploy.Error{Code: deploy.CodeConflict, Op: "append", Subject: id.String(), Message: "the deploy moved on: " + why}
}

// Events returns the events of a deploy with N > afterN, in order. It blocks
// while there is none and ctx lives, also after the deploy's end.
//
// deploy.CodeNotFound: there is no such deploy. deploy.CodeDamaged: a record is
// missing or unreadable; the events before it are returned besides.
func (s *Store) Events(ctx context.Context, id deploy.ID, afterN uint64) ([]deploy.Event, error) {
	for {
		changed := s.changes()
		if s.mayHave(id, afterN) {
			events, err := s.eventsAfter(id, afterN)
			if len(events) > 0 || err != nil {
				return events, err
			}
		}
		if err := s.wait(ctx, "read", changed); err != nil {
			return nil, err
		}
	}
}

// mayHave is false when the picture tells that the deploy has nothing newer.
func (s *Store) mayHave(id deploy.ID, afterN uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.picture.open[id]
	return h == nil || h.err != nil || h.state.N > afterN
}

func (s *Store) eventsAfter(id deploy.ID, afterN uint64) (events []deploy.Event, err error) {
	err = s.read("read", id.String(), func(tx *bolt.Tx) (err error) {
		if events, err = readEvents(tx, id, afterN); err != nil {
			return err
		}
		recorded, err := readSummary(tx, id)
		n := afterN + uint64(len(events))
		if n == 0 || err == nil && recorded.N > n {
			return complete(tx, id, n)
		}
		return nil
	})
	return events, err
}

// Tail returns at most limit events of all deploys with Seq > afterSeq, in order.
// It blocks while there is none that can be read and ctx lives.
//
// deploy.CodeDamaged tells of records that are missing or cannot be read and were
// skipped; the events are right nevertheless, and the next Tail goes on after the
// last of them.
func (s *Store) Tail(ctx context.Context, afterSeq uint64, limit int) ([]deploy.Event, error) {
	if limit < 1 {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "tail", Message: "the limit must be at least 1"}
	}
	for {
		changed := s.changes()
		if last := s.LastSeq(); last > afterSeq {
			events, err := s.tailAfter(afterSeq, last, limit)
			if len(events) > 0 || err != nil && deploy.CodeOf(err) != deploy.CodeDamaged {
				return events, err
			}
		}
		if err := s.wait(ctx, "tail", changed); err != nil {
			return nil, err
		}
	}
}

func (s *Store) tailAfter(afterSeq, last uint64, limit int) ([]deploy.Event, error) {
	r := tailReader{next: afterSeq + 1}
	err := s.read("tail", "", func(tx *bolt.Tx) error {
		if err := getMeta(tx, metaGaps, &r.gaps); err != nil {
			r.skipped = append(r.skipped, err)
		}
		cur := tx.Bucket([]byte(bucketJournal)).Cursor()
		for k, v := cur.Seek(numberKey(r.next)); k != nil && len(r.events) < limit; k, v = cur.Next() {
			r.read(leading(k), v)
		}
		if len(r.events) < limit {
			r.expect(last + 1)
		}
		return nil
	})
	return r.events, errors.Join(err, errors.Join(r.skipped...))
}

// tailReader collects events in order of Seq and notices what is missing.
type tailReader struct {
	gaps    []gap
	next    uint64 // Seq that is due
	events  []deploy.Event
	skipped []error
}

func (r *tailReader) read(seq uint64, record []byte) {
	ev, err := unsealEvent(seq, record)
	if err != nil {
		r.skipped = append(r.skipped, err)
		return
	}
	r.expect(seq)
	r.events = append(r.events, ev)
	r.next = seq + 1
}

// expect complains when records before seq are missing that were once given.
func (r *tailReader) expect(seq uint64) {
	due := r.next
	for _, g := range r.gaps {
		if g.After < due && due <= g.To {
			due = g.To + 1
		}
	}
	if due < seq && len(r.skipped) == 0 {
		r.skipped = append(r.skipped, damaged("tail", name(bucketJournal, numberKey(due)), "the record is missing", nil))
	}
}

// LastSeq returns the Seq of the newest event; 0 before the first one.
func (s *Store) LastSeq() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.picture.Seq
}

// read runs a read-only transaction; do must neither block nor wait.
func (s *Store) read(op, subject string, do func(tx *bolt.Tx) error) error {
	select {
	case <-s.quit:
		return closed(op)
	default:
		return s.db.read(op, subject, do)
	}
}
