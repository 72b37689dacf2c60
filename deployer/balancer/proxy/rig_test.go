package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

var shop = deploy.Target{App: "shop", Env: "production"}

// TestMain is also the processes of the tests that kill and replace them.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "app" {
		os.Exit(appProcess(os.Args[2]))
	}
	if len(os.Args) >= 4 && os.Args[1] == "proxy" {
		os.Exit(proxyProcess(os.Args[2], os.Args[3], os.Args[4:]))
	}
	os.Exit(m.Run())
}

// proxyProcess is `ipublish proxy` with the words of a test: replace, guarded,
// or the version that it is to have.
func proxyProcess(socket, state string, words []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	o := Options{Socket: socket, StateFile: state, Log: logger, Hangups: hangups, Successor: command(socket, state, "replace")}
	for _, w := range words {
		switch w {
		case "replace":
			o.Replace = true
		case "guarded":
			o.Guarded = true
		default:
			o.version = w
		}
	}
	if err := Serve(ctx, o); err != nil {
		logger.Error("proxy ended", "error", err)
		return 1
	}
	return 0
}

// command starts a proxy as a process of its own.
func command(socket, state string, words ...string) []string {
	return append([]string{os.Args[0], "proxy", socket, state}, words...)
}

// served is a proxy that runs within the test.
type served struct {
	t             *testing.T
	socket, state string
	listen        string
	stop          context.CancelFunc
	ended         chan error
}

func serveProxy(t *testing.T) *served {
	t.Helper()
	dir := shortDir(t)
	return serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), Drain: 10 * time.Second})
}

func serveProxyWith(t *testing.T, o Options) *served {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &served{t: t, socket: o.Socket, state: o.StateFile, listen: freeAddr(t), stop: stop, ended: make(chan error, 1)}
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	go func() { p.ended <- Serve(ctx, o) }()
	select {
	case <-ready:
		t.Cleanup(p.end)
	case err := <-p.ended:
		t.Fatalf("Serve: %v", err)
	}
	return p
}

func (p *served) end() {
	p.stop()
	if err := <-p.ended; err != nil {
		p.t.Errorf("Serve: %v", err)
	}
	p.ended <- nil
}

func (p *served) url() string { return "http://" + p.listen }

func (p *served) driver() deployer.Balancer {
	p.t.Helper()
	return openDriver(p.t, p.socket, p.listen)
}

func openDriver(t *testing.T, socket, listen string) deployer.Balancer {
	t.Helper()
	b, err := New(socket, shop, fmt.Appendf(nil, `{"listen":%q}`, listen))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// route makes exactly up receive requests, with spare as fallback.
func (p *served) route(up []string, spare ...string) {
	p.t.Helper()
	if err := p.driver().Route(p.t.Context(), step(up, nil, spare)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *served) traffic(targets ...string) deploy.Traffic {
	p.t.Helper()
	ev, err := p.driver().Observe(p.t.Context(), step(nil, targets, nil))
	if err != nil {
		p.t.Fatal(err)
	}
	return *ev.Traffic
}

func step(up, down, spare []string) deploy.Step {
	s := deploy.Step{Op: deploy.OpRoute}
	for _, a := range up {
		s.Targets = append(s.Targets, deploy.Endpoint{Addr: a, Up: true})
	}
	for _, a := range spare {
		s.Targets = append(s.Targets, deploy.Endpoint{Addr: a, Spare: true})
	}
	for _, a := range down {
		s.Targets = append(s.Targets, deploy.Endpoint{Addr: a})
	}
	return s
}

// app is a backend at a fixed address that can be stopped and started again.
type app struct {
	t       testing.TB
	addr    string
	handler http.Handler
	server  *http.Server
	done    sync.WaitGroup
}

func startApp(t testing.TB, h http.Handler) *app {
	t.Helper()
	a := &app{t: t, addr: freeAddr(t), handler: h}
	a.start()
	t.Cleanup(a.kill)
	return a
}

// named answers its own address.
func named(t testing.TB) *app {
	t.Helper()
	a := startApp(t, nil)
	a.kill()
	a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, a.addr)
	})
	a.start()
	return a
}

func (a *app) start() {
	a.t.Helper()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.server = &http.Server{Handler: a.handler}
	server := a.server
	a.done.Go(func() { _ = server.Serve(l) })
}

// stop ends gracefully, as a Go application does on SIGTERM.
func (a *app) stop() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		a.t.Errorf("stop %s: %v", a.addr, err)
	}
	a.done.Wait()
}

// kill cuts every connection, as kill -9 does.
func (a *app) kill() {
	_ = a.server.Close()
	a.done.Wait()
}

// given are the addresses that freeAddr gave: the same twice in a test is a proxy
// that is its own backend.
var given sync.Map

// freeAddr finds a free address below the ephemeral range, so that no outgoing
// connection takes it while its owner restarts.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// shortDir is a temporary folder whose path fits a unix socket's 108 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "px")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	limit := time.After(15 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never came true: %s", what)
		}
	}
}

// fresh is a client whose every request has a connection of its own.
func fresh(t testing.TB) *http.Client {
	tr := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// keeping is a client that keeps its connections.
func keeping(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// post sends a body that cannot be sent twice, so that nothing retries it.
func post(c *http.Client, url, body string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, url, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return "", err
	}
	req.ContentLength = int64(len(body))
	return answerOf(c.Do(req))
}

func answerOf(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status + " " + string(data))
	}
	return string(data), err
}

func wantCode(t *testing.T, err error, want deploy.Code) {
	t.Helper()
	if got := deploy.CodeOf(err); got != want {
		t.Fatalf("code %q, want %q: %v", got, want, err)
	}
}
