package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peerVar turns the test binary into a process beside the program under test, so
// that each has its own heap and scheduler as in real life.
const peerVar = "E2E_PEER"

// What the test binary can be.
const (
	peerProxy  = "proxy"  // httputil.ReverseProxy, tuned: LISTEN BACKEND
	peerIntake = "intake" // chi, HMAC and group commit: LISTEN FILE
	peerVolley = "volley" // the load generator: a volley on its input, hits on its output
	peerApp    = "app"    // an application that writes down when it did what
)

func peerMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch role := os.Getenv(peerVar); role {
	case peerProxy:
		err = serveBareProxy(ctx, os.Args[1], os.Args[2])
	case peerIntake:
		err = serveBareIntake(ctx, os.Args[1], os.Args[2])
	case peerVolley:
		err = fire(os.Stdin, os.Stdout)
	case peerApp:
		err = serveMarkedApp(ctx)
	default:
		err = fmt.Errorf("there is no peer %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		return 1
	}
	return 0
}

// serveUntil serves until ctx ends and lets what is in flight end.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return s.Shutdown(context.Background())
	}
}

// serveBareProxy is the standard library's reverse proxy with tuned connections
// and nothing else.
func serveBareProxy(ctx context.Context, listen, backend string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	to := &url.URL{Scheme: "http", Host: backend}
	return serveUntil(ctx, l, &httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.Out.Host = pr.In.Host; pr.SetXForwarded() },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		BufferPool: &bufferPool{},
		ErrorLog:   log.New(io.Discard, "", 0),
	})
}

type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(p []byte) { b.pool.Put(&p) }

// beside is a process that ends with the test.
type beside struct {
	cmd  *exec.Cmd
	done chan struct{}
	end  sync.Once
}

// startPeer starts the test binary as one of its roles.
func startPeer(t testing.TB, role string, args ...string) *beside {
	t.Helper()
	return startBeside(t, []string{peerVar + "=" + role}, testBinary(t), args...)
}

// startBeside starts a program. It prints nothing: logs are no part of what is compared.
func startBeside(t testing.TB, environ []string, program string, args ...string) *beside {
	t.Helper()
	b := &beside{cmd: exec.Command(program, args...), done: make(chan struct{})}
	b.cmd.Env = append(os.Environ(), environ...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.done)
		_ = b.cmd.Wait() // how it ended is the test's business, by what it sees
	}()
	t.Cleanup(b.kill)
	return b
}

func (b *beside) kill() {
	b.end.Do(func() { _ = b.cmd.Process.Kill() }) // it may have ended
	<-b.done
}

func testBinary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// firstAnswer waits until a URL is answered 200, looking every half millisecond,
// and returns when that was.
func firstAnswer(t testing.TB, b *beside, address string) time.Time {
	t.Helper()
	c := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for limit := time.After(startLimit); ; {
		res, err := c.Get(address)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err == nil && res.StatusCode == http.StatusOK {
				return time.Now()
			}
		}
		select {
		case <-tick.C:
		case <-b.done:
			t.Fatalf("%s ended before it answered", filepath.Base(b.cmd.Path))
		case <-limit:
			t.Fatalf("%s does not answer at %s: %v", filepath.Base(b.cmd.Path), address, err)
		}
	}
}

// settled is a process's memory once it has not grown for a fifth of a second, in MiB.
func settled(t testing.TB, pid int, field string) float64 {
	t.Helper()
	last, same := -1.0, 0
	eventually(t, startLimit, "its memory settles", func() bool {
		now := memory(t, pid, field)
		if same++; now > last {
			last, same = now, 0
		}
		return same >= 20
	})
	return memory(t, pid, field)
}

// memory reads one line of a process's smaps_rollup, in MiB: Rss, or Pss, where
// pages that several processes share are counted once.
func memory(t testing.TB, pid int, field string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == field+":" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	t.Fatalf("the kernel does not tell %s of process %d", field, pid)
	return 0
}

// worked is the processor time that a process has used: on a machine that does
// other things as well it tells more than the time on the clock.
func worked(t testing.TB, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(after)
	if err != nil || len(f) < 13 {
		t.Fatalf("process %d: %v", pid, err)
	}
	user, err := strconv.Atoi(f[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(f[12])
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / clockTicks
}

// clockTicks is how many of them Linux tells user space a second to have.
const clockTicks = 100
