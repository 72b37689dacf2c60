package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// closing starts a backend that closes each connection after its answer without
// saying so, and tells when it has.
func closing(t *testing.T) (addr string, closed <-chan struct{}) {
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			_ = c.Close()
			done <- struct{}{}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String(), done
}

func TestAPostAfterTheBackendClosedItsConnectionNeverFails(t *testing.T) {
	p := serveProxy(t)
	addr, closed := closing(t)
	p.route([]string{addr})
	c := keeping(t)
	for _, body := range []string{"short", strings.Repeat("long", heldBody)} {
		for i := range 300 {
			if _, err := post(c, p.url(), body); err != nil {
				t.Fatalf("POST %d of %d bytes: %v", i, len(body), err)
			}
			<-closed
		}
	}
	if got := p.traffic().Counters[addr]; got.Requests != 600 || got.Failures != 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestAWriteAfterThePeerClosedSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, answer := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"} {
		ours, err := dialBackend(context.Background(), &net.Dialer{}, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(theirs, answer); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ours, make([]byte, len(answer))); err != nil {
			t.Fatal(err)
		}
		if n, err := io.WriteString(ours, "open"); n != 4 || err != nil {
			t.Fatalf("while it is open: %d, %v", n, err)
		}
		if _, err := io.ReadFull(theirs, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		ours.(*conn).answered.Store(true)
		if err := theirs.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end has arrived", ours.(*conn).closedByPeer)
		tunnel := strings.Contains(answer, "101")
		if n, err := io.WriteString(ours, "closed"); (err == nil) != tunnel || (n > 0) != tunnel {
			t.Errorf("after %q: %d bytes written, %v", answer, n, err)
		}
		_ = theirs.Close()
	}
}

// The backend closes a connection in the instant in which the transport takes it.
func TestAPostThatMeetsAConnectionBeingClosedIsSentOverAnotherOnce(t *testing.T) {
	for _, body := range []string{"", "short", strings.Repeat("long", heldBody)} {
		g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json")}.filled(), legacy{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.close(); g.wait() })
		var arrived atomic.Int64
		a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			arrived.Add(1)
			data, _ := io.ReadAll(r.Body)
			_, _ = w.Write(data)
		}))
		listen := freeAddr(t)
		if _, err := g.put(order{route: route{Name: shop.String(), Listen: listen, Up: []string{a.addr}}}); err != nil {
			t.Fatal(err)
		}
		met := 0
		trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if !got.Reused {
				return
			}
			met++
			if err := got.Conn.(*conn).Conn.(*net.TCPConn).CloseRead(); err != nil { // reads as the backend's end
				t.Error(err)
			}
			eventually(t, "the transport has closed it", func() bool { return got.Conn.SetReadDeadline(time.Time{}) != nil })
		}}
		for range 2 {
			req := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body)))
			req.ContentLength = int64(len(body))
			w := httptest.NewRecorder()
			g.lanes[shop.String()].door.ServeHTTP(w, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
			if w.Code != http.StatusOK || w.Body.String() != body {
				t.Errorf("%d bytes: answered %d with %d bytes", len(body), w.Code, w.Body.Len())
			}
		}
		if met != 1 || arrived.Load() != 2 {
			t.Errorf("%d bytes: met %d closed connections, %d requests arrived", len(body), met, arrived.Load())
		}
	}
}

func TestWhatFailsBeforeAnythingWasSentIsNoMoreThanARefusedConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]struct {
		end  func(theirs *net.TCPConn) error
		sent bool
	}{
		"it was reset":               {func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, false},
		"it ended":                   {func(c *net.TCPConn) error { return c.Close() }, false},
		"it ended after the request": {func(c *net.TCPConn) error { return c.Close() }, true},
	} {
		ours, err := dialBackend(t.Context(), &net.Dialer{}, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.sent {
			if _, err := io.WriteString(ours, "POST"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.end(theirs.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
		var unsent *dialError
		_, err = ours.Read(make([]byte, 1))
		if err == nil || errors.As(err, &unsent) == c.sent {
			t.Errorf("%s: reading failed with %v", name, err)
		}
		if n, err := io.WriteString(ours, "POST"); !c.sent && (n != 0 || !errors.As(err, &unsent)) {
			t.Errorf("%s: %d bytes were written after all, %v", name, n, err)
		}
		_ = ours.Close()
	}
}

func TestAConnectionThatWasNeverAnsweredGoesToTheSpareWhileNothingWasSent(t *testing.T) {
	p := serveProxy(t)
	spare := named(t)
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // as of a process that dies with connections that it has not accepted
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close())
		}
	}()
	defer func() { _ = l.Close(); <-ended }()
	p.route([]string{l.Addr().String()}, spare.addr)
	var lost uint64
	for range 100 {
		if got, err := post(fresh(t), p.url(), "x"); err != nil {
			lost++
		} else if got != spare.addr {
			t.Fatalf("answered %q", got)
		}
	}
	c := p.traffic().Counters
	if c[spare.addr].Requests != 100-lost || c[l.Addr().String()].Failures != lost {
		t.Errorf("%d were lost, counted %+v", lost, c)
	}
	t.Logf("%d of 100 were sent before the end was seen", lost)
}
