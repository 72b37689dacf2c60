package deployer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ipublish/deploy"
)

// bake watches the release under real traffic for the step's Hold: its health,
// its process and the front door. A bad verdict is CodeUnhealthy; when the old
// release fails as well it is CodeHold, for then the release is not to blame.
func (x *effects) bake(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return deploy.Evidence{}, err
	}
	b := &baking{x: x, runtime: rt, step: s, until: time.Now().Add(s.Hold.D()), scores: map[deploy.HostID]int{}, sum: &deploy.Probe{}}
	verdict := b.watch(ctx)
	if ctx.Err() != nil {
		return deploy.Evidence{}, ctx.Err()
	}
	ev := deploy.Evidence{Probe: b.sum}
	if x.settings.Rolling != nil {
		ev.Note = "" // no balancer of a rolling environment counts requests
	} else if t, err := x.traffic(ctx, x.routeOf(s)); err == nil {
		ev.Traffic = t
	} else {
		ev.Note = "not counted: " + deploy.MessageOf(err)
	}
	if verdict == nil {
		ev.Instances, verdict = b.stillThere(ctx)
	}
	if verdict != nil {
		verdict = x.attribute(ctx, verdict)
	}
	return ev, verdict
}

type baking struct {
	x       *effects
	runtime Runtime
	step    deploy.Step
	until   time.Time
	scores  map[deploy.HostID]int // failed checks weigh two, good ones take one off
	sum     *deploy.Probe
}

// watch goes on until the bake time is over or there is a verdict.
func (b *baking) watch(ctx context.Context) error {
	health, door := time.Now(), time.Now() // when each is due
	for {
		now := time.Now()
		if !now.Before(b.until) {
			return nil
		}
		if !now.Before(health) {
			if err := b.checkAll(ctx); err != nil {
				return err
			}
			health = now.Add(b.x.settings.Health.Interval.D())
		}
		due := health
		if v := b.x.settings.Verify; v != nil {
			if !now.Before(door) {
				if err := b.checkDoor(ctx, *v); err != nil {
					return err
				}
				door = now.Add(v.Interval.D())
			}
			due = earlier(health, door)
		}
		if !wait(ctx, time.Until(earlier(due, b.until))) {
			return ctx.Err()
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// checkAll probes every host once. failure_threshold failures in a row are a
// verdict, and so is failing more often than every third time for long.
func (b *baking) checkAll(ctx context.Context) error {
	health := b.x.settings.Health
	results, err := eachHost(ctx, b.step.Hosts, func(ctx context.Context, id deploy.HostID) (error, error) {
		h, err := b.x.host(id)
		if err != nil {
			return nil, err
		}
		_, err = probeHealth(ctx, h, "127.0.0.1:"+portText(b.step.Port), health, b.step.Release)
		return err, nil
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	ids := slices.Sorted(slices.Values(b.step.Hosts))
	for i, bad := range results {
		id := ids[i]
		if bad == nil {
			b.scores[id] = max(b.scores[id]-1, 0)
			continue
		}
		if b.scores[id] += 2; b.scores[id] >= 2*health.FailureThreshold && !b.away(ctx, id) {
			return b.unhealthy(ctx, fmt.Sprintf("failed its check too often on %s: %s", id, deploy.MessageOf(bad)))
		}
	}
	return nil
}

// away reports whether a host of many cannot be looked at: that is not the
// release's fault, and the end of the watch judges it.
func (b *baking) away(ctx context.Context, id deploy.HostID) bool {
	if b.x.settings.Rolling == nil || !b.x.away(ctx, id) {
		return false
	}
	b.scores[id] = 0
	return true
}

// checkDoor probes the front door; more failures than allowed are a verdict.
func (b *baking) checkDoor(ctx context.Context, v deploy.Verify) error {
	err := b.x.probeFront(ctx, b.sum)
	if err == nil || ctx.Err() != nil || b.sum.Failures <= v.MaxFailures {
		return nil
	}
	return b.unhealthy(ctx, fmt.Sprintf("failed %d probes at the front door (%d allowed): %s", b.sum.Failures, v.MaxFailures, deploy.MessageOf(err)))
}

// stillThere wants the very processes that passed the gate to run at the end.
func (b *baking) stillThere(ctx context.Context) ([]deploy.Instance, error) {
	var seen []deploy.Instance
	err := retry(ctx, func(ctx context.Context) (err error) {
		seen, err = b.x.instances(ctx, b.step)
		return err
	})
	if err != nil {
		return nil, err
	}
	return seen, b.x.samePassed(b.step, seen)
}

// unhealthy is a verdict with the last log lines.
func (b *baking) unhealthy(ctx context.Context, why string) error {
	e := &deploy.Error{Code: deploy.CodeUnhealthy, Message: fmt.Sprintf("%s on %s %s", b.step.Release.Commit.Short(), b.step.Slot, why)}
	if seen, err := b.x.instances(ctx, b.step); err == nil && len(seen) > 0 {
		e.Log = seen[0].Log
	}
	return e
}

// attribute probes the old release before the new one is blamed: if it fails
// as well, going back would help nobody.
func (x *effects) attribute(ctx context.Context, verdict error) error {
	plan := x.drive.st.Plan
	if x.settings.Rolling != nil {
		return x.attributeHosts(ctx, verdict)
	}
	if deploy.CodeOf(verdict) != deploy.CodeUnhealthy || plan.OldSlot == "" {
		return verdict
	}
	for _, h := range x.settings.Hosts {
		host, err := x.host(h.ID)
		if err == nil {
			_, err = x.confirmed(ctx, host, plan)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &deploy.Error{Code: deploy.CodeHold, Log: logOf(verdict), Err: verdict,
				Message: fmt.Sprintf("%s; the old release on %s fails as well (%s), so going back would not help", deploy.MessageOf(verdict), plan.OldSlot, deploy.MessageOf(err))}
		}
	}
	return verdict
}

// confirmed probes the old slot, twice before it is called bad.
func (x *effects) confirmed(ctx context.Context, h Host, plan *deploy.Plan) (status int, err error) {
	addr := "127.0.0.1:" + portText(x.settings.BlueGreen.Port(plan.OldSlot))
	for range 2 {
		if status, err = probeHealth(ctx, h, addr, x.settings.Health, plan.Old); err == nil {
			return status, nil
		}
	}
	return status, err
}
