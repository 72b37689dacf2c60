package deployer

import (
	"context"
	"time"

	"ipublish/deploy"
)

// flushEvery is how often what the lookout saw is journaled during a long step.
const flushEvery = 15*time.Second + 3*oddment

// attend has somebody look out, in the part of the deploy that the step belongs to.
func (d *drive) attend(ctx context.Context, x *effects, step deploy.Step) {
	when := d.when(step)
	if d.lookout == nil {
		before := d.st.Watched.Probes[deploy.Before].Plus(d.st.Watched.Probes[deploy.During])
		d.look(x.lookOut(ctx, when, before))
		if d.moved() {
			d.lookout.mark()
		}
	}
	d.lookout.enter(when)
}

// look replaces who looks out; nil: nobody does.
func (d *drive) look(l *lookout) {
	if d.lookout != nil {
		d.lookout.end()
	}
	d.lookout = l
}

// when is the part of the deploy that a step belongs to: what happens on the
// bot alone is before it, and after it what follows the switch, there or back.
func (d *drive) when(step deploy.Step) deploy.When {
	plan, _, undoing := d.st.Current()
	switch {
	case !undoing && d.st.Committed(), undoing && d.routedBack(plan):
		return deploy.After
	case undoing:
		return deploy.During
	case step.Op == deploy.OpFront, step.Op == deploy.OpFetch, step.Op == deploy.OpBuild:
		return deploy.Before
	}
	return deploy.During
}

// routedBack reports whether the way back has no switch before it any more.
func (d *drive) routedBack(undo *deploy.Plan) bool {
	for _, s := range undo.Steps[min(d.st.Next, len(undo.Steps)):] {
		if s.Op == deploy.OpRoute || s.Op == deploy.OpIn {
			return false
		}
	}
	return true
}

// moved reports whether the new release has traffic by the journal.
func (d *drive) moved() bool {
	for i, s := range d.st.Plan.Steps[:min(d.st.Next, len(d.st.Plan.Steps))] {
		if (s.Op == deploy.OpRoute || s.Op == deploy.OpIn) && d.st.Outcomes.At(i).Done {
			return true
		}
	}
	return false
}

// seen gives what was seen since the last record; unseen gives it back where it
// was not journaled.
func (d *drive) seen() []deploy.Window {
	if d.lookout == nil {
		return nil
	}
	return d.lookout.take()
}

func (d *drive) unseen(windows []deploy.Window) {
	if d.lookout != nil {
		d.lookout.back(windows)
	}
}

// rest ends the watch while a person is waited for, and journals what it saw.
func (d *drive) rest(ctx context.Context) error {
	windows := d.lookout.take()
	d.look(nil)
	if len(windows) == 0 {
		return nil
	}
	windows[len(windows)-1].Rest = true
	if _, ok := d.appendBeside(ctx, d.st.N, deploy.Event{Kind: deploy.KindWatched, Evidence: &deploy.Evidence{Watch: windows}}); !ok {
		return ctx.Err()
	}
	return d.catchUp(ctx)
}

// flush journals what was seen for long, beside the step under way.
func (d *drive) flush(ctx context.Context, n uint64) uint64 {
	windows := d.lookout.takeWhole()
	if len(windows) == 0 {
		return n
	}
	n, ok := d.appendBeside(ctx, n, deploy.Event{Kind: deploy.KindWatched, Evidence: &deploy.Evidence{Watch: windows}})
	if !ok {
		d.lookout.back(windows)
	}
	return n
}
