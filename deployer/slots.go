package deployer

import (
	"context"
	"maps"

	"ipublish/deploy"
)

// instances observes the step's slot on every host.
func (x *effects) instances(ctx context.Context, s deploy.Step) ([]deploy.Instance, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return nil, err
	}
	return eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Instance, error) {
		h, err := x.host(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		return observeOne(ctx, rt, h, id, s)
	})
}

func observeOne(ctx context.Context, rt Runtime, h Host, id deploy.HostID, s deploy.Step) (deploy.Instance, error) {
	ev, err := rt.Observe(ctx, h, s)
	if err != nil {
		return deploy.Instance{}, err
	}
	if len(ev.Instances) != 1 {
		return deploy.Instance{}, &deploy.Error{Code: deploy.CodeInternal, Op: "observe", Subject: string(id), Message: "a runtime must see exactly one instance a slot"}
	}
	in := ev.Instances[0]
	in.Host, in.Slot = id, s.Slot
	return in, nil
}

// start makes every host's slot run the release.
func (x *effects) start(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	var err error
	if s.Env, err = x.environment(s); err != nil {
		return deploy.Evidence{}, err
	}
	return x.onSlots(ctx, s, Runtime.Start)
}

// stop makes every host's slot run nothing of ours.
func (x *effects) stop(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	ev, err := x.onSlots(ctx, s, Runtime.Stop)
	if err != nil {
		return ev, err
	}
	for _, in := range ev.Instances {
		if s.Op == deploy.OpRetire && in.Foreign() {
			return ev, &deploy.Error{Code: deploy.CodeForeign, Op: "retire", Subject: string(in.Host), Message: foreignText(s, in)}
		}
	}
	return ev, nil
}

func (x *effects) environment(s deploy.Step) (map[string]string, error) {
	env, err := x.engine.Drivers.Resolve(maps.Clone(x.settings.Env))
	if err != nil {
		return nil, &deploy.Error{Code: deploy.CodeInvalid, Op: "start", Subject: s.Subject(), Err: err}
	}
	return env, nil
}

// onSlots does one thing to the slot of every host and observes it afterwards.
func (x *effects) onSlots(ctx context.Context, s deploy.Step, do func(Runtime, context.Context, Host, deploy.Step) error) (deploy.Evidence, error) {
	rt, err := x.engine.Drivers.Runtime(x.settings.Runtime)
	if err != nil {
		return deploy.Evidence{}, err
	}
	in, err := eachHost(ctx, s.Hosts, func(ctx context.Context, id deploy.HostID) (deploy.Instance, error) {
		h, err := x.host(id)
		if err != nil {
			return deploy.Instance{}, err
		}
		var seen deploy.Instance
		err = retry(ctx, func(ctx context.Context) error {
			if err := do(rt, ctx, h, s); err != nil {
				return err
			}
			seen, err = observeOne(ctx, rt, h, id, s)
			return err
		})
		return seen, err
	})
	return deploy.Evidence{Instances: in}, err
}
