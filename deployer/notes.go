package deployer

import (
	"context"
	"time"

	"ipublish/deploy"
)

// noteInterval is the shortest time between two progress lines in the journal.
const noteInterval = 2 * time.Second

// tell offers a progress line; only the newest one is kept, and it never blocks.
func (x *effects) tell(line string) {
	for {
		select {
		case x.notes <- line:
			return
		default:
		}
		select {
		case <-x.notes:
		default:
		}
	}
}

// note journals progress lines, and what the lookout saw, until ctx ends. A line
// that cannot be written is given up: it changes nothing.
func (d *drive) note(ctx context.Context, notes <-chan string) {
	n := d.st.N
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			n = d.flush(ctx, n)
			continue
		case line := <-notes:
			n, _ = d.appendBeside(ctx, n, deploy.Event{Kind: deploy.KindNoted, Text: line})
		}
		if !wait(ctx, noteInterval) {
			return
		}
	}
}

// appendBeside appends after whatever stands there now, and returns the newest N
// it knows and whether it was written.
func (d *drive) appendBeside(ctx context.Context, n uint64, ev deploy.Event) (uint64, bool) {
	for ctx.Err() == nil {
		ev.At = time.Now()
		err := d.engine.Journal.Append(d.id, n, ev)
		if err == nil {
			return n + 1, true
		}
		if deploy.CodeOf(err) != deploy.CodeConflict {
			d.engine.Log.Warn("not noted", "deploy", d.id, "kind", ev.Kind, "err", err)
			return n, false
		}
		events, err := d.engine.Journal.Events(ctx, d.id, n)
		if err != nil {
			return n, false
		}
		n += uint64(len(events))
	}
	return n, false
}
