package statusfile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/balancer/statusfile"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// rig is a real nginx that is several hosts: one address and one folder each,
// the status file in the layout of the source, everything else from an app.
type rig struct {
	t       *testing.T
	server  *nginxtest.Server
	port    string
	targets []deploy.Endpoint
	apps    []string // address of each host's app
	stops   map[string]func()
	open    func(name string) (deployer.Host, error)
	driver  deployer.Balancer
}

// ours is what a host's status file holds in these tests.
const ours = "web server of host 1 to 10\n"

// newRig has n hosts in traffic; extra stands within the location of the status file.
func newRig(t *testing.T, n int, extra string, over map[string]any) *rig {
	t.Helper()
	front := nginxtest.FreeAddr(t)
	_, port, err := net.SplitHostPort(front)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, port: port, open: localHosts(t), stops: map[string]func(){}}
	var listen, apps strings.Builder
	for i := range n {
		ip := fmt.Sprintf("127.0.0.%d", 11+i)
		r.targets = append(r.targets, deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%d", i+1)), Slot: deploy.Main, Addr: ip + ":9001"})
		app, stop := drivertest.StartBackend(t)
		r.apps, r.stops[app] = append(r.apps, app), stop
		fmt.Fprintf(&apps, "%s %s;\n", ip, app)
		fmt.Fprintf(&listen, "listen %s:%s;\n", ip, port)
	}
	r.server = nginxtest.Start(t, nginxtest.Options{Own: `
    map $server_addr $app { ` + apps.String() + ` }
    server {
        listen {front};
        ` + listen.String() + `
        location ~ ^/(nginx-status) {
            root {dir}/status/$server_addr;
            ` + extra + `
        }
        location / { proxy_pass http://$app; proxy_buffering off; }
    }
`})
	for _, e := range r.targets {
		r.write(e, ours)
	}
	r.driver = r.openWith(over)
	return r
}

func (r *rig) settings(over map[string]any) json.RawMessage {
	section := map[string]any{
		"path": r.server.Dir + "/status/{address}/nginx-status.html", "url": "http://{address}:" + r.port + "/nginx-status.html",
		"check_interval": "300ms", "check_timeout": "1s", "healthy_threshold": 2, "unhealthy_threshold": 3, "margin": "500ms",
	}
	maps.Copy(section, over)
	b, err := json.Marshal(section)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) openWith(over map[string]any) deployer.Balancer {
	r.t.Helper()
	d, err := statusfile.New(r.settings(over), r.open)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// step wants the first n targets up or down, all others are not in it.
func (r *rig) step(op deploy.Op, targets ...deploy.Endpoint) deploy.Step {
	s := deploy.Step{Op: op, Slot: deploy.Main, Limit: deploy.Duration(time.Minute)}
	for _, e := range targets {
		e.Up = op == deploy.OpIn
		s.Hosts, s.Targets = append(s.Hosts, e.Host), append(s.Targets, e)
	}
	return s
}

func (r *rig) route(op deploy.Op, targets ...deploy.Endpoint) {
	r.t.Helper()
	if err := r.driver.Route(r.t.Context(), r.step(op, targets...)); err != nil {
		r.t.Fatalf("%s: %v", op, err)
	}
}

// refused routes and checks code and parts of the message.
func (r *rig) refused(op deploy.Op, target deploy.Endpoint, code deploy.Code, says ...string) {
	r.t.Helper()
	err := r.driver.Route(r.t.Context(), r.step(op, target))
	if deploy.CodeOf(err) != code {
		r.t.Fatalf("%s: %v (code %q), want code %q", op, err, deploy.CodeOf(err), code)
	}
	for _, part := range says {
		if message := deploy.MessageOf(err); !strings.Contains(message, part) {
			r.t.Errorf("the message %q does not say %q", message, part)
		}
	}
}

func (r *rig) observe(targets ...deploy.Endpoint) deploy.Evidence {
	r.t.Helper()
	ev, err := r.driver.Observe(r.t.Context(), r.step(deploy.OpOut, targets...))
	if err != nil {
		r.t.Fatalf("observe: %v", err)
	}
	return ev
}

// hostOf is the address of the rig's host.
func hostOf(e deploy.Endpoint) string {
	ip, _, _ := strings.Cut(e.Addr, ":")
	return ip
}

func (r *rig) path(e deploy.Endpoint) string {
	return filepath.Join(r.server.Dir, "status", hostOf(e), "nginx-status.html")
}

func (r *rig) write(e deploy.Endpoint, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(e)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(e), []byte(text), 0o640); err != nil {
		r.t.Fatal(err)
	}
}

// file is the content of the status file; "-" where there is none.
func (r *rig) file(e deploy.Endpoint) string { return content(r.t, r.path(e)) }

func (r *rig) kept(e deploy.Endpoint) string { return content(r.t, r.path(e)+".ipublish") }

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// leftovers are what stands beside the status file besides the kept one.
func (r *rig) leftovers(e deploy.Endpoint) []string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(r.path(e)))
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); name != "nginx-status.html" && name != "nginx-status.html.ipublish" {
			names = append(names, name)
		}
	}
	return names
}

func localHosts(t *testing.T) func(string) (deployer.Host, error) {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(string) (deployer.Host, error) { return h, nil }
}

func sshHosts(t *testing.T, s *sshtest.Server) func(string) (deployer.Host, error) {
	t.Helper()
	h, err := ssh.New(s.Settings(nil), ssh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return func(string) (deployer.Host, error) { return inTurn{h, t}, nil }
}

// inTurn runs a command once nothing is left on this machine of an earlier one
// about the same file, as the engine's fence has it on every host: what a
// cancelled call leaves behind over ssh ends a little later than the call.
type inTurn struct {
	deployer.Host
	t *testing.T
}

func (h inTurn) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if len(argv) > 4 {
		eventually(h.t, "nothing of an earlier command is left", func() bool { return ctx.Err() != nil || !runs(h.t, argv[4]) })
	}
	return h.Host.Run(ctx, argv, in)
}

// runs: a process has the word among its arguments.
func runs(t *testing.T, word string) bool {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Error(err)
	}
	for _, line := range lines {
		if b, err := os.ReadFile(line); err == nil && strings.Contains(string(b), "\x00"+word+"\x00") {
			return true
		}
	}
	return false
}

// tapped lets a test act before, or instead of, what a host is asked.
type tapped struct {
	deployer.Host
	before func(ctx context.Context, what string) error // what: "run PROGRAM" or "dial ADDRESS"
}

func (h tapped) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if err := h.before(ctx, "run "+argv[0]); err != nil {
		return nil, err
	}
	return h.Host.Run(ctx, argv, in)
}

func (h tapped) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := h.before(ctx, "dial "+addr); err != nil {
		return nil, err
	}
	return h.Host.Dial(ctx, network, addr)
}

// tap puts before in front of every host of the rig.
func (r *rig) tap(before func(ctx context.Context, what string) error) {
	open := r.open
	r.open = func(name string) (deployer.Host, error) {
		h, err := open(name)
		return tapped{h, before}, err
	}
	r.driver = r.openWith(nil)
}

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
