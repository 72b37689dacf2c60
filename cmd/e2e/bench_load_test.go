package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Variables that change the size of a bench.
const (
	requestsVar     = "E2E_REQUESTS"     // keep-alive POSTs
	switchesVar     = "E2E_SWITCHES"     // of one release for another
	rateVar         = "E2E_RATE"         // keep-alive POSTs a second
	replacementsVar = "E2E_REPLACEMENTS" // of the proxy's process
)

const (
	turnLimit  = 20 * time.Second // for a process to answer, or to end
	drainLimit = 15 * time.Second // for what is in flight
)

// amount is what a variable says, or usual.
func amount(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// await polls until ok; its error says what did not happen.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return fmt.Errorf("within %s it did not happen that %s", limit, what)
		}
	}
	return nil
}

// instance is one slot of the sample app: a process on a port of its own while
// it runs. Its version is the slot's name.
type instance struct {
	slot deploy.Slot
	port int
	dir  string
	mark string
	cmd  *exec.Cmd
	done chan struct{}
}

func newInstance(t *testing.T, r *rig, slot deploy.Slot) *instance {
	t.Helper()
	i := &instance{slot: slot, port: freePort(t), dir: t.TempDir(), mark: r.mark()}
	write(t, filepath.Join(i.dir, "app.json"), behaviour{Version: string(slot)}.files()["app.json"].Body)
	return i
}

func (i *instance) addr() string    { return "127.0.0.1:" + itoa(i.port) }
func (i *instance) version() string { return string(i.slot) }

// start blocks until the new process answers.
func (i *instance) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	i.cmd, i.done = exec.Command(self), make(chan struct{})
	i.cmd.Dir = i.dir
	i.cmd.Env = append(os.Environ(), appVar+"=shop", "PORT="+itoa(i.port), "SLOT="+string(i.slot), i.mark)
	if err := i.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait() // how it ended is the test's business, by what it sees
	}(i.cmd, i.done)
	return await(ctx, turnLimit, i.version()+" answers", i.healthy)
}

