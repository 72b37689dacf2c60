package deployer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// drainPause is between the looks at a balancer that answers at once whether
// something is in flight.
const drainPause = 5 * time.Millisecond

// switchProbes is how many probes of the front door must pass after a switch.
const switchProbes = 2

// route makes exactly the Up targets receive traffic. It is done when the
// balancer's own evidence says so and, where the front door is known, it answers.
func (x *effects) route(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	b, err := x.balancer()
	if err != nil {
		return deploy.Evidence{}, err
	}
	var ev deploy.Evidence
	err = retry(ctx, func(ctx context.Context) error {
		if err := x.stillHealthy(ctx, s); err != nil {
			return err
		}
		if err := b.Route(ctx, s); err != nil {
			return err
		}
		ev, err = b.Observe(ctx, s)
		if err != nil {
			return err
		}
		return verifyRoute(s, ev.Traffic)
	})
	if err == nil {
		x.drive.lookout.mark()
	}
	if err == nil && x.settings.Verify != nil {
		ev.Probe, err = x.verifySwitch(ctx, s)
	}
	if err != nil {
		ev.Traffic = x.seenNow(ctx, s)
		return ev, err
	}
	ev.Note = x.enable(ctx, s)
	return ev, nil
}

// enable makes the slot that has the traffic now the one that starts with its
// host. What stands in the way is told: traffic moved all the same.
func (x *effects) enable(ctx context.Context, s deploy.Step) string {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	enabler, ok := rt.(Enabler)
	if err != nil || !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, outcomePatience)
	defer cancel()
	_, err = eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (struct{}, error) {
		h, err := x.fencedHost(id)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, retry(ctx, func(ctx context.Context) error { return enabler.Enable(ctx, h, s) })
	})
	if err != nil {
		return fmt.Sprintf("after a reboot %s may not start by itself: %s", s.Slot, deploy.MessageOf(err))
	}
	return ""
}

// seenNow is the balancer's view after a failed switch, for the ending to be
// true; nil where it cannot be had.
func (x *effects) seenNow(ctx context.Context, s deploy.Step) *deploy.Traffic {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomePatience)
	defer cancel()
	t, err := x.traffic(ctx, s)
	if err != nil {
		return nil
	}
	return t
}

// stillHealthy looks once more, right before the switch, at what passed the gate
// a moment, a few attempts or a restart of the bot ago: the very same processes
// must run and answer. On the way back a failure is for a person to judge.
func (x *effects) stillHealthy(ctx context.Context, s deploy.Step) error {
	seen, err := x.instances(ctx, s)
	if err == nil {
		err = x.samePassed(s, seen)
	}
	if err == nil {
		err = x.answers(ctx, s)
	}
	if err != nil && x.drive.st.Undo != nil && !passing(err) {
		return &deploy.Error{Code: deploy.CodeHold, Op: "route", Subject: s.Subject(), Err: err,
			Message: "the old release is not fit to take the traffic back: " + deploy.MessageOf(err)}
	}
	return err
}

// samePassed wants the instances to be those that the journal says passed the gate.
func (x *effects) samePassed(s deploy.Step, seen []deploy.Instance) error {
	live, err := x.engine.Ledger.Live(x.target)
	if err != nil {
		return err
	}
	passed := live.Slots[s.Slot].Instances
	if x.settings.Rolling != nil {
		for _, id := range s.Hosts {
			passed = append(passed, live.Hosts.Get(id).Instance)
		}
	}
	for _, now := range seen {
		same := func(then deploy.Instance) bool {
			return then.Passed && then.Host == now.Host && then.PID == now.PID && then.Started == now.Started
		}
		if !now.Running() || !now.Owned || now.Key != s.Release.Key() || !slices.ContainsFunc(passed, same) {
			return &deploy.Error{Code: deploy.CodeUnhealthy, Op: "observe", Subject: string(now.Host), Log: now.Log,
				Message: fmt.Sprintf("%s on %s is not the process that passed its check any more (on %s)", s.Release.Commit.Short(), s.Slot, now.Host)}
		}
	}
	return nil
}

// answers probes the slot on every host, twice before it is called bad.
func (x *effects) answers(ctx context.Context, s deploy.Step) error {
	_, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (int, error) {
		h, err := x.host(id)
		if err != nil {
			return 0, err
		}
		for range 2 {
			if _, err = probeHealth(ctx, h, localAddress(s.Port), x.settings.Health, s.Release); err == nil {
				break
			}
		}
		return 0, err
	})
	return err
}

