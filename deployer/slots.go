package deployer

import (
	"context"
	"fmt"
	"slices"

	"ipublish/deploy"
)

// instances observes the step's slot on every host.
func (x *effects) instances(ctx context.Context, s deploy.Step) ([]deploy.Instance, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return nil, err
	}
	return eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Instance, error) {
		h, err := x.host(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		return x.observeOne(ctx, rt, h, id, s)
	})
}

// observeOne looks at the slot on one host; what was adopted there is ours.
func (x *effects) observeOne(ctx context.Context, rt Runtime, h Host, id deploy.HostID, s deploy.Step) (deploy.Instance, error) {
	ev, err := rt.Observe(ctx, h, s)
	if err != nil {
		return deploy.Instance{}, err
	}
	if len(ev.Instances) != 1 {
		return deploy.Instance{}, &deploy.Error{Code: deploy.CodeInternal, Op: "observe", Subject: string(id), Message: "a runtime must see exactly one instance a slot"}
	}
	in := ev.Instances[0]
	in.Host, in.Slot = id, s.Slot
	in.Command = in.Program()
	live, err := x.engine.Ledger.Live(x.target)
	return live.Recognise(in), err
}

// start makes every host's slot run the release, with its shared folders linked
// and its environment complete.
func (x *effects) start(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	return x.onSlots(ctx, s, func(rt Runtime, ctx context.Context, h Host, s deploy.Step) error {
		if err := x.link(ctx, h, s); err != nil {
			return err
		}
		var err error
		if s.Env, err = x.environment(ctx, h, s); err != nil {
			return err
		}
		return rt.Start(ctx, h, s)
	})
}

// stop makes every host's slot run nothing of ours.
func (x *effects) stop(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	if err := x.harmless(ctx, s); err != nil {
		return deploy.Evidence{}, err
	}
	ev, err := x.onSlots(ctx, s, Runtime.Stop)
	if err != nil {
		return ev, err
	}
	for _, in := range ev.Instances {
		if s.Op == deploy.OpRetire && in.Foreign() {
			return ev, &deploy.Error{Code: deploy.CodeForeign, Op: "retire", Subject: string(in.Host), Message: foreignText(s, in)}
		}
	}
	return ev, nil
}

// harmless refuses to stop what has traffic, and what is healthy while the live
// slot is not: it may be all that is left. Before anything was ever live there
// is nothing to harm.
func (x *effects) harmless(ctx context.Context, s deploy.Step) error {
	if x.settings.Rolling != nil {
		return x.outOfTraffic(ctx, s)
	}
	live, err := x.engine.Ledger.Live(x.target)
	if err != nil || live.Slot == "" {
		return err
	}
	var t *deploy.Traffic
	err = retry(ctx, func(ctx context.Context) error { t, err = x.traffic(ctx, x.routeOf(s)); return err })
	if err != nil {
		return err
	}
	for _, id := range s.Hosts {
		h, _ := x.settings.Host(id)
		if addr := deploy.Address(h, s.Port); t != nil && slices.Contains(t.Up, addr) {
			return &deploy.Error{Code: deploy.CodeDrift, Op: string(s.Op), Subject: s.Subject(),
				Message: fmt.Sprintf("the balancer sends traffic to %s, so it is not stopped: put the balancer right, then try again", addr)}
		}
	}
	liveStep := s
	liveStep.Slot, liveStep.Port, liveStep.Release = live.Slot, x.settings.BlueGreen.Port(live.Slot), live.Release
	bad := x.answers(ctx, liveStep)
	if bad == nil || live.Slot == s.Slot || x.answers(ctx, s) != nil {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeHold, Op: string(s.Op), Subject: s.Subject(), Err: bad,
		Message: fmt.Sprintf("%s on %s is live and not healthy (%s), so %s, which answers, is left running", live.Release.Commit.Short(), live.Slot, deploy.MessageOf(bad), s.Slot)}
}

// onSlots does one thing to the slot of every host and observes it afterwards.
func (x *effects) onSlots(ctx context.Context, s deploy.Step, do func(Runtime, context.Context, Host, deploy.Step) error) (deploy.Evidence, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return deploy.Evidence{}, err
	}
	in, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Instance, error) {
		h, err := x.host(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		guarded, err := x.fencedHost(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		var seen deploy.Instance
		err = x.patiently(ctx, func(ctx context.Context) error {
			if err := do(rt, ctx, guarded, s); err != nil {
				return err
			}
			seen, err = x.observeOne(ctx, rt, h, id, s)
			return err
		})
		return seen, err
	})
	return deploy.Evidence{Instances: in}, err
}