// healthy asks as the engine's check does: once, on a connection of its own.
func (i *instance) healthy() bool {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + i.addr() + "/healthz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// stop ends the process, and blocks until it is gone.
func (i *instance) stop(ctx context.Context, by syscall.Signal) error {
	if err := i.cmd.Process.Signal(by); err != nil {
		return fmt.Errorf("stop %s: %w", i.version(), err)
	}
	return await(ctx, turnLimit, i.version()+" ends", func() bool {
		select {
		case <-i.done:
			return true
		default:
			return false
		}
	})
}

// switcher brings the traffic of a front door from one instance to another.
type switcher interface {
	// over returns when to gets every new request and nothing is in flight to from.
	over(ctx context.Context, to, from *instance) error
}

// pair is an application of two slots that take turns behind a front door while
// users work.
type pair struct {
	t          *testing.T
	front      string // URL
	live, idle *instance
	by         switcher
	users      *load
	turns      int
}

// newPairs starts an application n times; each waits for its front door.
func newPairs(t *testing.T, r *rig, n int) []*pair {
	t.Helper()
	var out []*pair
	for range n {
		p := &pair{t: t, live: newInstance(t, r, deploy.Blue), idle: newInstance(t, r, deploy.Green)}
		if err := p.live.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// route has the live one receive what comes to the front door.
func (p *pair) route() {
	p.t.Helper()
	if err := p.by.over(p.t.Context(), p.live, p.idle); err != nil {
		p.t.Fatal(err)
	}
	mustServe(p.t, p.front, p.live.version())
}

// begin routes, and sends users.
func (p *pair) begin(u users) {
	p.t.Helper()
	p.route()
	p.users = startLoad(p.t, p.front, u)
}

// turn replaces the live instance as a deploy does: start the other one, switch,
// drain, stop. What is stopped has proven to be without work, so that every
// second one is killed.
func (p *pair) turn(ctx context.Context) error {
	to, from := p.idle, p.live
	if err := to.start(ctx); err != nil {
		return err
	}
	before := p.users.answered(to.version())
	if err := p.by.over(ctx, to, from); err != nil {
		return err
	}
	err := await(ctx, turnLimit, "users reach "+to.version(), func() bool { return p.users.answered(to.version()) > before })
	if err != nil {
		return err
	}
	p.turns++
	p.live, p.idle = to, from
	return from.stop(ctx, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[p.turns%2])
}

// driven is a balancer driver, called as the engine calls it.
type driven struct {
	driver deployer.Balancer
	known  string // the managed file, where there is one
	routed bool
}

func (d *driven) over(ctx context.Context, to, from *instance) error {
	if !to.healthy() {
		return fmt.Errorf("%s does not answer right before the switch", to.version())
	}
	if err := d.route(ctx, d.step(deploy.OpRoute, to, from)); err != nil {
		return err
	}
	return d.drain(ctx, d.step(deploy.OpDrain, to, from), from)
}

// step is the one of a plan: until the drain the old one is the spare.
func (d *driven) step(op deploy.Op, to, from *instance) deploy.Step {
	s := deploy.Step{Op: op, Limit: deploy.Duration(time.Minute), Known: d.known, First: !d.routed}
	if op == deploy.OpDrain {
		s.Hold = deploy.Duration(drainLimit)
	}
	s.Targets = []deploy.Endpoint{
		{Host: "local", Slot: to.slot, Addr: to.addr(), Up: true},
		{Host: "local", Slot: from.slot, Addr: from.addr(), Spare: op == deploy.OpRoute},
	}
	slices.SortFunc(s.Targets, func(a, b deploy.Endpoint) int { return strings.Compare(string(a.Slot), string(b.Slot)) })
	return s
}

// route switches, and wants the balancer's own word for it.
func (d *driven) route(ctx context.Context, s deploy.Step) error {
	if err := d.driver.Route(ctx, s); err != nil {
		return err
	}
	ev, err := d.driver.Observe(ctx, s)
	if err != nil {
		return err
	}
	d.known, d.routed = ev.Traffic.SHA256, true
	for _, e := range s.Targets {
		if e.Up != slices.Contains(ev.Traffic.Up, e.Addr) {
			return fmt.Errorf("after the switch the balancer says that %v are up", ev.Traffic.Up)
		}
	}
	return nil
}

// drain withdraws the spare and waits until nothing is in flight to from.
func (d *driven) drain(ctx context.Context, s deploy.Step, from *instance) error {
	s.Known = d.known
	if err := d.driver.Route(ctx, s); err != nil {
		return err
	}
	var broken error
	err := await(ctx, drainLimit, "nothing is in flight to "+from.version(), func() bool {
		ev, err := d.driver.Observe(ctx, s)
		if broken = err; err != nil {
			return true
		}
		left, told := ev.Traffic.InFlight[from.addr()]
		return told && left == 0
	})
	if err != nil {
		return err
	}
	return broken
}

// sentBy sums the requests of a kind of client that were answered or lost so far.
func sentBy(loads []*load, client string) int {
	sum := 0
	for _, l := range loads {
		l.mu.Lock()
		sum += l.requests[client]
		l.mu.Unlock()
	}
	return sum
}

// lostBy gathers the failures of the kinds of clients; of all without any.
func lostBy(loads []*load, clients ...string) []failure {
	var out []failure
	for _, l := range loads {
		out = append(out, l.failed(clients...)...)
	}
	return out
}

// losses prints what each kind of client lost.
func losses(loads []*load, clients ...string) string {
	var out []string
	for _, c := range clients {
		out = append(out, fmt.Sprintf("%d of %d %s", len(lostBy(loads, c)), sentBy(loads, c), c))
	}
	return strings.Join(out, ", ")
}
