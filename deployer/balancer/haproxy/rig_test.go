package haproxy_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
)

// rig is a real HAProxy with backends and a driver on it.
type rig struct {
	t       *testing.T
	server  *haproxytest.Server
	driver  deployer.Balancer
	targets []deploy.Endpoint
	stop    map[string]func()
}

func newRig(t *testing.T, backends int, o haproxytest.Options, over map[string]any) *rig {
	t.Helper()
	r := &rig{t: t, stop: map[string]func(){}}
	for i := range backends {
		addr, stop := drivertest.StartBackend(t)
		r.stop[addr] = stop
		r.targets = append(r.targets, deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%d", i+1)), Addr: addr})
		o.Servers = append(o.Servers, addr)
	}
	r.server = haproxytest.Start(t, o)
	r.driver = r.open(over)
	return r
}

func (r *rig) open(over map[string]any) deployer.Balancer {
	return openOn(r.t, r.server, localHost(r.t), over)
}

func openOn(t *testing.T, s *haproxytest.Server, h deployer.Host, over map[string]any) deployer.Balancer {
	t.Helper()
	d, err := haproxy.New(s.Settings(over), func(string) (deployer.Host, error) { return h, nil })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func localHost(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// step states that some targets, by number, are in traffic or out of it.
func (r *rig) step(op deploy.Op, numbers ...int) deploy.Step {
	s := deploy.Step{Op: op, Limit: deploy.Duration(time.Minute)}
	for _, n := range numbers {
		e := r.targets[n]
		e.Up = op == deploy.OpIn
		s.Targets = append(s.Targets, e)
	}
	return s
}

// table is a whole table with one target up.
func (r *rig) table(up int) deploy.Step {
	s := deploy.Step{Op: deploy.OpRoute, Limit: deploy.Duration(time.Minute), Targets: slices.Clone(r.targets)}
	for i := range s.Targets {
		s.Targets[i].Up = i == up
	}
	return s
}

func (r *rig) route(s deploy.Step) {
	r.t.Helper()
	if err := r.driver.Route(r.t.Context(), s); err != nil {
		r.t.Fatalf("%s: %v\n%s", s.Op, err, r.server.Log())
	}
}

func (r *rig) observe(s deploy.Step) deploy.Evidence {
	r.t.Helper()
	ev, err := r.driver.Observe(r.t.Context(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return ev
}

// up are the numbers of the targets that HAProxy says are up.
func (r *rig) up() []int {
	r.t.Helper()
	var out []int
	ev := r.observe(deploy.Step{Targets: r.targets})
	for i, e := range r.targets {
		if slices.Contains(ev.Traffic.Up, e.Addr) {
			out = append(out, i)
		}
	}
	return out
}

func (r *rig) wantUp(when string, want ...int) {
	r.t.Helper()
	if got := r.up(); !slices.Equal(got, want) {
		r.t.Errorf("%s: up are %v, not %v\n%s", when, got, want, r.server.Command("show servers state"))
	}
}

// refused routes and checks code and parts of the message.
func (r *rig) refused(s deploy.Step, code deploy.Code, says ...string) {
	r.t.Helper()
	refused(r.t, r.driver.Route(r.t.Context(), s), code, says...)
}

func refused(t *testing.T, err error, code deploy.Code, says ...string) {
	t.Helper()
	if deploy.CodeOf(err) != code {
		t.Fatalf("%v (code %q), want code %q", err, deploy.CodeOf(err), code)
	}
	for _, part := range says {
		if message := deploy.MessageOf(err); !strings.Contains(message, part) {
			t.Errorf("the message %q does not say %q", message, part)
		}
	}
}

// eventually polls until ok, for the time that a loaded machine may need.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("%s: not so after 20 s", what)
		case <-tick.C:
		}
	}
}

// faultyHost lets a test act before, or instead of, a write.
type faultyHost struct {
	deployer.Host
	put func() error
}

func (h faultyHost) Put(ctx context.Context, path string, mode uint32, in io.Reader) error {
	if err := h.put(); err != nil {
		return err
	}
	return h.Host.Put(ctx, path, mode, in)
}
