package nginx_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/nginx"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
)

var shop = deploy.Target{App: "shop", Env: "production"}

// rig is a real nginx with two backends and a driver on it.
type rig struct {
	t      *testing.T
	server *nginxtest.Server
	driver deployer.Balancer
	a, b   string
	stop   map[string]func()
	known  string
}

func newRig(t *testing.T, over map[string]any) *rig {
	t.Helper()
	r := &rig{t: t, stop: map[string]func(){}}
	for _, addr := range []*string{&r.a, &r.b} {
		name, stop := drivertest.StartBackend(t)
		*addr, r.stop[name] = name, stop
	}
	r.server = nginxtest.Start(t, nginxtest.Options{Upstream: "shop_production", Initial: []string{r.a}})
	r.driver = r.open(over)
	return r
}

func (r *rig) open(over map[string]any) deployer.Balancer {
	return openOn(r.t, r.server, localHost(r.t), over)
}

func openOn(t *testing.T, s *nginxtest.Server, h deployer.Host, over map[string]any) deployer.Balancer {
	t.Helper()
	d, err := nginx.New(s.Settings(over), shop, h)
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

func (r *rig) step(up string) deploy.Step {
	return deploy.Step{Op: deploy.OpRoute, Known: r.known, Limit: deploy.Duration(time.Minute), Targets: []deploy.Endpoint{
		{Host: "web-1", Slot: deploy.Blue, Addr: r.a, Up: up == r.a},
		{Host: "web-1", Slot: deploy.Green, Addr: r.b, Up: up == r.b},
	}}
}

func (r *rig) route(up string) {
	r.t.Helper()
	if err := r.driver.Route(r.t.Context(), r.step(up)); err != nil {
		r.t.Fatalf("route to %s: %v\nerror log: %s", up, err, r.server.ErrorLog())
	}
	r.known = r.observe(up).SHA256
}

func (r *rig) observe(up string) deploy.Traffic {
	r.t.Helper()
	ev, err := r.driver.Observe(r.t.Context(), r.step(up))
	if err != nil {
		r.t.Fatalf("observe: %v", err)
	}
	return *ev.Traffic
}

// refused routes to up and checks code and parts of the message.
func (r *rig) refused(up string, code deploy.Code, says ...string) {
	r.t.Helper()
	err := r.driver.Route(r.t.Context(), r.step(up))
	if deploy.CodeOf(err) != code {
		r.t.Fatalf("route: %v (code %q), want code %q", err, deploy.CodeOf(err), code)
	}
	for _, part := range says {
		if message := deploy.MessageOf(err); !strings.Contains(message, part) {
			r.t.Errorf("the message %q does not say %q", message, part)
		}
	}
}

func (r *rig) include() string {
	r.t.Helper()
	b, err := os.ReadFile(r.server.Include)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// leftovers are the .conf and temporary files of the include folder beside the driver's own two.
func (r *rig) leftovers() []string {
	r.t.Helper()
	entries, err := os.ReadDir(r.server.Dir + "/ipublish")
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); name != "shop_production.conf" && name != ".shop_production.conf.old" {
			names = append(names, e.Name())
		}
	}
	return names
}

func (r *rig) serves(addr string) {
	r.t.Helper()
	for range 5 {
		if got, err := post(r.server.URL); err != nil || got != addr {
			r.t.Errorf("the front door answered %q, %v; want %q", got, err, addr)
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

// faultyHost lets a test act before, or instead of, a command.
type faultyHost struct {
	deployer.Host
	before func(what string) error // what: the command's words, or "put PATH"
}

func (h faultyHost) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if err := h.before(strings.Join(argv, " ")); err != nil {
		return nil, err
	}
	return h.Host.Run(ctx, argv, in)
}

func (h faultyHost) Put(ctx context.Context, path string, mode uint32, in io.Reader) error {
	if err := h.before("put " + path); err != nil {
		return err
	}
	return h.Host.Put(ctx, path, mode, in)
}
