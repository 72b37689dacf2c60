package slb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// New opens one balancer by itself, with turns of its own; see Turns.New.
func New(section json.RawMessage, host func(name string) (deployer.Host, error)) (deployer.Balancer, error) {
	return new(Turns).New(section, host)
}

type balancer struct {
	settings settings
	api      *client
	turns    *Turns
}

// Route gives exactly the entries of step.Targets their weights: 0 to those that
// are not Up, to the others what the package's documentation says. It blocks
// until the group, read again, has the weights: usually for three calls, at most
// until ctx ends; another change of the same load balancer through the same Turns
// is waited for.
//
// deploy.CodeInvalid for a host without its label; deploy.CodeNotFound for one
// that the group does not hold, and for an unknown group or load balancer: then
// nothing was changed. deploy.CodeRefused when the key is not accepted or may not do it;
// deploy.CodeFailed for every other refusal; deploy.CodeHold when one came in
// the middle and the old weights could not be put back. deploy.CodeUnavailable
// when the API does not answer, deploy.CodeTimeout or deploy.CodeCancelled when
// ctx ended, also when the API was busy, or accepted the weights and did not set
// them, all that time: then nothing is decided, and the step can be run again.
func (b *balancer) Route(ctx context.Context, step deploy.Step) error {
	return b.wrap(ctx, "route", b.route(ctx, step.Targets))
}

func (b *balancer) route(ctx context.Context, targets []deploy.Endpoint) error {
	release, err := b.turns.take(ctx, b.settings.Endpoint+"/"+b.settings.LoadBalancerID)
	if err != nil {
		return err
	}
	defer release()
	before, err := b.api.group(ctx)
	if err != nil {
		return err
	}
	aims, err := before.aims(targets, b.settings.VServerGroupID)
	if err != nil {
		return err
	}
	c := &change{api: b.api, now: before, aims: aims}
	return c.undone(ctx, before, c.run(ctx))
}

// Observe takes one look at the group's weights and the listener's health check,
// in two calls. Up are the targets whose weight is above 0 and whose health is
// normal; Down those of weight 0 or abnormal health. One that the check has no
// answer for yet, or does not list, is in neither, and Note says so; where the
// listener checks nobody, the weight alone counts, and Note says that. Weights
// holds every target's, InFlight -1: the API counts no connections. Settle is
// the key settle where a target is Down; an Up one needs none, because changes of
// a load balancer take effect one after another: the next out comes later.
//
// It blocks until the API answered, at most until ctx ends; errors are those of
// Route.
func (b *balancer) Observe(ctx context.Context, step deploy.Step) (deploy.Evidence, error) {
	ev, err := b.observe(ctx, step.Targets)
	return ev, b.wrap(ctx, "observe", err)
}

func (b *balancer) observe(ctx context.Context, targets []deploy.Endpoint) (deploy.Evidence, error) {
	g, err := b.api.group(ctx)
	if err != nil {
		return deploy.Evidence{}, err
	}
	found := make([]server, len(targets))
	for i, e := range targets {
		if found[i], err = g.find(e, b.settings.VServerGroupID); err != nil {
			return deploy.Evidence{}, err
		}
	}
	h, err := b.api.health(ctx)
	if err != nil {
		return deploy.Evidence{}, err
	}
	return b.evidence(targets, found, g, h), nil
}

// evidence judges the targets, whose entries are found, in the same order.
func (b *balancer) evidence(targets []deploy.Endpoint, found []server, g group, h checks) deploy.Evidence {
	t := &deploy.Traffic{Weights: map[string]int{}, InFlight: map[string]int{}}
	port := b.settings.ListenerPort
	off := h.off(g, port)
	var notes []string
	if off {
		notes = append(notes, fmt.Sprintf("the listener on port %d checks nobody's health: only the weight counts", port))
	}
	for i, e := range targets {
		s := found[i]
		t.Weights[e.Addr], t.InFlight[e.Addr] = int(s.Weight), -1
		state := h.of(s, port)
		switch {
		case s.Weight == 0 || state == abnormal:
			t.Down = append(t.Down, e.Addr)
		case state == normal || off && state == unavailable:
			t.Up = append(t.Up, e.Addr)
		case state == unlisted:
			notes = append(notes, fmt.Sprintf("the listener on port %d does not check %s: does it send requests to the vServer group %s?", port, e.Host, b.settings.VServerGroupID))
		default:
			notes = append(notes, fmt.Sprintf("the health check of %s has no result yet", e.Host))
		}
	}
	slices.Sort(t.Up)
	slices.Sort(t.Down)
	if len(t.Down) > 0 {
		t.Settle = *b.settings.Settle
	}
	return deploy.Evidence{Traffic: t, Note: strings.Join(notes, "; ")}
}

// wrap names the operation and its subject; a context that ended decides the
// code unless the outcome is known.
func (b *balancer) wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &deploy.Error{Code: deploy.CodeOf(err), Op: op, Subject: "slb " + b.settings.LoadBalancerID, Err: err}
	if e.Code != deploy.CodeHold && ctx.Err() != nil {
		e.Code = deploy.CodeOf(ctx.Err())
	}
	return e
}
