package deployer

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"ipublish/deploy"
)

// bake watches the release under real traffic for the step's Hold: its health,
// its process, and what users see of it. A bad verdict is CodeUnhealthy; when the
// old release fails as well it is CodeHold, for then the release is not to blame.
func (x *effects) bake(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return deploy.Evidence{}, err
	}
	b := &baking{x: x, runtime: rt, step: s, until: time.Now().Add(s.Hold.D()), scores: map[deploy.HostID]int{}}
	verdict := b.watch(ctx)
	if ctx.Err() != nil {
		return deploy.Evidence{}, ctx.Err()
	}
	var ev deploy.Evidence
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
		verdict = x.attribute(ctx, verdict, b.blame.tries())
	}
	return ev, verdict
}

type baking struct {
	x       *effects
	runtime Runtime
	step    deploy.Step
	until   time.Time
	scores  map[deploy.HostID]int // failed checks weigh two, good ones take one off
	blame   *blame                // by what users see
}

// watch goes on until the bake time is over or there is a verdict.
func (b *baking) watch(ctx context.Context) error {
	health := time.Now() // when it is due
	for {
		now := time.Now()
		if err := b.judge(ctx); err != nil {
			return err
		}
		if !now.Before(b.until) {
			return nil
		}
		if !now.Before(health) {
			if err := b.checkAll(ctx); err != nil {
				return err
			}
			health = now.Add(b.x.settings.Health.Interval.D())
		}
		rung, err := b.x.drive.lookout.await(ctx, time.Until(earlier(health, b.until)))
		if rung && err == nil {
			err = b.gone(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// judge gives the verdict of users.
func (b *baking) judge(ctx context.Context) error {
	if b.blame = b.x.drive.lookout.blames(b.x.settings.Verify, b.addresses()); b.blame == nil {
		return nil
	}
	return b.unhealthy(ctx, b.blame.why)
}

// addresses are those at which the release gets its traffic.
func (b *baking) addresses() []string {
	var out []string
	for _, t := range b.x.routeOf(b.step).Targets {
		if t.Up && t.Slot == b.step.Slot {
			out = append(out, t.Addr)
		}
	}
	return out
}

// gone is a verdict when the process that passed its check is not there any
// more. A host that cannot be looked at is judged later.
func (b *baking) gone(ctx context.Context) error {
	seen, err := b.x.instances(ctx, b.step)
	if err != nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return b.x.samePassed(b.step, seen)
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

// attribute probes the old release, up to so many times, before the new one is
// blamed: if it fails as well, going back would help nobody.
func (x *effects) attribute(ctx context.Context, verdict error, tries int) error {
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
			err = x.confirmed(ctx, host, plan)
		}
		if err == nil && tries > fewTries {
			err = x.faultless(ctx, host, plan, tries)
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
func (x *effects) confirmed(ctx context.Context, h Host, plan *deploy.Plan) (err error) {
	for range fewTries {
		if _, err = probeHealth(ctx, h, x.oldAddress(plan), x.settings.Health, plan.Old); err == nil {
			return nil
		}
	}
	return err
}

func (x *effects) oldAddress(plan *deploy.Plan) string {
	return "127.0.0.1:" + portText(x.settings.BlueGreen.Port(plan.OldSlot))
}

// oftenFor bounds how long the old release is asked what failed now and then.
const oftenFor = 10 * time.Second

// faultless asks the old slot what users ask, often enough to see a fault that
// shows now and then.
func (x *effects) faultless(ctx context.Context, h Host, plan *deploy.Plan, tries int) error {
	if x.settings.Verify == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, oftenFor)
	defer cancel()
	d := behind(*x.settings.Verify, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return h.Dial(ctx, network, x.oldAddress(plan))
	})
	for range tries {
		if err := d.Once(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
