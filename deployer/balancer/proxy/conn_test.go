package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
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
