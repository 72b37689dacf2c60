package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// route checks the balancer and tells what it says; nil: nothing. reached are the
// hosts that answer.
func (k *checking) route(ctx context.Context, name string, a deploy.App, e deploy.Environment, reached []deploy.Host) *deploy.Traffic {
	seen, err := k.balancer(ctx, a, e)
	if e.Balancer.Driver == "proxy" && deploy.CodeOf(err) == deploy.CodeUnavailable && !k.served() {
		k.note(name + ": the built-in proxy does not run yet: `ipublish serve` starts it")
		return nil
	}
	k.fact(name+": balancer "+e.Balancer.Driver+" answers", err)
	if e.Rolling != nil && err == nil && seen.Traffic != nil {
		k.inAndOut(name, a, e, seen, reached)
	}
	return seen.Traffic
}

// inAndOut says which hosts of a rolling environment are in traffic.
func (k *checking) inAndOut(name string, a deploy.App, e deploy.Environment, seen deploy.Evidence, reached []deploy.Host) {
	var in, out, untold, silent []deploy.HostID
	_, route := deploy.ObserveSteps(a, e, deploy.Live{})
	for _, t := range route.Targets {
		switch {
		case slices.Contains(seen.Traffic.Up, t.Addr):
			in = append(in, t.Host)
		case slices.Contains(seen.Traffic.Down, t.Addr):
			out = append(out, t.Host)
		case slices.ContainsFunc(reached, func(h deploy.Host) bool { return h.ID == t.Host }):
			untold = append(untold, t.Host)
		default:
			silent = append(silent, t.Host) // told with the hosts
		}
	}
	k.note(fmt.Sprintf("%s: %d of %d hosts are in traffic", name, len(in), len(route.Targets)))
	if len(silent) > 0 {
		k.warn(fmt.Sprintf("%s: whether they are in traffic cannot be told of hosts that cannot be used: %d", name, len(silent)))
	}
	if len(out) > 0 {
		k.note(fmt.Sprintf("%s: out of traffic: %s", name, listed(out)))
	}
	if len(untold) > 0 {
		k.warn(fmt.Sprintf("%s: whether they are in traffic cannot be told: %s (%s)", name, listed(untold), seen.Note))
	}
	if len(in) < e.Rolling.MinHealthy {
		k.warn(fmt.Sprintf("%s: that is less than min_healthy, %d: a deploy takes no host out before enough others are back", name, e.Rolling.MinHealthy))
	}
}

// served reports whether a proxy has ever run for this state folder.
func (k *checking) served() bool {
	where := layout(k.cfg.StateDir)
	for _, path := range []string{where.proxyState(), where.proxyLog()} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// frontDoor probes it; before the first deploy nothing answers there.
func (k *checking) frontDoor(ctx context.Context, name string, v deploy.Verify, traffic *deploy.Traffic) {
	door := deployer.FrontDoor{}.Open(v)
	defer door.Close()
	err := door.Once(ctx)
	if err != nil && (traffic == nil || len(traffic.Up) == 0) {
		k.note(fmt.Sprintf("%s: front door %s: nothing is deployed yet (%s)", name, v.URL, deploy.MessageOf(err)))
		return
	}
	k.fact(name+": front door "+v.URL+" answers", err)
}

// balancer asks the balancer of an environment.
func (k *checking) balancer(ctx context.Context, a deploy.App, e deploy.Environment) (deploy.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceFor(e))
	defer cancel()
	b, err := k.openBalancer(a, e)
	if err != nil {
		return deploy.Evidence{}, err
	}
	_, route := deploy.ObserveSteps(a, e, deploy.Live{})
	seen, err := b.Observe(ctx, route)
	f, ok := b.(interface {
		Foreign(context.Context, deploy.Step) error
	})
	if !ok || err != nil || seen.Traffic == nil || len(seen.Traffic.Up) > 0 {
		return seen, err
	}
	err = f.Foreign(ctx, route) // what a team's own configuration has to hand over first
	if err != nil && k.nothingRuns(ctx, a, e) {
		err = toDeploy(err, deploy.Target{App: a.Name, Env: e.Name})
	}
	return seen, err
}

// patienceFor grows with the hosts that a balancer may have to ask.
func patienceFor(e deploy.Environment) time.Duration {
	return checkPatience * time.Duration(1+len(e.Hosts)/atOnce)
}

func (k *checking) openBalancer(a deploy.App, e deploy.Environment) (deployer.Balancer, error) {
	return k.drivers.Balancer(deploy.Target{App: a.Name, Env: e.Name}, e.Balancer, func(name string) (deployer.Host, error) {
		for _, h := range e.Hosts {
			if string(h.ID) == name {
				return k.drivers.Host(h)
			}
		}
		if name != "local" {
			return nil, unfit("the balancer's host %s is neither local nor a host of the environment", name)
		}
		return k.drivers.Host(deploy.Host{ID: "local", Driver: deploy.Section{Driver: "local"}})
	})
}

// nothingRuns reports whether no slot of any host holds a process, so that there
// is nothing to adopt.
func (k *checking) nothingRuns(ctx context.Context, a deploy.App, e deploy.Environment) bool {
	rt, err := k.drivers.Runtime(a.Runtime)
	if err != nil {
		return false
	}
	slots, _ := deploy.ObserveSteps(a, e, deploy.Live{})
	for _, h := range e.Hosts {
		host, err := k.drivers.Host(h)
		if err != nil {
			return false
		}
		for _, s := range slots {
			seen, err := rt.Observe(ctx, host, s)
			if err != nil || slices.ContainsFunc(seen.Instances, func(in deploy.Instance) bool { return in.PID != 0 || in.PortPID != 0 }) {
				return false
			}
		}
	}
	return true
}

// toDeploy has the first deploy where a balancer's refusal names the adoption of
// what runs: both write the balancer's file, and only one of them can be done.
func toDeploy(err error, t deploy.Target) error {
	adopt, first := fmt.Sprintf("`adopt %s %s`", t.App, t.Env), fmt.Sprintf("`deploy %s to %s`", t.App, t.Env)
	text := strings.NewReplacer(adopt+", or the deploy again", first, adopt, first, "and adopt again", "and deploy again").Replace(deploy.MessageOf(err))
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "check", Message: text, Err: err}
}
