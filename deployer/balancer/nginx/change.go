package nginx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ipublish/deploy"
)

// pollEvery is the pause between two looks while a reload comes through.
const pollEvery = 20 * time.Millisecond

// change is one switch from what stands to a new table.
type change struct {
	*balancer
	content    []byte
	generation string
	targets    []string // every address of the table
	known      string   // sha256 of the file as ipublish left it, or as it was accepted
	first      bool     // the environment's first switch: it takes nginx over
	stand      stand
	previous   file // what a failure puts back
	before     view // nginx as it was found
	written    bool // the file may differ from previous
	reloaded   bool // nginx may have been told
}

// view is nginx at one moment. The workers were looked at before the answer was asked.
type view struct {
	processes
	answer
}

// plan reads what is so and judges whether it may be changed; it changes nothing.
func (b *balancer) plan(ctx context.Context, step deploy.Step) (*change, error) {
	t, err := newTable(step.Targets)
	if err != nil {
		return nil, err
	}
	if len(t.up()) == 0 {
		return nil, &deploy.Error{Code: deploy.CodeRefused, Message: "no target is up: the upstream would be empty and every request would fail; nothing was changed"}
	}
	c := &change{balancer: b, targets: t.all(), known: step.Known, first: step.First || step.Known == ""}
	c.content, c.generation = render(b.settings, t)
	if c.stand, err = readStand(ctx, b.host, b.settings); err != nil {
		return nil, err
	}
	if c.before, err = b.view(ctx, b.asker); err != nil {
		return nil, err
	}
	if !c.stand.ours(step.Known) && !c.stand.Now.is(c.content) {
		return nil, b.drift(c.stand, step.Known, c.before.answer, c.content)
	}
	c.previous = c.stand.undo(step.Known)
	c.written = c.stand.unrecorded(step.Known)
	c.reloaded = c.written
	return c, nil
}

// apply makes the table be in force, or what was before.
func (c *change) apply(ctx context.Context) error {
	if c.first {
		return c.takeOver(ctx)
	}
	if c.inForce() {
		return nil
	}
	if err := c.make(ctx); err != nil {
		return c.giveBack(ctx, err)
	}
	return nil
}

func (c *change) inForce() bool {
	return c.stand.Now.is(c.content) && c.before.settled() && c.before.Generation == c.generation
}

// make goes the way forward: look, write, test, reload, verify.
func (c *change) make(ctx context.Context) error {
	if err := c.precheck(ctx); err != nil {
		return err
	}
	if err := c.write(ctx); err != nil {
		return err
	}
	files, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	if err := c.judge(files, c.content); err != nil {
		return err
	}
	return c.reload(ctx)
}

// precheck refuses what would fail anyway before anything is written.
func (c *change) precheck(ctx context.Context) error {
	files, err := c.inspect(ctx)
	if err == nil {
		return c.judge(files, c.stand.Now.Content)
	}
	if c.mayMend(err) {
		return nil
	}
	return err
}

// mayMend reports whether writing the file may make a configuration right that
// nginx refuses: it is broken by our file, or perhaps for want of it.
func (c *change) mayMend(err error) bool {
	return deploy.CodeOf(err) == deploy.CodeFailed &&
		(!c.stand.Now.Present || strings.Contains(stderrOf(err), c.settings.Include+":"))
}

// write replaces the file. What stood there when it was last known is remembered,
// nothing before the first time, so that a step with another table finds its own
// work in it.
func (c *change) write(ctx context.Context) error {
	if c.stand.Now.is(c.content) {
		return nil
	}
	if err := c.stand.undo(c.known).remember(ctx, c.host, c.settings); err != nil {
		return err
	}
	c.written = true
	return file{Present: true, Content: c.content}.replace(ctx, c.host, c.settings.Include)
}

// reload tells nginx and waits until only new workers accept and answer the new generation.
func (c *change) reload(ctx context.Context) error {
	old, err := look(ctx, c.host, c.settings.PID, nil)
	if err != nil {
		return err
	}
	c.reloaded = true
	if err := c.tell(ctx); err != nil {
		return err
	}
	last, err := c.await(ctx, c.asker, func(v view) bool { return v.replaced(old) && v.Generation == c.generation })
	if errors.Is(err, errNotYet) {
		return c.notTaken(last, old)
	}
	return err
}

// inspect tests the configuration and returns the files that nginx reads.
func (b *balancer) inspect(ctx context.Context) (dump, error) {
	out, err := b.host.Run(ctx, b.settings.dumpArgv(), nil)
	if deploy.CodeOf(err) == deploy.CodeFailed {
		return nil, b.testFailed(err)
	}
	return parseDump(out), err
}

// judge refuses a configuration that leaves out our file or has its upstream elsewhere.
func (b *balancer) judge(files dump, content []byte) error {
	v := newSurvey(b.settings, files, file{Present: true, Content: content})
	if rivals := v.sameName(); len(rivals) > 0 {
		places := make([]string, len(rivals))
		for i, s := range rivals {
			places[i] = v.at(s)
		}
		return &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf(
			"an upstream %s stands outside of ipublish's file, so nothing was switched: delete %s (nginx keeps running on what it has loaded), then repeat",
			b.settings.Upstream, strings.Join(places, ", "))}
	}
	if v.reads {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf(
		"nginx does not read %s, so nothing was switched: add the line `include %s;` inside http { … } of its configuration, then repeat",
		b.settings.Include, b.settings.Include)}
}

func (b *balancer) tell(ctx context.Context) error {
	_, err := b.host.Run(ctx, b.settings.Reload, nil)
	if deploy.CodeOf(err) == deploy.CodeFailed {
		return &deploy.Error{Code: deploy.CodeFailed, Err: err, Log: stderrOf(err),
			Message: fmt.Sprintf("%s failed: %s", strings.Join(b.settings.Reload, " "), complaint(err))}
	}
	return err
}

// view looks at the workers and then asks for the generation. That nobody
// answers is part of the view; that nginx does not run is an error.
func (b *balancer) view(ctx context.Context, q asker) (view, error) {
	p, err := look(ctx, b.host, b.settings.PID, nil)
	if err != nil {
		return view{}, err
	}
	a, err := q.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return view{}, ctx.Err()
	}
	return view{processes: p, answer: a}, nil
}

var errNotYet = errors.New("not so within reload_timeout")

// await looks until ok says so; errNotYet with the last view after reload_timeout.
func (b *balancer) await(ctx context.Context, q asker, ok func(view) bool) (view, error) {
	limited, cancel := context.WithTimeout(ctx, b.settings.ReloadTimeout.D())
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last view
	for {
		v, err := b.view(limited, q)
		switch {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case limited.Err() != nil:
			return last, errNotYet
		case err != nil:
			return last, err
		case ok(v):
			return v, nil
		}
		last = v
		select {
		case <-limited.Done():
		case <-tick.C:
		}
	}
}
