package haproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxyapi"
)

type balancer struct {
	settings settings
	host     deployer.Host
	doors    []*haproxyapi.API // one a socket
}

// New opens the balancer of a section balancer.haproxy; host opens the machine
// that HAProxy runs on by the name that the section gives. It does no I/O.
// deploy.CodeInvalid for a section that cannot be right, with what to write, and
// what host returns.
func New(section json.RawMessage, host func(name string) (deployer.Host, error)) (deployer.Balancer, error) {
	s, err := readSettings(section)
	if err != nil {
		return nil, err
	}
	h, err := host(s.Host)
	if err != nil {
		return nil, err
	}
	b := &balancer{settings: s, host: h}
	for _, socket := range s.Sockets {
		b.doors = append(b.doors, haproxyapi.Open(h, socket))
	}
	return b, nil
}

// Dial connects from HAProxy's host, as deployer.Host.Dial does.
func (b *balancer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return b.host.Dial(ctx, network, addr)
}

// Route drains the servers of the targets that are not Up and makes ready those
// that are, the latter first. Where it does both, it first waits, to the end of
// ctx and at most a minute, until HAProxy sends requests to the ready ones. It
// blocks for an exchange or two a socket and change, and for the state file.
//
// deploy.CodeInvalid when a target's server cannot be told, with the label to
// write; deploy.CodeRefused when a whole table (op route) has nobody up, or, the
// first time, other servers of the backend get requests as well, or the socket
// is not of level admin; deploy.CodeDrift when somebody keeps a server out of
// traffic that is to be up; deploy.CodeUnhealthy when HAProxy's check keeps one
// from taking over; deploy.CodeUnavailable, deploy.CodeTimeout or
// deploy.CodeCancelled when HAProxy did not answer in time: then nothing is
// decided, and the step, or one the other way, can be run again; deploy.CodeHold
// when what was in force could not be put back.
func (b *balancer) Route(ctx context.Context, step deploy.Step) error {
	c, err := b.plan(ctx, step)
	if err == nil {
		err = c.apply(ctx)
	}
	return b.wrap(ctx, "route", err)
}

// Observe tells of the targets by HAProxy's own view, of every socket: Up and
// Down, Weights, and in InFlight the requests that are served or queued. Without
// targets it tells of every server of the section's backend. A target that is up
// at one socket only, or whose server cannot be told, is in Evidence.Note.
// deploy.CodeUnavailable, deploy.CodeTimeout or deploy.CodeCancelled when a
// socket does not answer.
func (b *balancer) Observe(ctx context.Context, step deploy.Step) (deploy.Evidence, error) {
	views, err := b.look(ctx)
	if err != nil {
		return deploy.Evidence{}, b.wrap(ctx, "observe", err)
	}
	targets := step.Targets
	if len(targets) == 0 {
		targets = views[0].endpoints(b.settings.Backend)
	}
	t := &deploy.Traffic{InFlight: map[string]int{}, Weights: map[string]int{}}
	var notes []string
	for _, e := range targets {
		if note := b.describe(t, views, e); note != "" {
			notes = append(notes, note)
		}
	}
	slices.Sort(t.Up)
	slices.Sort(t.Down)
	return deploy.Evidence{Traffic: t, Note: strings.Join(notes, "; ")}, nil
}

// describe adds one target to t, or returns why it cannot.
func (b *balancer) describe(t *deploy.Traffic, views []view, e deploy.Endpoint) string {
	up, busy := 0, 0
	var first haproxyapi.Server
	for i, v := range views {
		s, err := v.find(e, b.settings.Backend)
		if err != nil {
			return deploy.MessageOf(err)
		}
		if i == 0 {
			first = s
		}
		if s.Receives {
			up++
		}
		busy += s.Sessions + s.Queued
	}
	t.InFlight[e.Addr] = busy
	t.Weights[e.Addr] = first.Weight
	switch up {
	case len(views):
		t.Up = append(t.Up, e.Addr)
	case 0:
		t.Down = append(t.Down, e.Addr)
	default:
		return fmt.Sprintf("%s receives requests from %d of %d HAProxys", first.Subject(), up, len(views))
	}
	return ""
}

// look asks every socket.
func (b *balancer) look(ctx context.Context) ([]view, error) {
	views := make([]view, len(b.doors))
	for i, d := range b.doors {
		servers, err := d.Servers(ctx)
		if err != nil {
			return nil, err
		}
		views[i] = view{door: d, servers: servers}
	}
	return views, nil
}

// wrap names the operation and its subject; a context that ended decides the
// code unless the outcome is known.
func (b *balancer) wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &deploy.Error{Code: deploy.CodeOf(err), Op: op, Subject: "haproxy " + b.settings.Sockets[0], Err: err}
	if e.Code != deploy.CodeHold && ctx.Err() != nil {
		e.Code = deploy.CodeOf(ctx.Err())
	}
	return e
}
