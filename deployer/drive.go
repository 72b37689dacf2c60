package deployer

import (
	"context"
	"time"

	"ipublish/deploy"
)

// drive takes one claimed deploy from where its journal stands to its end.
func (e *Engine) drive(ctx context.Context, id deploy.ID) error {
	d := &drive{engine: e, id: id}
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	defer e.ended()
	defer d.look(nil)
	for {
		dec := deploy.Decide(d.st)
		if dec.Act == deploy.ActExit {
			return nil
		}
		err := d.act(ctx, dec)
		if deploy.CodeOf(err) == deploy.CodeConflict {
			continue // somebody appended; the state was folded again
		}
		if err != nil {
			return err
		}
	}
}

// drive is one deploy under way: the fold of its journal and nothing else.
type drive struct {
	engine *Engine
	id     deploy.ID
	st     deploy.State

	hidden  []string // values of env_file, masked in all that is journaled
	learned bool     // they were read on every host

	lookout *lookout // nil until the first step, and while a person is waited for
}

func (d *drive) act(ctx context.Context, dec deploy.Decision) error {
	switch dec.Act {
	case deploy.ActWait:
		if d.lookout != nil {
			return d.rest(ctx) // and decide anew: somebody may have appended
		}
		return d.catchUp(ctx)
	case deploy.ActPlan:
		return d.plan(ctx)
	case deploy.ActRun:
		return d.run(ctx)
	case deploy.ActUndo:
		undo := deploy.Undo(d.st)
		return d.append(ctx, deploy.Event{Kind: deploy.KindRevert, Plan: &undo, Ending: dec.Ending, Err: dec.Err})
	case deploy.ActSkip:
		return d.skip(ctx, dec.Err)
	case deploy.ActHold:
		return d.append(ctx, deploy.Event{Kind: deploy.KindStuck, Err: dec.Err})
	case deploy.ActEnd:
		return d.end(ctx, dec.Ending, dec.Err)
	case deploy.ActAbandon:
		return d.abandon(ctx)
	}
	return &deploy.Error{Code: deploy.CodeInternal, Op: "drive", Subject: d.id.String(), Message: "no way to " + string(dec.Act)}
}

// skip journals that the deploy goes on without the hosts that failed.
func (d *drive) skip(ctx context.Context, cause *deploy.Error) error {
	_, outcomes, _ := d.st.Current()
	failures := outcomes.At(d.st.Next).After.Failures
	ev := deploy.Event{Kind: deploy.KindSkipped, Step: d.st.Next, Err: cause, Evidence: &deploy.Evidence{Failures: failures}}
	for _, f := range failures {
		ev.Hosts = append(ev.Hosts, f.Host)
	}
	return d.append(ctx, ev)
}

// catchUp folds what the journal has beyond the state; it blocks while there is nothing.
func (d *drive) catchUp(ctx context.Context) error {
	events, err := d.engine.Journal.Events(ctx, d.id, d.st.N)
	if err != nil {
		return err
	}
	for _, ev := range events {
		d.st = d.st.Apply(ev)
	}
	return nil
}

// append journals one event and folds it. On a conflict the state is caught up
// and CodeConflict returned: decide again.
func (d *drive) append(ctx context.Context, ev deploy.Event) error {
	ev.Deploy, ev.Target, ev.N, ev.V, ev.At = d.id, d.st.Target, d.st.N+1, deploy.EventVersion, time.Now()
	err := d.engine.Journal.Append(d.id, d.st.N, ev)
	switch {
	case err == nil:
		d.st = d.st.Apply(ev)
	case deploy.CodeOf(err) == deploy.CodeConflict:
		if cerr := d.catchUp(ctx); cerr != nil {
			return cerr
		}
	}
	return err
}

// end appends the one ending, with what is serving now.
func (d *drive) end(ctx context.Context, ending deploy.Ending, cause *deploy.Error) error {
	live, err := d.engine.Ledger.Live(d.st.Target)
	if err != nil {
		return err
	}
	report := deploy.Conclude(d.st, live, ending, time.Now())
	return d.append(ctx, deploy.Event{Kind: deploy.KindEnded, Ending: ending, Err: cause, Report: &report})
}
