package deployer

import (
	"context"
	"sync"
	"time"

	"ipublish/deploy"
)

// lookupPatience is how long an unreachable repository is asked before the
// request ends as failed.
const lookupPatience = 10 * time.Minute

// lookup asks the remote for the commit or the tip of a waiting request and
// journals the answer, which wakes the claim.
func (e *Engine) lookup(ctx context.Context, id deploy.ID) error {
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

// lookups remembers which requests are being asked about, and what was known
// when the asking began: a newer answer ends it.
type lookups struct {
	mu    sync.Mutex
	since map[deploy.ID]uint64 // ResolvedSeq when asked
}

// asked reports whether an answer newer than the state's is on its way.
func (l *lookups) asked(w deploy.State) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, ok := l.since[w.ID]
	return ok && seq == w.ResolvedSeq
}

// remember notes the lookup that a verdict orders, and forgets what is taken or ended.
func (l *lookups) remember(q deploy.Queue, v deploy.Verdict) deploy.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range q.Waiting {
		switch w.ID {
		case v.Lookup:
			l.since[w.ID] = w.ResolvedSeq
		case v.Take, v.End:
			delete(l.since, w.ID)
		}
	}
	return v
}
