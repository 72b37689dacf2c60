package deployer

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"ipublish/deploy"
)

// effects opens the drivers of one plan and performs its steps.
type effects struct {
	engine   *Engine
	target   deploy.Target
	settings deploy.Settings
	drive    *drive      // nil when only looking
	notes    chan string // holds the newest progress line
	hidden   sync.Mutex
	secrets  []string // what references in env resolved to: masked in logs
}

// effects opens a plan's settings: references in what is probed are resolved.
func (e *Engine) effects(t deploy.Target, s deploy.Settings) (*effects, error) {
	x := &effects{engine: e, target: t, settings: s}
	var err error
	if x.settings.Health.Headers, err = e.Drivers.Resolve(s.Health.Headers); err != nil {
		return nil, unresolved("health.headers", err)
	}
	if s.Verify != nil {
		v := *s.Verify
		if v.Headers, err = e.Drivers.Resolve(s.Verify.Headers); err != nil {
			return nil, unresolved("verify.headers", err)
		}
		x.settings.Verify = &v
	}
	env, err := e.Drivers.Resolve(s.Env)
	if err != nil {
		return nil, unresolved("env", err)
	}
	for k, v := range env {
		if v == s.Env[k] {
			delete(env, k)
		}
	}
	x.keepSecret(env)
	return x, nil
}

// keepSecret masks these values in all that is journaled.
func (x *effects) keepSecret(values map[string]string) {
	x.hidden.Lock()
	defer x.hidden.Unlock()
	for _, v := range values {
		if len(v) >= shortestSecret && !slices.Contains(x.secrets, v) {
			x.secrets = append(x.secrets, v)
			if x.drive != nil {
				x.drive.hidden = append(x.drive.hidden, v)
			}
		}
	}
}

func unresolved(key string, err error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "resolve", Subject: key, Message: key + ": " + err.Error(), Err: err}
}

// before observes what the step is about to change: the undo value. What
// cannot be seen is noted; the effect itself decides whether that matters.
func (x *effects) before(ctx context.Context, s deploy.Step) deploy.Evidence {
	ctx, cancel := context.WithTimeout(ctx, outcomePatience)
	defer cancel()
	var ev deploy.Evidence
	var err error
	switch s.Op {
	case deploy.OpRetire, deploy.OpStart, deploy.OpStop:
		ev.Instances, err = x.instances(ctx, s)
		if err == nil && s.Op == deploy.OpRetire {
			ev.Traffic, err = x.traffic(ctx, x.routeOf(s))
		}
	case deploy.OpRoute, deploy.OpDrain, deploy.OpAccept, deploy.OpAdopt:
		ev.Traffic, err = x.traffic(ctx, s)
	}
	if err != nil {
		ev.Note = "not seen before: " + deploy.MessageOf(err)
	}
	return ev
}

// routeOf is the plan's route, to look at the balancer during another step.
func (x *effects) routeOf(s deploy.Step) deploy.Step {
	if x.drive != nil && x.drive.st.Plan != nil {
		for _, st := range x.drive.st.Plan.Steps {
			if st.Op == deploy.OpRoute {
				return st
			}
		}
	}
	return s
}

// run makes the step's truth so and returns the proof.
func (x *effects) run(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	switch s.Op {
	case deploy.OpFront:
		return x.front(ctx)
	case deploy.OpFetch:
		return x.fetch(ctx, s)
	case deploy.OpBuild:
		return x.build(ctx, s)
	case deploy.OpStage:
		return x.stage(ctx, s)
	case deploy.OpRetire, deploy.OpStop:
		return x.stop(ctx, s)
	case deploy.OpStart:
		return x.start(ctx, s)
	case deploy.OpCheck:
		return x.check(ctx, s)
	case deploy.OpRoute:
		return x.route(ctx, s)
	case deploy.OpBake:
		return x.bake(ctx, s)
	case deploy.OpDrain:
		return x.drain(ctx, s)
	case deploy.OpPrune:
		return x.prune(ctx, s)
	case deploy.OpAccept:
		return x.accept(ctx, s)
	case deploy.OpAdopt:
		return x.adopt(ctx, s)
	case deploy.OpHook:
		return x.hook(ctx, s)
	case deploy.OpIdle:
		return x.idle(ctx, s)
	}
	return deploy.Evidence{}, &deploy.Error{Code: deploy.CodeInternal, Op: string(s.Op), Message: "no effect for this operation"}
}

// eachHost runs work on every host at once and returns the results sorted by
// host, with the error of the first host that has one.
func eachHost[T any](ctx context.Context, hosts []deploy.HostID, work func(context.Context, deploy.HostID) (T, error)) ([]T, error) {
	type result struct {
		host  deploy.HostID
		value T
		err   error
	}
	results := make([]result, len(hosts))
	var wg sync.WaitGroup
	for i, id := range hosts {
		wg.Go(func() {
			v, err := work(ctx, id)
			if err != nil {
				err = &deploy.Error{Code: deploy.CodeOf(err), Op: "on", Subject: string(id), Message: deploy.MessageOf(err), Log: logOf(err), Err: err}
			}
			results[i] = result{id, v, err}
		})
	}
	wg.Wait()
	slices.SortStableFunc(results, func(a, b result) int { return cmp.Compare(a.host, b.host) })
	values := make([]T, 0, len(results))
	for _, r := range results {
		if r.err != nil {
			return nil, r.err
		}
		values = append(values, r.value)
	}
	return values, nil
}

// host opens a host of the plan.
func (x *effects) host(id deploy.HostID) (Host, error) {
	h, ok := x.settings.Host(id)
	if !ok {
		return nil, &deploy.Error{Code: deploy.CodeNotFound, Op: "open host", Subject: string(id), Message: "the plan names a host that it does not hold"}
	}
	return x.engine.Drivers.Host(h)
}

// balancer opens the plan's balancer; it may run on this machine or on a host of the plan.
func (x *effects) balancer() (Balancer, error) {
	return x.engine.Drivers.Balancer(x.target, x.settings.Balancer, func(name string) (Host, error) {
		for _, h := range x.settings.Hosts {
			if string(h.ID) == name {
				return x.engine.Drivers.Host(h)
			}
		}
		if name == "local" {
			return x.engine.Drivers.Host(botHost())
		}
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "open balancer", Subject: name,
			Message: "the balancer's host " + name + " is neither local nor a host of the environment"}
	})
}

// traffic asks the balancer for its own view.
func (x *effects) traffic(ctx context.Context, s deploy.Step) (*deploy.Traffic, error) {
	b, err := x.balancer()
	if err != nil {
		return nil, err
	}
	ev, err := b.Observe(ctx, s)
	return ev.Traffic, err
}
