package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ipublish/deploy"
	"ipublish/deployer"
)

const (
	reviveKey      = "revive:"
	revivePatience = time.Minute // for one environment
	reviveAtOnce   = 16          // hosts that are looked at together
)

// revive asks once for a deploy of every live release of which no process is
// left, as after a reboot, and of a rolling environment that has a host which
// runs nothing or which a deploy left out of traffic. It is a deploy like any
// other: planned, checked and journaled, of the commit that is live.
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
		r, err := w.revival(ctx, app, env, l)
		if err != nil {
			w.log.Warn("it cannot be seen everywhere whether the live release runs", "target", l.Target.String(), "err", err)
		}
		if r.Key == "" {
			continue
		}
		id, _, err := w.store.Submit(ctx, r)
		if err != nil {
			return err
		}
		w.log.Info("the live release is not running everywhere and is brought back", "target", l.Target.String(), "commit", l.Release.Commit.SHA, "deploy", id.String())
	}
	return nil
}

// revival is the request that brings a live release back; the zero Request
// where nothing is to be done, or nothing can be seen.
func (w *worker) revival(ctx context.Context, app deploy.App, env deploy.Environment, l deploy.Live) (deploy.Request, error) {
	ctx, cancel := context.WithTimeout(ctx, revivePatience)
	defer cancel()
	if env.Rolling == nil {
		dead, err := w.dead(ctx, app, env, l)
		if !dead {
			return deploy.Request{}, err
		}
		return revival(l), err
	}
	seen, unseen, err := w.look(ctx, app, env, l)
	if !astray(l, seen) {
		return deploy.Request{}, err
	}
	r := revival(l)
	r.Without = unseen // they keep no other host from coming back
	return r, err
}

// astray reports whether a host that should be in traffic runs nothing, or is out
// of it by a deploy. What a person took out stays out, and what ipublish never
// deployed to waits for its first deploy.
func astray(l deploy.Live, seen map[deploy.HostID]deploy.Instance) bool {
	for id, in := range seen {
		h := l.Hosts.Get(id)
		switch {
		case !l.Hosts.Has(id), h.Out != nil && h.Out.Person:
		case h.Out != nil, !in.Running() && in.PortPID == 0:
			return true
		}
	}
	return false
}

// look sees what the hosts of a rolling environment run, some at a time; unseen
// are those that could not be looked at, and err is why the first of them.
func (w *worker) look(ctx context.Context, app deploy.App, env deploy.Environment, l deploy.Live) (seen map[deploy.HostID]deploy.Instance, unseen []deploy.HostID, err error) {
	rt, err := w.drivers.Runtime(app.Runtime)
	if err != nil {
		return nil, nil, err
	}
	slots, _ := deploy.ObserveSteps(app, env, l)
	found, errs := make([]deploy.Evidence, len(env.Hosts)), make([]error, len(env.Hosts))
	var g errgroup.Group
	g.SetLimit(reviveAtOnce)
	for i, h := range env.Hosts {
		g.Go(func() error {
			found[i], errs[i] = w.observe(ctx, rt, h, slots[deploy.Main])
			return nil
		})
	}
	_ = g.Wait() // what went wrong is kept by host
	seen = map[deploy.HostID]deploy.Instance{}
	for i, h := range env.Hosts {
		if errs[i] != nil || len(found[i].Instances) == 0 {
			unseen = append(unseen, h.ID)
			continue
		}
		seen[h.ID] = found[i].Instances[0]
	}
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return seen, unseen, nil
	}
	return seen, unseen, errs[i]
}

func (w *worker) observe(ctx context.Context, rt deployer.Runtime, h deploy.Host, s deploy.Step) (deploy.Evidence, error) {
	host, err := w.drivers.Host(h)
	if err != nil {
		return deploy.Evidence{}, err
	}
	return rt.Observe(ctx, host, s)
}

// dead reports whether every host was looked at and none runs anything in the
// live slot, and nobody else does.
func (w *worker) dead(ctx context.Context, app deploy.App, env deploy.Environment, l deploy.Live) (bool, error) {
	rt, err := w.drivers.Runtime(app.Runtime)
	if err != nil {
		return false, err
	}
	slots, _ := deploy.ObserveSteps(app, env, l)
	for _, h := range env.Hosts {
		ev, err := w.observe(ctx, rt, h, slots[l.Slot])
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
