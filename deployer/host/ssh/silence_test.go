package ssh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// A whole session of a short command is about 4 kB from the server.
func TestAPeerThatFallsSilentAtAnyPointEndsTheCallInTime(t *testing.T) {
	server := sshtest.Start(t)
	for _, after := range []int64{0, 10, 42, 600, 1200, 1700, 2000, 2400, 2800, 3200} {
		t.Run(fmt.Sprintf("after %d bytes", after), func(t *testing.T) {
			t.Parallel()
			way := startWay(t, server.Addr)
			way.down.Store(after)
			settings := server.Settings(map[string]any{
				"address": server.User + "@" + way.addr, "known_hosts": way.known(t, server), "connect_timeout": "2s",
			})
			h := open(t, settings, ssh.Options{KeepAlive: 200 * time.Millisecond})
			began := time.Now()
			for range 3 { // however much fits in
				if _, err := h.Run(t.Context(), []string{"true"}, nil); err != nil {
					wantCode(t, err, deploy.CodeUnavailable)
				}
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestAnUploadIntoSilenceEndsWithItsDeadlineOrWithTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		keepAlive, deadline time.Duration
		want                deploy.Code
	}{
		"the deadline comes first":            {time.Hour, 500 * time.Millisecond, deploy.CodeTimeout},
		"the connection is given up at first": {100 * time.Millisecond, time.Minute, deploy.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := sshtest.Start(t)
			way := startWay(t, server.Addr)
			settings := server.Settings(map[string]any{"address": server.User + "@" + way.addr, "known_hosts": way.known(t, server)})
			h := open(t, settings, ssh.Options{KeepAlive: c.keepAlive})
			wantRun(t, h, "echo", "there")
			way.up.Store(1 << 20) // the rest of what the server would get is lost
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			began := time.Now()
			wantCode(t, h.Put(ctx, filepath.Join(dir, "file"), 0o644, io.LimitReader(zeros{}, 64<<20)), c.want)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			way.cut()
			eventually(t, "nothing is left of it", func() bool { return len(list(t, dir)) == 0 })
		})
	}
}

// way passes connections on to a server, until it has passed so many bytes;
// then it is silent, and stays open.
type way struct {
	addr     string
	down, up atomic.Int64 // bytes that still pass from and to the server
	mu       sync.Mutex
	open     []net.Conn
}

func startWay(t *testing.T, to string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	w := &way{addr: l.Addr().String()}
	w.down.Store(1 << 40)
	w.up.Store(1 << 40)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.open = append(w.open, near, far)
			w.mu.Unlock()
			work.Go(func() { pass(near, far, &w.down) })
			work.Go(func() { pass(far, near, &w.up) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		work.Wait()
	})
	return w
}

// pass reads on when nothing passes any more: the sender sees nothing of it.
func pass(to, from net.Conn, left *atomic.Int64) {
	p := make([]byte, 4096)
	for {
		n, err := from.Read(p)
		if rest := left.Add(-int64(n)); rest < 0 {
			n = max(0, n+int(max(rest, -int64(n))))
		}
		if n > 0 {
			_, _ = to.Write(p[:n])
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection that it passes on.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// known is a known_hosts file with the server's keys at the way's address.
func (w *way) known(t *testing.T, server *sshtest.Server) string {
	t.Helper()
	form := func(addr string) string {
		host, port, _ := net.SplitHostPort(addr)
		return "[" + host + "]:" + port
	}
	path := filepath.Join(t.TempDir(), "known")
	text := strings.ReplaceAll(string(read(t, server.KnownHosts)), form(server.Addr), form(w.addr))
	write(t, path, text)
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
