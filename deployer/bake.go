package deployer

import (
	"context"
	"fmt"
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
		verdict = x.attribute(ctx, verdict, b.blame)
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

	doubt   bool      // the process may be gone
	lookDue time.Time // not before that it is looked for
}

// lookPause is between two looks for the process, however often users' requests
// give reason for one.
const lookPause = 250 * time.Millisecond

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
		if err := b.search(ctx, now); err != nil {
			return err
		}
		due := earlier(health, b.until)
		if b.doubt {
			due = earlier(due, b.lookDue)
		}
		if err := b.x.drive.lookout.await(ctx, time.Until(due)); err != nil {
			return err
		}
		b.doubt = b.x.drive.lookout.doubted() || b.doubt
	}
}

// search looks for the process where users' requests gave reason to.
func (b *baking) search(ctx context.Context, now time.Time) error {
	if !b.doubt || now.Before(b.lookDue) {
		return nil
	}
	b.doubt, b.lookDue = false, now.Add(lookPause)
	return b.gone(ctx)
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
		_, err = probeHealth(ctx, h, localAddress(b.step.Port), health, b.step.Release)
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
		b.doubt = true
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
