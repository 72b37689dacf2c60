package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
// left, as after a reboot, and for a start of those hosts of a rolling
// environment that run nothing or that a deploy left out of traffic. It is
// planned, checked and journaled like any other, of what is live.
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
	seen, err := w.look(ctx, app, env, l)
	return fleetRevival(l, seen), err
}

// astray are the hosts that should be in traffic and run nothing, or run what is
// live and are out of traffic by a deploy. What a person took out stays out, what
// ipublish never deployed to waits for its first deploy, and a host that runs
// something else waits for the next one.
func astray(l deploy.Live, seen map[deploy.HostID]deploy.Instance) []deploy.HostID {
	var ids []deploy.HostID
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		in, h := seen[id], l.Hosts.Get(id)
		idle := !in.Running() && in.PortPID == 0
		left := h.Out != nil && in.Running() && in.Key == l.Release.Key()
		if l.Hosts.Has(id) && (h.Out == nil || !h.Out.Person) && (idle || left) {
			ids = append(ids, id)
		}
	}
	return ids
}

// look sees what the hosts of a rolling environment run, some at a time, without
// those that could not be looked at; err is why the first of them.
func (w *worker) look(ctx context.Context, app deploy.App, env deploy.Environment, l deploy.Live) (map[deploy.HostID]deploy.Instance, error) {
	rt, err := w.drivers.Runtime(app.Runtime)
	if err != nil {
		return nil, err
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
	seen := map[deploy.HostID]deploy.Instance{}
	for i, h := range env.Hosts {
		if errs[i] == nil && len(found[i].Instances) > 0 {
			seen[h.ID] = found[i].Instances[0]
		}
	}
	return seen, cmp.Or(errs...)
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
	c, r := l.Release.Commit, bySystem(l, deploy.WantDeploy)
	r.Ref, r.Commit, r.Title, r.Author = c.Ref, c.SHA, c.Title, c.Author
	return r
}

// fleetRevival starts what is live where it is missed and nowhere else, whatever
// the configuration says by now; the zero Request where it is missed nowhere.
func fleetRevival(l deploy.Live, seen map[deploy.HostID]deploy.Instance) deploy.Request {
	hosts := astray(l, seen)
	if len(hosts) == 0 {
		return deploy.Request{}
	}
	r := bySystem(l, deploy.WantStart)
	r.Hosts = hosts
	return r
}

func bySystem(l deploy.Live, want deploy.Want) deploy.Request {
	return deploy.Request{
		App: l.Target.App, Env: l.Target.Env, Want: want, By: deploy.SystemActor(), At: time.Now().UTC(),
		Key: fmt.Sprintf("%s%s:%d", reviveKey, l.Target, l.Ends),
	}
}

// revives reports whether a request is one of revival's: nobody else speaks as
// the system, and keys of people and git hosts begin otherwise.
func revives(r deploy.Request) bool {
	brings := r.Want == deploy.WantDeploy || r.Want == deploy.WantStart
	return r.By == deploy.SystemActor() && brings && r.Force == "" && strings.HasPrefix(r.Key, reviveKey)
}
