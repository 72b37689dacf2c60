package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipublish/deploy"
)

// echo answers each message of a WebSocket with itself, server-sent events at
// /events, an answer without an end at /stream, and whatever is slow at /slow.
func echo(t *testing.T) *app {
	t.Helper()
	upgrader := websocket.Upgrader{}
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	return startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fallthrough
		case "/stream":
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-gone:
			}
		case "/slow":
			<-time.After(time.Second)
		default:
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			for {
				kind, data, err := conn.ReadMessage()
				if err != nil || conn.WriteMessage(kind, data) != nil {
					return
				}
			}
		}
	}))
}

func dialWebSocket(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	exchangeMessage(t, conn, "hello")
	return conn
}

func exchangeMessage(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

// follow reads the first event of a stream and returns what ended it.
func follow(t *testing.T, url string) <-chan error {
	t.Helper()
	res, err := fresh(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	end := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, lines)
		end <- err
	}()
	return end
}

// drainOf is the engine's step after a switch from old to up.
func drainOf(up, old string, hold time.Duration) deploy.Step {
	s := step([]string{up}, []string{old}, nil)
	s.Op, s.Hold = deploy.OpDrain, deploy.Duration(hold)
	return s
}

func TestADrainEndsTunnelsAndStreamsAtItsEndAndSaysHowMany(t *testing.T) {
	p := serveProxy(t)
	old, next := echo(t), named(t)
	p.route([]string{old.addr})
	sockets := []*websocket.Conn{dialWebSocket(t, p.listen), dialWebSocket(t, p.listen)}
	events, stream := follow(t, p.url()+"/events"), follow(t, p.url()+"/stream")
	p.route([]string{next.addr}, old.addr)
	s := drainOf(next.addr, old.addr, time.Second)
	began := time.Now()
	if err := p.driver().Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, c := range sockets {
		exchangeMessage(t, c, "still there")
	}
	if n := p.traffic(old.addr).InFlight[old.addr]; n != 4 {
		t.Errorf("%d in flight, want 4", n)
	}
	for _, c := range sockets {
		if _, _, err := c.ReadMessage(); err == nil {
			t.Error("a WebSocket goes on")
		}
	}
	if err := <-events; err != nil {
		t.Errorf("server-sent events ended with %v: a browser takes that for an error", err)
	}
	if err := <-stream; err == nil {
		t.Error("a stream that was cut looks whole")
	}
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("cut after %v", took)
	}
	eventually(t, "nothing is in flight", func() bool { return p.traffic(old.addr).InFlight[old.addr] == 0 })
	ev, err := p.driver().Observe(t.Context(), s)
	if err != nil || !strings.HasPrefix(ev.Note, "2 WebSockets and 2 streams were still open after ") {
		t.Errorf("told %q, %v", ev.Note, err)
	}
	if got := ev.Traffic.Counters[old.addr]; got.Failures != 0 {
		t.Errorf("counted %+v: the application did nothing wrong", got)
	}
}

func TestADrainLeavesARequestThatEndsByItselfToTheApplication(t *testing.T) {
	p := serveProxy(t)
	old, next := echo(t), named(t)
	p.route([]string{old.addr})
	answered := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), p.url()+"/slow", "x")
		answered <- err
	}()
	eventually(t, "it is in flight", func() bool { return p.traffic().InFlight[old.addr] == 1 })
	s := drainOf(next.addr, old.addr, 100*time.Millisecond)
	if err := p.driver().Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if ev, err := p.driver().Observe(t.Context(), s); err != nil || ev.Note != "" {
		t.Errorf("told %q, %v", ev.Note, err)
	}
}

func TestAnAddressThatComesBackDuringItsDrainKeepsItsWebSockets(t *testing.T) {
	p := serveProxy(t)
	old, next := echo(t), named(t)
	p.route([]string{old.addr})
	conn := dialWebSocket(t, p.listen)
	for _, s := range []deploy.Step{drainOf(next.addr, old.addr, 100*time.Millisecond), step([]string{old.addr}, []string{next.addr}, nil)} {
		if err := p.driver().Route(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	over := time.After(300 * time.Millisecond)
	for n := 0; ; n++ {
		exchangeMessage(t, conn, fmt.Sprint(n))
		select {
		case <-over:
			return
		default:
		}
	}
}

func TestATunnelThatBeginsAfterTheDrainsEndIsCut(t *testing.T) {
	p := serveProxy(t)
	upgrader := websocket.Upgrader{}
	arrived, release := make(chan struct{}), make(chan struct{})
	old := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			_, _, _ = conn.ReadMessage()
			_ = conn.Close()
		}
	}))
	next := named(t)
	p.route([]string{old.addr})
	cut := make(chan error, 1)
	go func() {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+p.listen, nil)
		if err == nil {
			_, _, err = conn.ReadMessage()
			_ = conn.Close()
		}
		cut <- err
	}()
	<-arrived
	s := drainOf(next.addr, old.addr, 0)
	if err := p.driver().Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain is over", func() bool {
		st, err := newClient(p.socket).get(t.Context(), shop.String())
		return err == nil && st.Addresses[old.addr].InFlight == 1
	})
	close(release)
	if <-cut == nil {
		t.Error("it was not cut")
	}
}

func TestADrainIsFollowedByTheReplacedProxyToo(t *testing.T) {
	p := serveProxy(t)
	old, next := echo(t), named(t)
	p.route([]string{old.addr})
	conn := dialWebSocket(t, p.listen)
	successor := p.replaced()
	s := drainOf(next.addr, old.addr, 200*time.Millisecond)
	if err := successor.driver().Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the WebSocket goes on")
	}
	eventually(t, "it is told", func() bool {
		ev, err := successor.driver().Observe(t.Context(), s)
		return err == nil && strings.HasPrefix(ev.Note, "1 WebSockets and 0 streams")
	})
}

func TestAnswersOfKnownLengthAndWholeStreamsAreNoStays(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one")
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "two")
		}
	}))
	p.route([]string{a.addr})
	c := keeping(t)
	for path, want := range map[string]string{"/": "one", "/stream": "onetwo"} {
		if got, err := post(c, p.url()+path, "x"); err != nil || got != want {
			t.Errorf("%s answered %q, %v", path, got, err)
		}
	}
	eventually(t, "nothing is in flight", func() bool { return p.traffic().InFlight[a.addr] == 0 })
}
