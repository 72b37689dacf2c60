package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// flood answers without an end, as server-sent events at /events, as a WebSocket
// at /socket, with a known length at /file, and counts what it was rid of.
func flood(t *testing.T) (a *app, written *atomic.Int64) {
	t.Helper()
	written = new(atomic.Int64)
	piece := bytes.Repeat([]byte("data: 12345\n\n"), 4096)
	upgrader := websocket.Upgrader{}
	return startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write := w.Write
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
		case "/file":
			w.Header().Set("Content-Length", "1000000000000")
		case "/socket":
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			write = func(p []byte) (int, error) { return len(p), conn.WriteMessage(websocket.BinaryMessage, p) }
		}
		for {
			n, err := write(piece)
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	})), written
}

// stall asks for path and takes nothing of the answer.
func stall(t *testing.T, p *served, path string) net.Conn {
	t.Helper()
	conn := dialDoor(t, p)
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	head := "GET " + path + " HTTP/1.1\r\nHost: x\r\n"
	if path == "/socket" {
		head += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitStalled returns when nothing was written for a while.
func awaitStalled(t *testing.T, written *atomic.Int64) {
	t.Helper()
	last, since := int64(-1), time.Now()
	eventually(t, "nothing more can be written", func() bool {
		if n := written.Load(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 200*time.Millisecond
	})
}

func TestADrainCutsWhoTakesNothingOfAStream(t *testing.T) {
	for _, path := range []string{"/events", "/stream", "/socket"} {
		p := serveProxy(t)
		old, written := flood(t)
		next := named(t)
		p.route([]string{old.addr})
		stall(t, p, path)
		awaitStalled(t, written)
		p.route([]string{next.addr}, old.addr)
		if err := p.driver().Route(t.Context(), drainOf(next.addr, old.addr, 100*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		eventually(t, path+" is cut", func() bool { return p.traffic(old.addr).InFlight[old.addr] == 0 })
	}
}

func TestAClientThatTakesNothingOfItsAnswerLosesItAndNobodyFailed(t *testing.T) {
	for _, path := range []string{"/file", "/events", "/socket"} {
		p := limited(t, limits{answer: 400 * time.Millisecond})
		a, written := flood(t)
		p.route([]string{a.addr})
		stall(t, p, path)
		eventually(t, path+" is under way", func() bool { return written.Load() > 0 })
		eventually(t, path+" is ended", func() bool { return p.traffic().InFlight[a.addr] == 0 })
		if got := p.traffic().Counters[a.addr]; got.Failures != 0 {
			t.Errorf("%s: counted %+v", path, got)
		}
	}
}

func TestAnAnswerThatIsTakenMayTakeItsTimeAndTheNextOneToo(t *testing.T) {
	p := limited(t, limits{answer: 200 * time.Millisecond})
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 4 {
			<-time.After(150 * time.Millisecond)
			_, _ = io.WriteString(w, "piece ")
			_ = http.NewResponseController(w).Flush()
		}
		<-time.After(400 * time.Millisecond)
		_, _ = io.WriteString(w, "end")
	}))
	p.route([]string{a.addr})
	conn := dialDoor(t, p)
	answers := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(res.Body); err != nil || string(data) != strings.Repeat("piece ", 4)+"end" {
			t.Errorf("got %q, %v", data, err)
		}
		<-time.After(300 * time.Millisecond)
	}
}
