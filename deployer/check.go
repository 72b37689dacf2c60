package deployer

import (
	"context"
	"fmt"
	"time"

	"ipublish/deploy"
)

// reachPatience is how long the balancer's machine may take to reach a healthy instance.
const reachPatience = 10 * time.Second

// bootPause is the pause between two probes until the first pass: with what the
// probe and the look at the process take, a release is seen to be up 25 ms after
// it is, on average.
const bootPause = 20 * time.Millisecond

// check is the gate: on every host the slot answers as this very release for
// the step's Hold, by one process that does not change.
func (x *effects) check(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return deploy.Evidence{}, err
	}
	in, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Instance, error) {
		h, err := x.host(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		g := &gate{observe: x.observeOne, host: h, id: id, runtime: rt, step: s, health: x.settings.Health, patience: x.patience()}
		return g.pass(ctx)
	})
	if err == nil && x.settings.Rolling == nil {
		err = x.reached(ctx, s)
	}
	return deploy.Evidence{Instances: in}, err
}

// reached proves that the balancer's own machine reaches what is about to get
// traffic at the address it will use. On the way back nothing is asked: the old
// slot had traffic there.
func (x *effects) reached(ctx context.Context, s deploy.Step) error {
	b, err := x.balancer()
	from, ok := b.(Reacher)
	if err != nil || !ok || x.drive.st.Undo != nil {
		return err
	}
	for _, t := range x.routeOf(s).Targets {
		if t.Slot != s.Slot || !t.Up {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, reachPatience)
		err := retry(limited, func(ctx context.Context) error {
			_, err := probeHealth(ctx, from, t.Addr, x.settings.Health, s.Release)
			return transient(err)
		})
		cancel()
		if err != nil {
			return &deploy.Error{Code: deploy.CodeRefused, Op: "reach", Subject: t.Addr, Err: err,
				Message: fmt.Sprintf("%s is healthy on its host, but the balancer's machine does not get this answer at %s (%s): correct the host's address, or open the port", s.Slot, t.Addr, deploy.MessageOf(err))}
		}
	}
	return nil
}

// transient makes a failed probe one that is worth repeating.
func transient(err error) error {
	if err == nil {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Message: deploy.MessageOf(err), Err: err}
}

// gate watches one instance until it has passed or failed.
type gate struct {
	observe func(context.Context, Runtime, Host, deploy.HostID, deploy.Step) (deploy.Instance, error)
	host    Host
	id      deploy.HostID
	runtime Runtime
	step    deploy.Step
	health  deploy.Health

	patience  time.Duration // of a host that is not reached; 0: as long as the step's
	unreached error         // why the host could not be looked at
	lost      time.Time     // since when

	seen     deploy.Instance // at the last look
	looked   time.Time
	first    deploy.Instance
	once     bool      // it was healthy at least once: it is no longer booting
	since    time.Time // of the first pass in a row
	passes   int
	failures int
	last     error // of the last probe that failed
	status   int
}

// pass probes until the instance has been healthy for long enough.
func (g *gate) pass(ctx context.Context) (deploy.Instance, error) {
	for {
		status, err := probeHealth(ctx, g.host, g.address(), g.health, g.step.Release)
		if ctx.Err() != nil {
			return g.seen, g.late(ctx)
		}
		g.status = status
		if err == nil {
			done, err := g.passed(ctx)
			if done || err != nil {
				return g.seen, err
			}
		} else if err := g.failed(ctx, err); err != nil {
			return g.seen, err
		}
		if !wait(ctx, g.pause()) {
			return g.seen, g.late(ctx)
		}
	}
}

func (g *gate) address() string { return localAddress(g.step.Port) }

// pause is short until the first pass and never longer than what is left of the hold.
func (g *gate) pause() time.Duration {
	if !g.once {
		return min(bootPause, g.health.Interval.D())
	}
	if g.since.IsZero() {
		return g.health.Interval.D()
	}
	left := g.step.Hold.D() - time.Since(g.since)
	return max(min(g.health.Interval.D(), left), time.Millisecond)
}

// passed counts a good answer; true when the gate is passed by one and the
// same process of this release from the first answer to the last.
func (g *gate) passed(ctx context.Context) (bool, error) {
	fresh := g.since.IsZero()
	if fresh {
		if ok, err := g.confirm(ctx); !ok {
			return false, err
		}
		g.since, g.first, g.once = time.Now(), g.seen, true
	}
	g.passes, g.failures = g.passes+1, 0
	if g.passes < g.health.SuccessThreshold || time.Since(g.since) < g.step.Hold.D() {
		return false, nil
	}
	if !fresh {
		if ok, err := g.confirm(ctx); !ok {
			return false, err
		}
	}
	if g.seen.PID != g.first.PID || g.seen.Started != g.first.Started {
		g.since, g.passes = time.Time{}, 0 // a restart voids what was passed
		return false, nil
	}
	g.seen.Passed, g.seen.Status = true, g.status
	return true, nil
}

// confirm looks who answered; a wrong or unseen process starts the wait anew,
// a dead one ends it.
func (g *gate) confirm(ctx context.Context) (bool, error) {
	looked, err := g.look(ctx)
	if err != nil {
		return false, err
	}
	if looked {
		if err = g.identity(); err == nil {
			return true, nil
		}
		g.last = err
	}
	g.since, g.passes = time.Time{}, 0
	return false, g.died()
}

// failed counts a bad answer: before the first pass it is still booting, after
// it the time of being healthy begins anew.
func (g *gate) failed(ctx context.Context, err error) error {
	g.last, g.passes, g.since = err, 0, time.Time{}
	if !g.once {
		if time.Since(g.looked) < 500*time.Millisecond {
			return nil
		}
		if _, err := g.look(ctx); err != nil {
			return err
		}
		return g.died()
	}
	g.failures++
	if g.failures < g.health.FailureThreshold {
		return nil
	}
	if looked, err := g.look(ctx); err != nil || !looked && g.patience > 0 {
		return err
	}
	return g.unhealthy(fmt.Sprintf("was healthy, then failed %d checks in a row: %s", g.failures, deploy.MessageOf(err)))
}

// look observes the instance; false when its host did not answer this time.
func (g *gate) look(ctx context.Context) (bool, error) {
	in, err := g.observe(ctx, g.runtime, g.host, g.id, g.step)
	if passing(err) {
		if g.unreached = err; g.lost.IsZero() {
			g.lost = time.Now()
		}
		if g.patience > 0 && time.Since(g.lost) >= g.patience {
			return false, err
		}
		return false, nil
	}
	g.unreached, g.lost = nil, time.Time{}
	if err != nil {
		return false, err
	}
	g.seen, g.looked = in, time.Now()
	return true, nil
}
