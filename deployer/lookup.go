package deployer

import (
	"context"
	"time"

	"ipublish/deploy"
)

// lookupPatience is how long an unreachable repository is asked before the
// request ends as failed.
const lookupPatience = 10 * time.Minute

// lookup asks the remote for the commit or the tip of a waiting request and
// journals the answer, which wakes the claim.
func (e *Engine) lookup(ctx context.Context, id deploy.ID) error {
	defer e.setLooking(id, false)
	d := &drive{engine: e, id: id}
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	c, err := e.resolve(ctx, d.st)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for d.st.Phase == deploy.PhaseQueued {
		ev := deploy.Event{Kind: deploy.KindResolved, Commit: &c}
		if err != nil {
			ev = deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Failed, Err: stepError(err, "resolve", d.st.Request.Ref)}
		}
		if aerr := d.append(ctx, ev); deploy.CodeOf(aerr) != deploy.CodeConflict {
			return aerr
		}
	}
	return nil
}

func (e *Engine) resolve(ctx context.Context, st deploy.State) (deploy.Commit, error) {
	app, env, err := e.config(st.Target)
	if err != nil {
		return deploy.Commit{}, err
	}
	ref := st.Request.Ref
	if ref == "" {
		ref = env.Branch
	}
	ctx, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	var c deploy.Commit
	err = retry(ctx, func(ctx context.Context) error {
		try, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		c, err = e.Source.Resolve(try, deploy.SettingsOf(app, env), ref)
		return err
	})
	return c, err
}