// verifyRoute compares the balancer's evidence with the step.
func verifyRoute(s deploy.Step, t *deploy.Traffic) error {
	var want []string
	for _, e := range s.Targets {
		if e.Up {
			want = append(want, e.Addr)
		}
	}
	slices.Sort(want)
	if t != nil && slices.Equal(t.Up, want) {
		return nil
	}
	seen := "nothing"
	if t != nil && len(t.Up) > 0 {
		seen = strings.Join(t.Up, ", ")
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "verify", Subject: string(s.Slot),
		Message: fmt.Sprintf("the balancer says that %s receives traffic, not %s", seen, strings.Join(want, ", "))}
}

// verifySwitch wants a few good answers of the front door in a row. It waits for
// them until users blame the release: then it is for the old one to say whether
// it would do better.
func (x *effects) verifySwitch(ctx context.Context, s deploy.Step) (*deploy.Probe, error) {
	sum := &deploy.Probe{}
	d := x.engine.Front.Open(*x.settings.Verify)
	defer d.Close()
	err := retry(ctx, func(ctx context.Context) error {
		for range switchProbes {
			err := probeFront(ctx, d, sum)
			if err == nil {
				continue
			}
			if bl := x.drive.lookout.blames(x.settings.Verify, upOf(s)); bl != nil && x.drive.st.Undo == nil {
				return x.attribute(ctx, &deploy.Error{Code: deploy.CodeUnhealthy, Op: "route", Subject: s.Subject(), Err: err,
					Message: fmt.Sprintf("%s on %s %s", s.Release.Commit.Short(), s.Slot, bl.why)}, bl)
			}
			return &deploy.Error{Code: deploy.CodeUnavailable, Op: "verify", Subject: x.settings.Verify.URL,
				Message: "after the switch the front door does not answer: " + deploy.MessageOf(err), Err: err}
		}
		return nil
	})
	return sum, err
}

// front wants the front door to answer before anything is changed.
func (x *effects) front(ctx context.Context) (deploy.Evidence, error) {
	sum := &deploy.Probe{}
	d := x.engine.Front.Open(*x.settings.Verify)
	defer d.Close()
	err := probeFront(ctx, d, sum)
	if err != nil {
		err = &deploy.Error{Code: deploy.CodeRefused, Op: "front", Subject: x.settings.Verify.URL,
			Message: "the front door does not answer as it is, so nothing was changed (--force \"why\" deploys all the same): " + deploy.MessageOf(err), Err: err}
	}
	return deploy.Evidence{Probe: sum}, err
}

// probeFront probes once, and once more before it counts a failure.
func probeFront(ctx context.Context, d Door, sum *deploy.Probe) error {
	var err error
	for range 2 {
		began := time.Now()
		err = d.Once(ctx)
		sum.Slowest = max(sum.Slowest, deploy.Duration(time.Since(began)))
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	sum.Requests++
	if err != nil {
		sum.Failures++
		sum.Last = deploy.MessageOf(err)
	}
	return err
}

// drain withdraws the spare and waits until nothing is in flight to the
// addresses that left, or the drain time is over, which is recorded.
func (x *effects) drain(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	over, cancel := context.WithTimeout(ctx, s.Hold.D())
	defer cancel()
	b, err := x.balancer()
	if err != nil {
		return deploy.Evidence{}, err
	}
	if err := retry(ctx, func(ctx context.Context) error { return b.Route(ctx, s) }); err != nil {
		return deploy.Evidence{}, err
	}
	longest := 100 * time.Millisecond // between two looks, which may be a command on a host
	if _, tells := b.(Watcher); tells {
		longest = drainPause
	}
	for pause := drainPause; ; pause = min(2*pause, longest) {
		var ev deploy.Evidence
		err := retry(ctx, func(ctx context.Context) error { ev, err = b.Observe(ctx, s); return err })
		if err != nil {
			return ev, err
		}
		if left := inFlight(s, ev.Traffic); left == 0 {
			return ev, nil
		}
		if !wait(over, pause) {
			ev.TimedOut = ctx.Err() == nil
			return ev, ctx.Err()
		}
	}
}

// inFlight sums what is in flight to targets that are out of traffic; what
// cannot be told counts as something.
func inFlight(s deploy.Step, t *deploy.Traffic) int {
	if t == nil {
		return 1
	}
	left := 0
	for _, e := range s.Targets {
		if n := t.InFlight[e.Addr]; !e.Up && n != 0 {
			left += max(n, 1)
		}
	}
	return left
}

// accept records the managed file as it stands.
func (x *effects) accept(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	t, err := x.traffic(ctx, s)
	if err != nil {
		return deploy.Evidence{}, err
	}
	if t == nil || t.File == "" {
		return deploy.Evidence{}, &deploy.Error{Code: deploy.CodeRefused, Op: "accept", Message: "this environment's balancer has no managed file"}
	}
	return deploy.Evidence{Traffic: t}, nil
}
