package deployer

import (
	"context"
	"fmt"

	"ipublish/deploy"
)

// identity says why the answer was not given by this release's process, or nil.
func (g *gate) identity() error {
	in, r := g.seen, g.step.Release
	switch {
	case in.Foreign():
		return &deploy.Error{Code: deploy.CodeUnhealthy, Message: foreignText(g.step, in)}
	case !in.Running() || !in.Owned:
		return &deploy.Error{Code: deploy.CodeUnhealthy, Message: "the port is not served by the process that was started"}
	case r.IsZero():
		return nil
	case in.Key == "":
		return &deploy.Error{Code: deploy.CodeUnhealthy, Message: fmt.Sprintf("nobody can tell which release process %d runs, because ipublish did not start it: let ipublish start it anew, by `restart` or a deploy", in.PID)}
	case in.Key != r.Key() || r.SHA256 != "" && in.Release != r.SHA256:
		return &deploy.Error{Code: deploy.CodeUnhealthy, Message: fmt.Sprintf("the process on port %d runs another release (%s), not %s", g.step.Port, in.Key, r.Key())}
	}
	return nil
}

// died ends the wait early when the started process is gone.
func (g *gate) died() error {
	if g.looked.IsZero() || g.seen.Running() {
		return nil
	}
	why := "the process ended while starting"
	if g.seen.Foreign() {
		why += "; " + foreignText(g.step, g.seen)
	}
	return g.unhealthy(why)
}

// late is the verdict when the deadline passes.
func (g *gate) late(ctx context.Context) error {
	if context.Cause(ctx) == context.Canceled {
		return ctx.Err()
	}
	if err := g.away(ctx); err != nil {
		return err
	}
	why := "no answer yet"
	if g.last != nil {
		why = "last: " + deploy.MessageOf(g.last)
	}
	return g.unhealthy(fmt.Sprintf("did not become healthy within %s; %s", g.step.Limit, why))
}

// away looks once more, after the deadline, at a host of many that did not let
// itself be looked at: a lost host is not the release's fault, and a look that
// the deadline cut short is no lost host.
func (g *gate) away(ctx context.Context) error {
	if g.patience == 0 || g.unreached == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outPatience)
	defer cancel()
	if looked, _ := g.look(ctx); looked {
		return nil
	}
	return g.unreached
}

func (g *gate) unhealthy(why string) error {
	return &deploy.Error{Code: deploy.CodeUnhealthy, Op: "check", Subject: string(g.id),
		Message: fmt.Sprintf("%s on %s (port %d) %s", g.step.Release.Commit.Short(), g.step.Slot, g.step.Port, why), Log: g.seen.Log, Err: g.last}
}

func foreignText(s deploy.Step, in deploy.Instance) string {
	if in.PortPID < 0 {
		return fmt.Sprintf("port %d is held by another user's process, which ipublish did not start: stop it", s.Port)
	}
	return fmt.Sprintf("port %d is held by process %d (%s), which ipublish did not start: stop it", s.Port, in.PortPID, in.Command)
}
