package deployer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"ipublish/deploy"
)

// Options are what an Engine works with; every field is required.
type Options struct {
	Journal   Journal
	Ledger    Ledger
	Drivers   Drivers
	Source    Source
	Artifacts Artifacts
	Front     Front
	// Config returns the app and environment as configured now.
	Config func(deploy.Target) (deploy.App, deploy.Environment, bool)
	// Targets returns every configured environment, sorted.
	Targets func() []deploy.Target
	History History
	// Authorize checks again, at the claim, that the request's actor may do it.
	Authorize func(deploy.Request) *deploy.Error
	Log       *slog.Logger
	// BotDir is a folder of the bot's machine for what hooks there leave.
	BotDir string
}

// Engine runs the deploys of all environments.
type Engine struct {
	Options
	drives  sync.WaitGroup
	lookups lookups
	changed chan struct{} // a deploy ended: leases may have changed
	settled chan struct{} // … and so may what is live
}

// New returns an engine that does nothing until Run.
func New(o Options) *Engine {
	return &Engine{Options: o, lookups: lookups{since: map[deploy.ID]uint64{}}, changed: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
}

// Run resumes what was running, then claims and drives requests until ctx
// ends. It returns when every deploy's goroutine has stopped where it was; the
// journal holds all that is needed to go on. The error is the journal's.
func (e *Engine) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer e.drives.Wait()
	defer stop()
	lives, err := e.Ledger.Lives()
	if err != nil {
		return err
	}
	for _, l := range lives {
		if l.Active != 0 {
			e.spawn(ctx, l.Active, e.drive)
		}
	}
	e.drives.Go(func() { e.keepLeases(ctx) })
	e.drives.Go(func() { e.guardAll(ctx) })
	e.drives.Go(func() { e.poll(ctx) })
	return e.claim(ctx)
}

// claim takes one request after another until ctx ends.
func (e *Engine) claim(ctx context.Context) error {
	rule := deploy.Admission(e.Authorize, e.lookups.asked)
	admit := func(q deploy.Queue) deploy.Verdict { return e.lookups.remember(q, rule(q)) }
	for {
		id, err := e.Journal.Claim(ctx, admit)
		switch {
		case ctx.Err() != nil:
			return nil
		case deploy.CodeOf(err) == deploy.CodeLookup:
			e.spawn(ctx, id, e.lookup)
		case deploy.CodeOf(err) == deploy.CodeUnavailable && wait(ctx, time.Second):
			e.Log.Error("nothing could be claimed, trying again", "err", err)
		case err != nil:
			return err
		default:
			e.spawn(ctx, id, e.drive)
		}
	}
}

// spawn runs work for a deploy in a goroutine of the engine's, again after a
// pause when it ends with an error, until it is done or ctx ends.
func (e *Engine) spawn(ctx context.Context, id deploy.ID, work func(context.Context, deploy.ID) error) {
	e.drives.Go(func() {
		for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
			err := work(ctx, id)
			if err == nil || ctx.Err() != nil {
				return
			}
			e.Log.Error("deploy interrupted, folding again", "deploy", id, "pause", pause, "err", err)
			if !wait(ctx, pause) {
				return
			}
		}
	})
}

// wait sleeps for d; false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// config returns the target's configuration or an error that says it is gone.
func (e *Engine) config(t deploy.Target) (deploy.App, deploy.Environment, error) {
	app, env, ok := e.Config(t)
	if !ok {
		return app, env, &deploy.Error{Code: deploy.CodeNotFound, Op: "plan", Subject: t.String(),
			Message: t.String() + " is not in the configuration any more: add it again and reload, or leave it"}
	}
	return app, env, nil
}
