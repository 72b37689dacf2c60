package deployer

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
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
	epoch    uint64   // of the step under way; 0: nothing is being changed
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
		body, err := e.Drivers.Resolve(map[string]string{"body": v.Body})
		if err != nil {
			return nil, unresolved("verify.body", err)
		}
		if v.Body = body["body"]; v.Body != s.Verify.Body {
			x.keepSecret(body)
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
	if err := x.keepSection(s.Runtime); err != nil {
		return nil, unresolved("runtime", err)
	}
	if err := x.keepSection(s.Balancer); err != nil {
		return nil, unresolved("balancer", err)
	}
	return x, nil
}

// keepSection masks what references in a driver's section resolve to: its
// programs may print it.
func (x *effects) keepSection(s deploy.Section) error {
	var v any
	if len(s.Settings) == 0 || json.Unmarshal(s.Settings, &v) != nil {
		return nil // its driver says what is wrong with it
	}
	found := map[string]string{}
	collect(v, found)
	values, err := x.engine.Drivers.Resolve(found)
	if err != nil {
		return err
	}
	for text, value := range values {
		if value == text {
			delete(values, text)
		}
	}
	x.keepSecret(values)
	return nil
}

// collect finds the texts of a section that hold references.
func collect(v any, found map[string]string) {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${") {
			found[v] = v
		}
	case []any:
		for _, one := range v {
			collect(one, found)
		}
	case map[string]any:
		for _, one := range v {
			collect(one, found)
		}
	}
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
		if x.settings.Rolling != nil {
			return ev // the plan says how each host was, and the ledger what it runs
		}
		ev.Instances, err = x.instances(ctx, s)
		if err == nil && s.Op == deploy.OpRetire {
			ev.Traffic, err = x.traffic(ctx, x.routeOf(s))
		}
	case deploy.OpRoute, deploy.OpDrain, deploy.OpAccept, deploy.OpAdopt, deploy.OpOut, deploy.OpIn:
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
		if x.settings.Rolling != nil {
			return x.drainHosts(ctx, s)
		}
		return x.drain(ctx, s)
	case deploy.OpOut:
		return x.out(ctx, s)
	case deploy.OpIn:
		return x.in(ctx, s)
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

// host opens a host of the plan.
func (x *effects) host(id deploy.HostID) (Host, error) {
	h, ok := x.settings.Host(id)
	if !ok {
		return nil, &deploy.Error{Code: deploy.CodeNotFound, Op: "open host", Subject: string(id), Message: "the plan names a host that it does not hold"}
	}
	return x.engine.Drivers.Host(h)
}

// fencedHost opens a host of the plan for a change: an older command of ours
// that was lost on the way cannot act after it.
func (x *effects) fencedHost(id deploy.HostID) (Host, error) {
	h, err := x.host(id)
	if err != nil || x.epoch == 0 {
		return h, err
	}
	return fence(h, path.Join(x.settings.ReleaseDir, x.target.App, x.target.Env, ".epoch"), x.epoch), nil
}

// balancer opens the plan's balancer for a change; it may run on this machine or
// on a host of the plan.
func (x *effects) balancer() (Balancer, error) { return x.balancerVia(x.fencedHost) }

// watcher opens the plan's balancer to look only: that waits for no other command.
func (x *effects) watcher() (Balancer, error) { return x.balancerVia(x.host) }

func (x *effects) balancerVia(open func(deploy.HostID) (Host, error)) (Balancer, error) {
	return x.engine.Drivers.Balancer(x.target, x.settings.Balancer, func(name string) (Host, error) {
		if h, ok := x.settings.Host(deploy.HostID(name)); ok {
			return open(h.ID)
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
	b, err := x.watcher()
	if err != nil {
		return nil, err
	}
	ev, err := b.Observe(ctx, s)
	return ev.Traffic, err
}
