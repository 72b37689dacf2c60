package deployer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

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
	if err != nil || x.settings.Verify == nil {
		return ev, err
	}
	ev.Probe, err = x.verifySwitch(ctx)
	return ev, err
}

// stillHealthy probes once more, right before the switch, what passed the gate a
// moment or a few attempts ago. On the way back the check just before is enough.
func (x *effects) stillHealthy(ctx context.Context, s deploy.Step) error {
	if x.drive.st.Undo != nil {
		return nil
	}
	_, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (int, error) {
		h, err := x.host(id)
		if err != nil {
			return 0, err
		}
		for range 2 {
			if _, err = probeHealth(ctx, h, "127.0.0.1:"+portText(s.Port), x.settings.Health, s.Release); err == nil {
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

// verifySwitch wants a few good answers of the front door in a row.
func (x *effects) verifySwitch(ctx context.Context) (*deploy.Probe, error) {
	sum := &deploy.Probe{}
	err := retry(ctx, func(ctx context.Context) error {
		for range switchProbes {
			if err := x.probeFront(ctx, sum); err != nil {
				return &deploy.Error{Code: deploy.CodeUnavailable, Op: "verify", Subject: x.settings.Verify.URL,
					Message: "after the switch the front door does not answer: " + deploy.MessageOf(err), Err: err}
			}
		}
		return nil
	})
	return sum, err
}

// front wants the front door to answer before anything is changed.
func (x *effects) front(ctx context.Context) (deploy.Evidence, error) {
	sum := &deploy.Probe{}
	err := x.probeFront(ctx, sum)
	if err != nil {
		err = &deploy.Error{Code: deploy.CodeRefused, Op: "front", Subject: x.settings.Verify.URL,
			Message: "the front door does not answer as it is, so nothing was changed (--force \"why\" deploys all the same): " + deploy.MessageOf(err), Err: err}
	}
	return deploy.Evidence{Probe: sum}, err
}

// probeFront probes once, and once more before it counts a failure.
func (x *effects) probeFront(ctx context.Context, sum *deploy.Probe) error {
	var err error
	for range 2 {
		began := time.Now()
		err = x.engine.Front.Probe(ctx, *x.settings.Verify)
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
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
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
