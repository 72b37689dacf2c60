package deployer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// followPatience is how long a balancer may take, beyond the time that it is
// known to need, until it sends or no longer sends traffic to a host: three
// checks a minute apart, and more.
const followPatience = 5 * time.Minute

// outPatience is how long a balancer may be unclear about hosts that it was
// proven to send nothing to.
const outPatience = 10 * time.Second

// muster completes a rolling step: hosts that are left behind are not in it, and
// each gets back the weight that the ledger recorded.
func (d *drive) muster(s deploy.Step) deploy.Step {
	behind := func(id deploy.HostID) bool { return d.st.Behind(id) }
	s.Hosts = slices.DeleteFunc(slices.Clone(s.Hosts), behind)
	s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), func(t deploy.Endpoint) bool { return behind(t.Host) })
	if s.Op != deploy.OpIn {
		return s
	}
	live, err := d.engine.Ledger.Live(d.st.Target)
	for i, t := range s.Targets {
		if out := live.Hosts.Get(t.Host).Out; err == nil && out != nil {
			s.Targets[i].Weight = out.Weight
		}
	}
	return s
}

// one is the step about a single host of it.
func one(s deploy.Step, id deploy.HostID) deploy.Step {
	s.Hosts = []deploy.HostID{id}
	s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), func(t deploy.Endpoint) bool { return t.Host != id })
	return s
}

// out takes the hosts out of traffic, where the floor allows it, and waits until
// the balancer really sends them nothing.
func (x *effects) out(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	if len(s.Hosts) == 0 {
		return deploy.Evidence{}, nil // all of them are left behind
	}
	err := x.floor(ctx, s)
	if err == nil {
		var ev deploy.Evidence
		if ev, err = x.turn(ctx, s); err == nil {
			return ev, nil
		}
	}
	return deploy.Evidence{Traffic: x.seenNow(ctx, s)}, err
}

// in gives the hosts traffic: what passed the check must still run and answer.
func (x *effects) in(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	if err := x.fit(ctx, s); err != nil {
		return deploy.Evidence{}, err
	}
	ev, err := x.turn(ctx, s)
	if err == nil {
		x.drive.lookout.mark()
	}
	if err == nil && x.settings.Verify != nil {
		ctx, cancel := context.WithTimeout(ctx, reachPatience)
		defer cancel()
		ev.Probe, err = x.verifySwitch(ctx, s)
	}
	if err == nil {
		ev.Note = x.enable(ctx, s)
	}
	return ev, err
}

// fit wants on each host the very process that passed the check, answering.
func (x *effects) fit(ctx context.Context, s deploy.Step) error {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return err
	}
	live, err := x.engine.Ledger.Live(x.target)
	if err != nil {
		return err
	}
	_, err = eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (struct{}, error) {
		return struct{}{}, x.patiently(ctx, func(ctx context.Context) error {
			h, err := x.host(id)
			if err != nil {
				return err
			}
			now, err := x.observeOne(ctx, rt, h, id, s)
			if err != nil {
				return err
			}
			if then := live.Hosts.Get(id).Instance; !then.Passed || now.PID != then.PID || now.Started != then.Started || !now.Owned {
				return &deploy.Error{Code: deploy.CodeUnhealthy, Op: string(s.Op), Subject: string(id), Log: now.Log,
					Message: fmt.Sprintf("what runs on %s is not the process that passed its check any more", id)}
			}
			return x.passesAs(ctx, h, s.Port)
		})
	})
	return err
}

// turn makes the balancer treat each host as the step's targets say, and waits
// until it does.
func (x *effects) turn(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	b, err := x.balancer()
	if err != nil {
		return deploy.Evidence{}, err
	}
	watcher, err := x.watcher()
	if err != nil {
		return deploy.Evidence{}, err
	}
	seen, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Traffic, error) {
		step := one(s, id)
		if err := x.patiently(ctx, func(ctx context.Context) error { return b.Route(ctx, step) }); err != nil {
			return deploy.Traffic{}, err
		}
		return x.follow(ctx, watcher, step)
	})
	all := joinTraffic(seen)
	return deploy.Evidence{Traffic: &all}, err
}

// follow waits until the balancer's evidence shows the host as it should be, for
// as long as the balancer may take to notice.
func (x *effects) follow(ctx context.Context, b Balancer, s deploy.Step) (deploy.Traffic, error) {
	var since time.Time // that it was seen as it should be, without a break
	began, last := time.Now(), ""
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		var ev deploy.Evidence
		err := x.patiently(ctx, func(ctx context.Context) (err error) { ev, err = b.Observe(ctx, s); return err })
		if err != nil {
			return deploy.Traffic{}, err
		}
		settle := time.Duration(0)
		if as(s, ev.Traffic) {
			settle = ev.Traffic.Settle.D()
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) >= settle {
				return *ev.Traffic, nil
			}
		} else {
			since, last = time.Time{}, ev.Note
		}
		if since.IsZero() && time.Since(began) > followPatience {
			return deploy.Traffic{}, notFollowed(s, last)
		}
		if settle > 0 {
			pause = max(pause, min(time.Until(since.Add(settle)), 500*time.Millisecond))
		}
		if !wait(ctx, pause) {
			return deploy.Traffic{}, notFollowed(s, last)
		}
	}
}

