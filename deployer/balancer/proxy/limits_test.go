package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limited serves with limits that a test can wait for.
func limited(t *testing.T, l limits) *served {
	t.Helper()
	dir := shortDir(t)
	all := defaultLimits()
	if l.head > 0 {
		all.head = l.head
	}
	if l.body > 0 {
		all.body = l.body
	}
	if l.idle > 0 {
		all.idle = l.idle
	}
	if l.answer > 0 {
		all.answer = l.answer
	}
	return serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), limits: all})
}

func dialDoor(t *testing.T, p *served) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// trickle sends a piece every few milliseconds until the other side has had enough.
func trickle(conn net.Conn, piece string) (sent int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(conn, piece); err != nil {
			return sent
		}
		sent++
		<-tick.C
	}
}

func TestAHeaderThatTricklesInIsEnded(t *testing.T) {
	p := limited(t, limits{head: 200 * time.Millisecond})
	a, requests := seen(t)
	p.route([]string{a.addr})
	conn := dialDoor(t, p)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	trickle(conn, "X-A: b\r\n")
	if took := time.Since(began); took < 150*time.Millisecond || len(requests) > 0 {
		t.Errorf("ended after %v, %d requests", took, len(requests))
	}
}

func TestAHeaderThatIsTooLongIsRefused(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	cookie := func(n int) string {
		return "GET / HTTP/1.1\r\nHost: x\r\nCookie: a=" + strings.Repeat("x", n) + "\r\n\r\n"
	}
	if res := raw(t, p.listen, cookie(60<<10)); res.StatusCode != http.StatusOK {
		t.Errorf("60 KB were answered %s", res.Status)
	}
	<-requests
	if res := raw(t, p.listen, cookie(80<<10)); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("80 KB were answered %s", res.Status)
	}
	if len(requests) > 0 {
		t.Error("it reached the application")
	}
}

func TestABodyThatStallsIsEndedAndIsNotTheApplicationsFailure(t *testing.T) {
	p := limited(t, limits{body: 200 * time.Millisecond})
	a := named(t)
	p.route([]string{a.addr})
	for _, length := range []string{"1000", "1000000"} { // held, streamed
		conn := dialDoor(t, p)
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "+length+"\r\n\r\nonly this"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s bytes: answered %+v, %v", length, res, err)
		}
	}
	eventually(t, "nothing is in flight", func() bool { return p.traffic().InFlight[a.addr] == 0 })
	if got := p.traffic().Counters[a.addr]; got.Failures != 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestABodyThatGoesOnMayTakeItsTime(t *testing.T) {
	p := limited(t, limits{body: 300 * time.Millisecond})
	received := make(chan int64, 1)
	a := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received <- n
	}))
	p.route([]string{a.addr})
	reader, writer := io.Pipe()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 8 {
			_, _ = writer.Write([]byte("piece"))
			<-tick.C
		}
		_ = writer.Close()
	}()
	res, err := fresh(t).Post(p.url(), "text/plain", reader)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n := <-received; n != 40 || res.StatusCode != http.StatusOK {
		t.Errorf("%d bytes arrived, answered %s", n, res.Status)
	}
}

func TestARequestThatWasSentMayWaitForItsAnswerLongerThanAnyLimit(t *testing.T) {
	p := limited(t, limits{head: 100 * time.Millisecond, body: 100 * time.Millisecond, idle: 100 * time.Millisecond})
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(400 * time.Millisecond)
		_, _ = io.WriteString(w, "late")
	}))
	p.route([]string{a.addr})
	for _, size := range []int{10, 10 << 10, 100 << 10} {
		if got, err := post(fresh(t), p.url(), strings.Repeat("x", size)); err != nil || got != "late" {
			t.Errorf("%d bytes: answered %q, %v", size, got, err)
		}
	}
}

func TestOnceTheApplicationAnswersItDecidesHowLongItListens(t *testing.T) {
	p := limited(t, limits{body: 100 * time.Millisecond})
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(w, "ready ")
		_ = http.NewResponseController(w).Flush()
		data, err := io.ReadAll(r.Body)
		if err == nil {
			_, _ = w.Write(data)
		}
	}))
	p.route([]string{a.addr})
	reader, writer := io.Pipe()
	go func() {
		<-time.After(400 * time.Millisecond)
		_, _ = io.WriteString(writer, "go")
		_ = writer.Close()
	}()
	if got, err := answerOf(fresh(t).Post(p.url(), "text/plain", reader)); err != nil || got != "ready go" {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestWhatAnApplicationDidNotWantOfABodyIsNotAwaitedForEver(t *testing.T) {
	p := limited(t, limits{body: 100 * time.Millisecond})
	l, err := net.Listen("tcp", freeAddr(t)) // net/http waits for the body itself
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	p.route([]string{l.Addr().String()})
	conn := dialDoor(t, p)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(conn) // until the proxy closes the connection
	if err != nil || !strings.Contains(string(data), " 403 ") || !strings.Contains(string(data), "Connection: close") {
		t.Errorf("answered %q, %v", data, err)
	}
}

func TestAConnectionWithoutARequestIsClosed(t *testing.T) {
	p := limited(t, limits{head: 300 * time.Millisecond, idle: 200 * time.Millisecond})
	a := named(t)
	p.route([]string{a.addr})
	for name, request := range map[string]string{"after an answer": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "that never had one": ""} {
		conn := dialDoor(t, p)
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took < 150*time.Millisecond {
			t.Errorf("%s: closed after %v", name, took)
		}
	}
}

func TestABodyArrivesAfterTheApplicationAskedForIt(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	p.route([]string{a.addr})
	conn := dialDoor(t, p)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	res, err := http.ReadResponse(lines, nil)
	if err != nil || res.StatusCode != http.StatusContinue {
		t.Fatalf("answered %+v, %v", res, err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if res, err = http.ReadResponse(lines, nil); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(res.Body); err != nil || string(data) != "hello" {
		t.Errorf("answered %q, %v", data, err)
	}
}

func TestAnUploadReachesTheApplicationWhileTheClientStillSends(t *testing.T) {
	p := serveProxy(t)
	first := make(chan string, 1)
	a := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, piece)
		first <- string(piece)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	p.route([]string{a.addr})
	conn := dialDoor(t, p)
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nfirst"); err != nil {
		t.Fatal(err)
	}
	if got := <-first; got != "first" {
		t.Errorf("it got %q", got)
	}
}

func TestHeadersOfTheApplicationsConnectionStayThere(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Connection": "keep-alive, X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic",
			"Proxy-Connection": "keep-alive", "X-End": "1", "Set-Cookie": "a=b",
		} {
			w.Header().Set(name, value)
		}
	}))
	p.route([]string{a.addr})
	res := raw(t, p.listen, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, name := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Connection"} {
		if v, ok := res.Header[name]; ok {
			t.Errorf("%s reached the client: %q", name, v)
		}
	}
	if res.Header.Get("X-End") != "1" || res.Header.Get("Set-Cookie") != "a=b" {
		t.Errorf("got %v", res.Header)
	}
}
