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

// note journals progress lines until ctx ends. A line that cannot be written is
// given up: it changes nothing.
func (d *drive) note(ctx context.Context, notes <-chan string) {
	n := d.st.N
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-notes:
			n = d.noteOne(ctx, n, line)
		}
		if !wait(ctx, noteInterval) {
			return
		}
	}
}

// noteOne appends after whatever stands there now, and returns the newest N it knows.
func (d *drive) noteOne(ctx context.Context, n uint64, line string) uint64 {
	for ctx.Err() == nil {
		err := d.engine.Journal.Append(d.id, n, deploy.Event{Kind: deploy.KindNoted, Text: line, At: time.Now()})
		if err == nil {
			return n + 1
		}
		if deploy.CodeOf(err) != deploy.CodeConflict {
			d.engine.Log.Warn("progress not noted", "deploy", d.id, "err", err)
			return n
		}
		events, err := d.engine.Journal.Events(ctx, d.id, n)
		if err != nil {
			return n
		}
		n += uint64(len(events))
	}
	return n
}