// as reports whether the balancer treats every target as the step wants it.
func as(s deploy.Step, t *deploy.Traffic) bool {
	if t == nil {
		return false
	}
	for _, e := range s.Targets {
		where := t.Down
		if e.Up {
			where = t.Up
		}
		if !slices.Contains(where, e.Addr) {
			return false
		}
	}
	return true
}

func notFollowed(s deploy.Step, note string) error {
	e := &deploy.Error{Code: deploy.CodeTimeout, Op: string(s.Op), Subject: string(s.Hosts[0])}
	switch {
	case s.Op == deploy.OpIn && note != "":
		e.Message = fmt.Sprintf("%s is healthy, but the balancer does not send it traffic: %s", s.Hosts[0], note)
	case s.Op == deploy.OpIn:
		e.Message = fmt.Sprintf("%s is healthy, but the balancer does not send it traffic: see what its own check of the host says", s.Hosts[0])
	case note != "":
		e.Message = fmt.Sprintf("the balancer does not stop to send traffic to %s: %s", s.Hosts[0], note)
	default:
		e.Message = fmt.Sprintf("the balancer does not stop to send traffic to %s: see that it checks what ipublish changes", s.Hosts[0])
	}
	return e
}

// joinTraffic is the view of several hosts as one.
func joinTraffic(list []deploy.Traffic) deploy.Traffic {
	var all deploy.Traffic
	for _, t := range list {
		all.Up, all.Down = append(all.Up, t.Up...), append(all.Down, t.Down...)
		all.Settle = max(all.Settle, t.Settle)
	}
	slices.Sort(all.Up)
	slices.Sort(all.Down)
	return all
}

// away reports whether a host cannot be looked at now.
func (x *effects) away(ctx context.Context, id deploy.HostID) bool {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return false
	}
	h, err := x.host(id)
	if err == nil {
		_, err = x.observeOne(ctx, rt, h, id, x.fleetRoute())
	}
	return passing(err)
}

// outOfTraffic refuses to stop a host of which the balancer does not say that it
// gets no traffic: somebody put it back, or the balancer forgot.
func (x *effects) outOfTraffic(ctx context.Context, s deploy.Step) error {
	b, err := x.watcher()
	if err != nil || len(s.Targets) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outPatience)
	defer cancel()
	for {
		var ev deploy.Evidence
		err := retry(ctx, func(ctx context.Context) (err error) { ev, err = b.Observe(ctx, s); return err })
		if err != nil {
			return err
		}
		if as(s, ev.Traffic) {
			return nil
		}
		if wait(ctx, 200*time.Millisecond) {
			continue
		}
		why := ev.Note
		if why == "" {
			why = "it was put back by somebody else, or the balancer was started anew"
		}
		return &deploy.Error{Code: deploy.CodeHold, Op: string(s.Op), Subject: string(s.Hosts[0]),
			Message: fmt.Sprintf("the balancer does not say that %s is out of traffic, so it is not stopped (%s): take it out again, then `resume %s`", someHosts(s), why, x.drive.id)}
	}
}

func someHosts(s deploy.Step) string {
	names := make([]string, len(s.Hosts))
	for i, id := range s.Hosts {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}

// drained is what ended the wait for one host's work.
type drained struct {
	host deploy.HostID
	how  string
	left int
}

// drainHosts waits until nothing is in flight to the hosts: by the balancer's
// own count where it has one, else by the connections on the host, or until the
// drain time is over. Which of them it was is recorded.
func (x *effects) drainHosts(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	b, err := x.watcher()
	if err != nil {
		return deploy.Evidence{}, err
	}
	over, cancel := context.WithTimeout(ctx, s.Hold.D())
	defer cancel()
	seen, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (drained, error) {
		return x.drainHost(ctx, over, b, one(s, id))
	})
	var notes []string
	ev := deploy.Evidence{}
	for _, d := range seen {
		if d.left > 0 {
			ev.TimedOut = true
		}
		notes = append(notes, fmt.Sprintf("%s: %d in flight, %s", d.host, d.left, d.how))
	}
	ev.Note = strings.Join(notes, "; ")
	return ev, err
}

func (x *effects) drainHost(ctx, over context.Context, b Balancer, s deploy.Step) (drained, error) {
	d := drained{host: s.Hosts[0]}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := x.patiently(ctx, func(ctx context.Context) (err error) { d.left, d.how, err = x.working(ctx, b, s); return err })
		if err != nil || d.left == 0 || !wait(over, pause) {
			return d, orEnded(ctx, err)
		}
	}
}

func orEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// working counts what is in flight to one host.
func (x *effects) working(ctx context.Context, b Balancer, s deploy.Step) (left int, how string, err error) {
	ev, err := b.Observe(ctx, s)
	if err != nil {
		return 0, "", err
	}
	for _, t := range s.Targets {
		if ev.Traffic == nil {
			break
		}
		if n, told := ev.Traffic.InFlight[t.Addr]; told && n >= 0 {
			return n, "told by the balancer", nil
		}
	}
	h, err := x.host(s.Hosts[0])
	if err != nil {
		return 0, "", err
	}
	c, err := busyConnections(ctx, h, s.Port, x.settings.IdleAfter.D())
	return c.Busy, c.How, err
}
