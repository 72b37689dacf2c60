package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/proxy"
	"ipublish/deployer/runtime/systemdtest"
)

// The packaged unit of the proxy, in a real systemd: a reload replaces the
// process without losing a request, and systemd follows.
func TestAReloadOfThePackagedProxyLosesNothing(t *testing.T) {
	program := build(t)
	m := systemdtest.Boot(t)
	home := filepath.Join(m.Dir, "tmp")
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "ipublish-proxy.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.NewReplacer("/usr/local/bin/ipublish", program, "/var/lib/ipublish", home, "\nStateDirectory", "\n#StateDirectory").Replace(string(text))
	if err := os.WriteFile(filepath.Join(m.Dir, "etc/system/ipublish-proxy.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Run(t, "systemctl", "daemon-reload")
	m.Run(t, "systemctl", "start", "ipublish-proxy")

	arrived, hang := make(chan struct{}, 1), make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- struct{}{}
			<-hang
		}
		_, _ = io.Copy(w, r.Body)
	}))
	defer app.Close()
	defer close(hang)
	listen := freePort(t)
	driver, err := proxy.New(filepath.Join(home, "proxy.sock"), deploy.Target{App: "shop", Env: "production"}, fmt.Appendf(nil, `{"listen":%q}`, listen))
	if err != nil {
		t.Fatal(err)
	}
	s := deploy.Step{Op: deploy.OpRoute, Targets: []deploy.Endpoint{{Addr: app.Listener.Addr().String(), Up: true}}}
	if err := driver.Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	second, err := proxy.New(filepath.Join(home, "proxy.sock"), deploy.Target{App: "api", Env: "production"}, fmt.Appendf(nil, `{"listen":%q}`, freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Route(t.Context(), s); err != nil { // in no order of names
		t.Fatal(err)
	}

	c := startCustomers(t, "http://"+listen)
	main := func() string { return m.Run(t, "systemctl", "show", "-P", "MainPID", "ipublish-proxy") }
	for range 5 {
		before := main()
		m.Run(t, "systemctl", "reload", "ipublish-proxy")
		eventually(t, "systemd follows the successor", func() bool { return main() != before })
		served := c.sent.Load()
		eventually(t, "it serves", func() bool { return c.sent.Load() > served+100 })
	}
	c.leave()
	t.Logf("%d requests over 5 reloads", c.sent.Load())
	if n := c.lost.Load(); n > 0 {
		t.Errorf("%d of %d requests were lost, first: %v", n, c.sent.Load(), *c.first.Load())
	}
	for property, want := range map[string]string{"ActiveState": "active", "NRestarts": "0"} {
		if got := m.Run(t, "systemctl", "show", "-P", property, "ipublish-proxy"); got != want {
			t.Errorf("%s of the unit is %s", property, got)
		}
	}
	out := m.Run(t, "sh", "-c", `"$@" 2>&1 || :`, "sh", program, "proxy", "--replace", "--socket", home+"/proxy.sock", "--state", home+"/proxy.json")
	if !strings.Contains(out, "systemctl reload") {
		t.Errorf("a stranger was told %q", out)
	}

	restarted := killWithElder(t, m, "http://"+listen, arrived)
	eventually(t, "systemd starts it again", func() bool { return buy(restarted, "http://"+listen) == nil })
	if got := m.Run(t, "systemctl", "show", "-P", "NRestarts", "ipublish-proxy"); got != "1" {
		t.Errorf("restarted %s times", got)
	}
	m.Run(t, "systemctl", "stop", "ipublish-proxy")
	if got := m.Run(t, "sh", "-c", "pgrep -fc '[i]publish proxy' || :"); got != "0" {
		t.Errorf("%s processes are left", got)
	}
}

// killWithElder kills the proxy that a reload brought while the one before it
// still has a client.
func killWithElder(t *testing.T, m *systemdtest.Machine, url string, arrived <-chan struct{}) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = buy(c, url+"/hang") })
	t.Cleanup(waiting.Wait)
	<-arrived
	main := func() string { return m.Run(t, "systemctl", "show", "-P", "MainPID", "ipublish-proxy") }
	before := main()
	m.Run(t, "systemctl", "reload", "ipublish-proxy")
	eventually(t, "systemd follows the successor", func() bool { return main() != before })
	m.Run(t, "kill", "-KILL", main())
	return c
}

// An upgrade by a link: what it points to now is what a hangup starts.
func TestTheSuccessorIsWhatTheProgramsLinkPointsTo(t *testing.T) {
	program := build(t)
	dir, err := os.MkdirTemp("", "px") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	newer, link := filepath.Join(dir, "newer"), filepath.Join(dir, "ipublish")
	if err := errors.Join(os.Link(program, newer), os.Symlink(program, link)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, "proxy", "--socket", filepath.Join(dir, "s"), "--state", filepath.Join(dir, "state"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	serving := func() int { return listener(filepath.Join(dir, "s")) }
	eventually(t, "it serves", func() bool { return serving() == cmd.Process.Pid })
	if err := errors.Join(os.Remove(link), os.Symlink(newer, link), cmd.Process.Signal(syscall.SIGHUP)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its successor serves", func() bool { pid := serving(); return pid != 0 && pid != cmd.Process.Pid })
	next := serving()
	t.Cleanup(func() { _ = syscall.Kill(next, syscall.SIGKILL) })
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", next)); err != nil || exe != newer {
		t.Errorf("the successor is %s, %v", exe, err)
	}
}

// listener is the process that listens on a control socket; 0: none.
func listener(socket string) (pid int) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	res, err := c.Get("http://proxy/v1/ping")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var told struct {
		PID int `json:"pid"`
	}
	if res.StatusCode != http.StatusOK || json.NewDecoder(res.Body).Decode(&told) != nil {
		return 0
	}
	return told.PID
}

// An application behind nginx learns from it how its client came.
func TestThePackagedFrontTellsTheScheme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "nginx-front.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "proxy_set_header X-Forwarded-Proto $scheme;"); n != 2 {
		t.Errorf("%d of 2 locations do", n)
	}
}

// customers send POSTs, half of them over connections that they keep.
type customers struct {
	sent, lost atomic.Int64
	first      atomic.Pointer[error]
	leave      func()
}

func startCustomers(t *testing.T, url string) *customers {
	t.Helper()
	c := &customers{}
	gone := make(chan struct{})
	var all sync.WaitGroup
	for i := range 10 {
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		all.Go(func() {
			defer transport.CloseIdleConnections()
			tick := time.NewTicker(time.Duration(20+i) * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-gone:
					return
				}
				c.sent.Add(1)
				if err := buy(&http.Client{Transport: transport}, url); err != nil {
					c.lost.Add(1)
					c.first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	c.leave = sync.OnceFunc(func() { close(gone); all.Wait() })
	t.Cleanup(c.leave)
	return c
}

// buy sends what nothing sends twice.
func buy(c *http.Client, url string) error {
	req, err := http.NewRequest(http.MethodPost, url, io.NopCloser(strings.NewReader("order")))
	if err != nil {
		return err
	}
	req.ContentLength = 5
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && string(data) != "order" {
		err = errors.New(res.Status + " " + string(data))
	}
	return err
}

// freePort is below the ephemeral range, so that no outgoing connection takes it.
func freePort(t *testing.T) string {
	t.Helper()
	for port := 21000 + os.Getpid()%1000; port < 32000; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
