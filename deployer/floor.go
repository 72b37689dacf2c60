package deployer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ipublish/deploy"
)

// floorPatience is how long too few healthy hosts are waited for before a person
// is needed.
const floorPatience = 30 * time.Second

// lookTimeout is how long one host may take to be looked at; one that does not
// answer counts as not in service.
const lookTimeout = 10 * time.Second

// shortestLook is what a host gets at least, however impatient the configuration.
const shortestLook = 3 * time.Second

// floor refuses to take hosts out when fewer than min_healthy others would be
// healthy and in traffic. Hosts that serve nobody can always be worked on, and
// before anything was live there is nothing to keep up.
func (x *effects) floor(ctx context.Context, s deploy.Step) error {
	if first, err := x.first(); err != nil || first {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, floorPatience)
	defer cancel()
	seen, last := -1, error(nil)
	for {
		others, leaving, err := x.inService(ctx, s.Hosts)
		switch {
		case err == nil && (leaving == 0 || others >= x.settings.Rolling.MinHealthy):
			return nil
		case err == nil:
			seen = others
		case !passing(err) && ctx.Err() == nil:
			return err
		case last == nil || ctx.Err() == nil:
			last = err
		}
		if wait(ctx, time.Second) {
			continue
		}
		if seen < 0 {
			return last
		}
		return &deploy.Error{Code: deploy.CodeHold, Op: string(s.Op), Subject: string(s.Hosts[0]),
			Message: fmt.Sprintf("%d other hosts are healthy and in traffic, and min_healthy is %d, so %s is not taken out: mend the others, then `resume %s`", seen, x.settings.Rolling.MinHealthy, s.Hosts[0], x.drive.id)}
	}
}

// first reports whether nothing served before this deploy.
func (x *effects) first() (bool, error) {
	live, err := x.engine.Ledger.Live(x.target)
	served := slices.ContainsFunc(x.drive.st.Plan.Fleet, func(m deploy.Member) bool { return m.Served })
	return live.Slot == "" && !served, err
}

// inService counts the hosts that are healthy and in traffic: those of the step,
// and all others. Those that the deploy left behind may not answer at all, so
// they are asked only where the others are too few.
func (x *effects) inService(ctx context.Context, of []deploy.HostID) (others, leaving int, err error) {
	route := x.fleetRoute()
	all := len(route.Targets)
	route.Targets = slices.DeleteFunc(route.Targets, func(t deploy.Endpoint) bool { return x.drive.st.Behind(t.Host) })
	others, leaving, err = x.countServing(ctx, route, of)
	if err != nil || leaving == 0 || others >= x.settings.Rolling.MinHealthy || len(route.Targets) == all {
		return others, leaving, err
	}
	return x.countServing(ctx, x.fleetRoute(), of)
}

func (x *effects) countServing(ctx context.Context, route deploy.Step, of []deploy.HostID) (others, leaving int, err error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return 0, 0, err
	}
	t, err := x.traffic(ctx, route)
	if err != nil || t == nil {
		return 0, 0, err
	}
	var up []deploy.HostID
	for _, e := range route.Targets {
		untold := slices.Contains(of, e.Host) && !slices.Contains(t.Down, e.Addr)
		if untold || slices.Contains(t.Up, e.Addr) {
			up = append(up, e.Host)
		}
	}
	live, err := x.engine.Ledger.Live(x.target)
	if err != nil {
		return 0, 0, err
	}
	counts, err := eachHost(ctx, up, func(ctx context.Context, id deploy.HostID) (bool, error) {
		own, err := x.counts(ctx, rt, id, route, slices.Contains(of, id))
		return own, err
	})
	slices.Sort(up)
	for i, ok := range counts {
		switch {
		case !ok:
		case slices.Contains(of, up[i]):
			leaving++
		case live.Hosts.Get(up[i]).Out != nil: // the balancer may not have noticed yet
		default:
			others++
		}
	}
	return others, leaving, err
}

// counts reports whether a host in traffic counts as in service. One that is
// about to leave counts, also where the balancer cannot tell, unless it was seen to be unhealthy: that it is not
// reached from here does not mean that it serves nobody.
func (x *effects) counts(ctx context.Context, rt Runtime, id deploy.HostID, s deploy.Step, leaves bool) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	h, err := x.host(id)
	if err != nil {
		return leaves, nil
	}
	if x.passesAs(limited, h, s.Port) == nil {
		return true, nil
	}
	if ctx.Err() != nil || !leaves {
		return false, ctx.Err()
	}
	_, err = x.observeOne(limited, rt, h, id, s)
	return err != nil, ctx.Err()
}

// fleetRoute is the step that names every host of the environment.
func (x *effects) fleetRoute() deploy.Step {
	_, route := deploy.ObserveSteps(deploy.App{Name: x.target.App}, deploy.Environment{
		Name: x.target.Env, Hosts: x.settings.Hosts, Rolling: x.settings.Rolling, ReleaseDir: x.settings.ReleaseDir}, deploy.Live{})
	return route
}

// passesAs probes twice before it says that whatever runs there is not healthy.
func (x *effects) passesAs(ctx context.Context, h Host, port int) (err error) {
	for range 2 {
		if _, err = probeHealth(ctx, h, localAddress(port), x.settings.Health, deploy.Release{}); err == nil {
			return nil
		}
	}
	return err
}

// look sees how every host of the environment is: what runs there, whether it
// passes the check as whatever release, and whether the balancer sends it
// traffic. A host that cannot be looked at says so; the error is the balancer's.
func (x *effects) look(ctx context.Context) (map[deploy.HostID]deploy.Sight, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return nil, err
	}
	route := x.fleetRoute()
	sights, err := eachHost(ctx, route.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Sight, error) {
		sight := x.lookAt(ctx, rt, id, route)
		sight.Instance.Host = id
		return sight, nil
	})
	if err != nil {
		return nil, err
	}
	out := map[deploy.HostID]deploy.Sight{}
	for _, s := range sights {
		out[s.Instance.Host] = s
	}
	route.Targets = slices.DeleteFunc(route.Targets, func(t deploy.Endpoint) bool { return out[t.Host].Err != nil })
	t, err := x.traffic(ctx, route)
	for _, e := range route.Targets {
		s := out[e.Host]
		s.Up = t != nil && slices.Contains(t.Up, e.Addr)
		out[e.Host] = s
	}
	return out, err
}

func (x *effects) lookAt(ctx context.Context, rt Runtime, id deploy.HostID, s deploy.Step) (sight deploy.Sight) {
	ctx, cancel := context.WithTimeout(ctx, min(lookTimeout, max(x.patience(), shortestLook)))
	defer cancel()
	h, err := x.host(id)
	if err == nil {
		err = retry(ctx, func(ctx context.Context) (err error) {
			sight.Instance, err = x.observeOne(ctx, rt, h, id, s)
			return err
		})
	}
	if err != nil {
		sight.Err = onHost(id, err)
		return sight
	}
	sight.Healthy = x.passesAs(ctx, h, s.Port) == nil
	return sight
}
