package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ipublish/deploy"
	"ipublish/deployer"
)

// parallel is how many programs run at once.
const parallel = 8

// New opens the balancer of a section balancer.script; host opens the machine
// that its programs run on by the name in the key host, "local" by default. It
// runs nothing. deploy.CodeInvalid for a section that cannot be right, with what
// to write; errors of host as they are.
func New(section json.RawMessage, host func(name string) (deployer.Host, error)) (deployer.Balancer, error) {
	s, err := readSettings(section)
	if err != nil {
		return nil, err
	}
	machine, err := host(s.Host)
	if err != nil {
		return nil, err
	}
	return &balancer{settings: s, machine: machine}, nil
}

type balancer struct {
	settings settings
	machine  deployer.Host
}

// Route runs in for the Up targets and out for the others, each for one host,
// where status does not say so already. It blocks until the programs ended, each
// at most for the key timeout; whether status agrees then is Observe's to tell.
//
// deploy.CodeInvalid where a host lacks a label that a program asks for: then
// nothing ran. deploy.CodeFailed when a program ended with another code than 0;
// deploy.CodeTimeout when one did not end, deploy.CodeUnavailable when its
// machine does not answer, deploy.CodeCancelled when ctx was cancelled. After an
// error the other hosts' programs have ended too, and repeating the step runs
// what is still to do; nothing is taken back.
func (b *balancer) Route(ctx context.Context, step deploy.Step) error {
	for _, e := range step.Targets {
		if err := b.fits(e); err != nil {
			return b.wrap("route", err)
		}
	}
	return b.wrap("route", each(step.Targets, func(_ int, e deploy.Endpoint) error { return b.bring(ctx, e) }))
}

// fits reports whether the arguments of every program can be had for a host.
func (b *balancer) fits(e deploy.Endpoint) error {
	for _, argv := range [][]string{b.settings.Out, b.settings.In, b.settings.Status} {
		if _, err := arguments(argv, e); err != nil {
			return err
		}
	}
	return nil
}

// bring makes one host receive requests, or not.
func (b *balancer) bring(ctx context.Context, e deploy.Endpoint) error {
	out, err := b.run(ctx, b.settings.Status, e)
	if err != nil {
		return err
	}
	argv, wanted := b.settings.Out, down
	if e.Up {
		argv, wanted = b.settings.In, up
	}
	if now, _ := asked(out); now == wanted {
		return nil
	}
	_, err = b.run(ctx, argv, e)
	return err
}

// Observe runs status for every target. A host of which it says up is in Up, one
// of which it says down in Down; one of which it says something else is in
// neither, and Note repeats the word. InFlight is -1: status does not count.
// Errors are those of Route.
func (b *balancer) Observe(ctx context.Context, step deploy.Step) (deploy.Evidence, error) {
	said := make([][]byte, len(step.Targets))
	err := each(step.Targets, func(i int, e deploy.Endpoint) (err error) {
		said[i], err = b.run(ctx, b.settings.Status, e)
		return err
	})
	if err != nil {
		return deploy.Evidence{}, b.wrap("observe", err)
	}
	return evidence(step.Targets, said), nil
}

// evidence judges what status said of each target, in the same order.
func evidence(targets []deploy.Endpoint, said [][]byte) deploy.Evidence {
	t := &deploy.Traffic{InFlight: map[string]int{}}
	var notes []string
	for i, e := range targets {
		t.InFlight[e.Addr] = -1
		switch now, word := asked(said[i]); now {
		case up:
			t.Up = append(t.Up, e.Addr)
		case down:
			t.Down = append(t.Down, e.Addr)
		default:
			notes = append(notes, fmt.Sprintf("status of balancer.script said %q of %s, which is neither up nor down", word, e.Host))
		}
	}
	slices.Sort(t.Up)
	slices.Sort(t.Down)
	return deploy.Evidence{Traffic: t, Note: strings.Join(notes, "; ")}
}

// each calls do for every target, a few at once, joins them, and returns their
// errors in the order of the targets.
func each(targets []deploy.Endpoint, do func(i int, e deploy.Endpoint) error) error {
	errs := make([]error, len(targets))
	places := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, e := range targets {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = do(i, e)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// wrap names the operation; the code is that of the first host's error.
func (b *balancer) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeOf(err), Op: op, Subject: "script balancer", Log: logOf(err), Err: err}
}

func logOf(err error) string {
	var e *deploy.Error
	if errors.As(err, &e) {
		return e.Log
	}
	return ""
}
