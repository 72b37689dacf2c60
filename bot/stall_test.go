package bot

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory, so that its waits are the bubble's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// inMemory serves the tests' server in a bubble.
func inMemory(t *testing.T, test func(t *testing.T, s *Server, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		hooks := map[string]Githook{"github": fakeHook{"hook-secret"}, "gitea": fakeHook{"gitea-secret"}}
		s := NewServer(Parts{
			Config: testConfig, Handler: newHandler(newMemory()), Log: slog.New(slog.DiscardHandler), Ready: func() error { return nil },
			Hooks: func(name string) (Githook, bool) { h, ok := hooks[name]; return h, ok },
			Chats: map[string]Chat{"slack": newChat()},
		})
		network, srv := newPipes(), s.HTTP()
		served := make(chan error, 1)
		go func() { served <- srv.Serve(network) }()
		test(t, s, network.dial)
		srv.Close()
		<-served
		time.Sleep(time.Second) // the server's connections end that much later
	})
}

// begin sends the head of a large delivery and the first bytes of its body.
func begin(t *testing.T, c net.Conn, path, secret string) {
	t.Helper()
	head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 26000000\r\n"
	if secret != "" {
		head += "X-Secret: " + secret + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n{\"Repo\":"); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestABodyThatStopsComingIsGivenUp(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, dial func() net.Conn) {
		c, since := dial(), time.Now()
		defer c.Close()
		begin(t, c, "/hooks/github", "hook-secret")
		if resp := answer(t, c); resp.StatusCode != http.StatusRequestTimeout || time.Since(since) != stalled {
			t.Errorf("got %d after %s", resp.StatusCode, time.Since(since))
		}
		empty(t, s.hooks.bodies.small, maxBodies)
	})
}

func TestABodyThatTricklesIsGivenUpInTheEnd(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Server, dial func() net.Conn) {
		c, since := dial(), time.Now()
		begin(t, c, "/hooks/github", "hook-secret")
		trickled := make(chan struct{})
		go func() {
			defer close(trickled)
			for {
				time.Sleep(stalled - time.Second)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}()
		if resp := answer(t, c); resp.StatusCode != http.StatusRequestTimeout || time.Since(since) != bodyLimit {
			t.Errorf("got %d after %s", resp.StatusCode, time.Since(since))
		}
		c.Close()
		<-trickled
	})
}

func TestABodyIsNotWaitedForWhereNobodyCouldBeGenuine(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Server, dial func() net.Conn) {
		for path, secret := range map[string]string{"/hooks/nope": "hook-secret", "/hooks/github/nope": "hook-secret", "/hooks/github": "", "/api/v1/commands": ""} {
			c, since := dial(), time.Now()
			begin(t, c, path, secret)
			if resp := answer(t, c); resp.StatusCode != http.StatusUnauthorized || time.Since(since) != 0 {
				t.Errorf("%s: %d after %s", path, resp.StatusCode, time.Since(since))
			}
			if _, err := io.Copy(io.Discard, c); err != nil || time.Since(since) > lingering {
				t.Errorf("%s: the connection ended after %s with %v", path, time.Since(since), err)
			}
			c.Close()
		}
	})
}

// from is a delivery by a client of the network; its body comes through a pipe.
func from(addr, secret string) (r *http.Request, body *io.PipeWriter) {
	pr, pw := io.Pipe()
	r = httptest.NewRequest(http.MethodPost, "/hooks/github", pr)
	r.RemoteAddr = addr
	r.Header.Set("X-Secret", secret)
	return r, pw
}

func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, _ func() net.Conn) {
		routes := s.Routes()
		var bodies []*io.PipeWriter
		var wg sync.WaitGroup
		for i := range maxPerClient {
			r, body := from(fmt.Sprintf("[2001:db8::%x]:443", i+1), "forged")
			bodies = append(bodies, body)
			wg.Go(func() { routes.ServeHTTP(httptest.NewRecorder(), r) })
		}
		synctest.Wait()
		for addr, want := range map[string]int{"[2001:db8::ffff]:1": http.StatusServiceUnavailable, "[2001:db8:1::1]:1": http.StatusAccepted, "192.0.2.1:1": http.StatusAccepted, "127.0.0.1:1": http.StatusAccepted} {
			r, body := from(addr, "hook-secret")
			wg.Go(func() { _, _ = io.Copy(body, pushBody(shopPush())); body.Close() })
			w := httptest.NewRecorder()
			routes.ServeHTTP(w, r)
			r.Body.Close()
			if w.Code != want {
				t.Errorf("%s: %d, want %d", addr, w.Code, want)
			}
		}
		for _, body := range bodies {
			body.CloseWithError(io.ErrUnexpectedEOF)
		}
		wg.Wait()
		if n := len(s.hooks.crowd.at); n != 0 {
			t.Errorf("%d clients are remembered", n)
		}
	})
}

// Real connections, far more than the budgets' announced bytes.
func TestStalledSendersKeepNobodyElseWaiting(t *testing.T) {
	f := newFront(t)
	addr := strings.TrimPrefix(f.http.URL, "http://")
	for i := range 240 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		begin(t, c, []string{"/hooks/nope", "/hooks/github", "/slack/commands", "/api/v1/commands"}[i%4], "forged")
	}
	ctx, cancel := context.WithTimeout(t.Context(), stalled/2)
	defer cancel()
	served := map[string]struct {
		header map[string]string
		body   func() io.Reader
		want   int
	}{
		"/hooks/github":    {hookSecret, func() io.Reader { return pushBody(shopPush()) }, http.StatusAccepted},
		"/hooks/gitea":     {map[string]string{"X-Secret": "gitea-secret"}, func() io.Reader { return pushBody(shopPush()) }, http.StatusAccepted},
		"/slack/commands":  {chatSecret, func() io.Reader { return commandBody(slackCommand("whoami")) }, http.StatusOK},
		"/api/v1/commands": {bearer, func() io.Reader { return strings.NewReader(`{"text":"whoami"}`) }, http.StatusOK},
	}
	for path, s := range served {
		for range 5 {
			if code, body := f.send(t, "POST", path, s.header, s.body()); code != s.want {
				t.Errorf("%s: %d %q", path, code, body)
			}
		}
	}
	if ctx.Err() != nil {
		t.Error("the answers took longer than a stalled body is waited for")
	}
}

// Whatever the network fills, the unix socket has its own.
func TestTheUnixSocketSharesWithNobody(t *testing.T) {
	f := newFront(t)
	network := httptest.NewRequest(http.MethodPost, "/api/v1/commands", nil)
	local := network.WithContext(context.WithValue(t.Context(), peerKey{}, localActor(0)))
	for _, g := range []*gate{f.server.hooks, f.server.chats, f.server.api} {
		if f.server.gate(local, g) == g || f.server.gate(network, g) != g {
			t.Error("the unix socket shares with the network")
		}
		if !g.bodies.small.TryAcquire(maxBodies) {
			t.Error("two gates share one budget")
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/commands", strings.NewReader(`{"text":"whoami"}`)).WithContext(local.Context())
	w := httptest.NewRecorder()
	f.server.Routes().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("the local user got %d %s", w.Code, w.Body)
	}
}
