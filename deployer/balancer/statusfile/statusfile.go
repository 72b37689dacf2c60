package statusfile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ipublish/deploy"
	"ipublish/deployer"
)

const (
	parallel  = 16 // hosts that are asked at once
	noteLimit = 10 // hosts that a note names
)

type balancer struct {
	settings settings
	host     func(name string) (deployer.Host, error)
}

// New opens the balancer from its section balancer.statusfile; host opens the
// targets by their names, and the machine that observe names. It does no I/O.
// deploy.CodeInvalid for a section that cannot be right, with what to write.
// The balancer is a deployer.Adviser too.
func New(section json.RawMessage, host func(name string) (deployer.Host, error)) (deployer.Balancer, error) {
	s, err := readSettings(section)
	if err != nil {
		return nil, err
	}
	return &balancer{settings: s, host: host}, nil
}

// Route makes the file of each target be there, or absent, and returns once
// each page answers so: for check_timeout after the change at most, and what
// reaching the hosts takes. It does not wait for the balancer.
//
// deploy.CodeRefused for a link or folder in the file's place, and for targets
// of one host that are up and down, as in a blue/green plan: the file takes a
// whole host out. deploy.CodeFailed, naming host, path and reason, when the file
// cannot be changed or the page does not follow it; then the files are as
// before, else it is deploy.CodeHold. deploy.CodeUnavailable when a host
// cannot be reached, deploy.CodeCancelled when ctx was cancelled: then nothing
// is decided and the step can be run again.
func (b *balancer) Route(ctx context.Context, step deploy.Step) error {
	if err := oneWay(step.Targets); err != nil {
		return b.wrap(ctx, "route", err)
	}
	changes := make([]*change, len(step.Targets))
	each(len(changes), func(i int) {
		changes[i] = b.prepare(step.Targets[i])
		changes[i].apply(ctx)
	})
	for _, c := range changes {
		if c.err != nil {
			return b.wrap(ctx, "route", giveBack(ctx, changes, c.err))
		}
	}
	return nil
}

// Observe asks the page of each target, from its host, sixteen at a time. A
// page that answers an expected status is Up, any other answer and a port that
// nobody listens on is Down; a host that cannot be reached is in neither list,
// with the reason in Note. InFlight is -1, and Settle what the balancer's
// next checks take at most, after what was seen.
//
// With observe the balancer's own word is asked for as well: a target is Up or
// Down when its page and the balancer agree, Settle is 0, InFlight is the
// balancer's count. deploy.CodeUnavailable when that balancer does not answer.
func (b *balancer) Observe(ctx context.Context, step deploy.Step) (deploy.Evidence, error) {
	seen := b.sights(ctx, step.Targets)
	if ctx.Err() != nil {
		return deploy.Evidence{}, b.wrap(ctx, "observe", ctx.Err())
	}
	if b.settings.computed() {
		return b.byPages(step.Targets, seen), nil
	}
	ev, err := b.byHAProxy(ctx, step.Targets, seen)
	return ev, b.wrap(ctx, "observe", err)
}

// sights asks every page once.
func (b *balancer) sights(ctx context.Context, targets []deploy.Endpoint) []sight {
	seen := make([]sight, len(targets))
	each(len(targets), func(i int) {
		c := b.prepare(targets[i])
		if c.err != nil {
			seen[i] = sight{err: c.err}
			return
		}
		seen[i] = b.settings.look(ctx, c.host, c.place)
	})
	return seen
}

// byPages is the evidence where nothing but the pages can be asked.
func (b *balancer) byPages(targets []deploy.Endpoint, seen []sight) deploy.Evidence {
	t := &deploy.Traffic{InFlight: map[string]int{}, Settle: deploy.Duration(b.settings.settle(seen))}
	var untold []string
	for i, e := range targets {
		t.InFlight[e.Addr] = -1
		switch seen[i].page {
		case passes:
			t.Up = append(t.Up, e.Addr)
		case fails, silent:
			t.Down = append(t.Down, e.Addr)
		case unknown:
			untold = append(untold, reason(e, seen[i]))
		}
	}
	return evidence(t, untold)
}

// reason says why nothing is known of a target.
func reason(t deploy.Endpoint, s sight) string {
	return fmt.Sprintf("%s could not be asked: %s", t.Host, deploy.MessageOf(s.err))
}

// evidence brings traffic and the reasons of what cannot be told into their order.
func evidence(t *deploy.Traffic, untold []string) deploy.Evidence {
	slices.Sort(t.Up)
	slices.Sort(t.Down)
	slices.Sort(untold)
	if more := len(untold) - noteLimit; more > 0 {
		untold = append(untold[:noteLimit], fmt.Sprintf("%d more hosts could not be told", more))
	}
	return deploy.Evidence{Traffic: t, Note: strings.Join(untold, "; ")}
}

// oneWay refuses to have a host in and out at the same time.
func oneWay(targets []deploy.Endpoint) error {
	up := map[deploy.HostID]bool{}
	for _, t := range targets {
		if was, known := up[t.Host]; known && was != t.Up {
			return &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf(
				"%s: a status file takes a whole host out of traffic, not one of its slots: use strategy.rolling with it", t.Host)}
		}
		up[t.Host] = t.Up
	}
	return nil
}

// wrap names the operation and its subject; a context that ended decides the
// code unless the outcome is known.
func (b *balancer) wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &deploy.Error{Code: deploy.CodeOf(err), Op: op, Subject: "balancer statusfile", Err: err}
	if e.Code != deploy.CodeHold && ctx.Err() != nil {
		e.Code = deploy.CodeOf(ctx.Err())
	}
	return e
}

// each calls do for 0 to n-1, a limited number at once, and joins them.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	all.Wait()
}
