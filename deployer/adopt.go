package deployer

import (
	"context"
	"fmt"

	"ipublish/deploy"
)

// adopt takes the process that somebody else started on the slot's port as the
// live release: it must answer, and then the balancer is told to send traffic to
// it and nowhere else, as it does already.
func (x *effects) adopt(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	b, err := x.balancer()
	if err != nil {
		return deploy.Evidence{}, err
	}
	var ev deploy.Evidence
	err = retry(ctx, func(ctx context.Context) error {
		if ev.Instances, err = x.answering(ctx, s); err != nil {
			return err
		}
		if err := b.Route(ctx, s); err != nil {
			return err
		}
		seen, err := b.Observe(ctx, s)
		if err != nil {
			return err
		}
		ev.Traffic = seen.Traffic
		return verifyRoute(s, seen.Traffic)
	})
	return ev, err
}

// answering wants a foreign process on the slot's port of every host that passes
// the check before and after it is looked at.
func (x *effects) answering(ctx context.Context, s deploy.Step) ([]deploy.Instance, error) {
	before, err := x.instances(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := x.answers(ctx, s); err != nil {
		return nil, &deploy.Error{Code: deploy.CodeUnhealthy, Op: "adopt", Subject: s.Subject(), Err: err,
			Message: fmt.Sprintf("what runs on port %d does not pass the health check, so it is not adopted: %s", s.Port, deploy.MessageOf(err))}
	}
	after, err := x.instances(ctx, s)
	if err != nil {
		return nil, err
	}
	for i, in := range after {
		switch {
		case in.Running() && in.Key == s.Release.Key(): // adopted by an attempt before this one
		case in.PortPID <= 0 || in.PortPID != before[i].PortPID || in.PortStarted != before[i].PortStarted:
			return nil, &deploy.Error{Code: deploy.CodeForeign, Op: "adopt", Subject: string(in.Host),
				Message: fmt.Sprintf("the process on port %d of %s is not the one that was there a moment ago, or cannot be seen: try again", s.Port, in.Host)}
		default:
			after[i] = in.Adopt(s.Release)
		}
		after[i].Passed = true
	}
	return after, nil
}
