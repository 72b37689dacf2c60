package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

const (
	reviveKey      = "revive:"
	revivePatience = time.Minute
)

// revive asks once for a deploy of every live release of which no process is
// left, as after a reboot. It is a deploy like any other: planned, checked and
// journaled, of the commit that is live.
func (w *worker) revive(ctx context.Context) error {
	lives, err := w.store.Lives()
	if err != nil {
		return err
	}
	for _, l := range lives {
		app, env, ok := w.config.Load().Environment(l.Target)
		if !ok || l.Slot == "" || l.Active != 0 || l.Release.Adopted() {
			continue
		}
		dead, err := w.dead(ctx, app, env, l)
		if err != nil {
			w.log.Warn("it cannot be seen whether the live release runs", "target", l.Target.String(), "err", err)
		}
		if !dead {
			continue
		}
		id, _, err := w.store.Submit(ctx, revival(l))
		if err != nil {
			return err
		}
		w.log.Info("the live release is not running and is brought back", "target", l.Target.String(), "commit", l.Release.Commit.SHA, "deploy", id.String())
	}
	return nil
}

// dead reports whether every host was looked at and none runs anything in the
// live slot, and nobody else does.
func (w *worker) dead(ctx context.Context, app deploy.App, env deploy.Environment, l deploy.Live) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, revivePatience)
	defer cancel()
	rt, err := w.drivers.Runtime(app.Runtime)
	if err != nil {
		return false, err
	}
	slots, _ := deploy.ObserveSteps(app, env, l)
	for _, h := range env.Hosts {
		host, err := w.drivers.Host(h)
		if err != nil {
			return false, err
		}
		ev, err := rt.Observe(ctx, host, slots[l.Slot])
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(ev.Instances, func(in deploy.Instance) bool { return in.Running() || in.PortPID != 0 }) {
			return false, nil
		}
	}
	return true, nil
}

func revival(l deploy.Live) deploy.Request {
	c := l.Release.Commit
	return deploy.Request{
		App: l.Target.App, Env: l.Target.Env, Want: deploy.WantDeploy, By: deploy.SystemActor(), At: time.Now().UTC(),
		Ref: c.Ref, Commit: c.SHA, Title: c.Title, Author: c.Author,
		Key: fmt.Sprintf("%s%s:%d", reviveKey, l.Target, l.Ends),
	}
}

// revives reports whether a request is one of revival's: nobody else speaks as
// the system, and keys of people and git hosts begin otherwise.
func revives(r deploy.Request) bool {
	return r.By == deploy.SystemActor() && r.Want == deploy.WantDeploy && r.Force == "" && strings.HasPrefix(r.Key, reviveKey)
}
