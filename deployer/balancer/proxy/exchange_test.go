package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// raw sends bytes as they are and returns the answer.
func raw(t *testing.T, addr, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// seen starts an app that tells the request that reached it.
func seen(t *testing.T) (*app, <-chan *http.Request) {
	requests := make(chan *http.Request, 10)
	return startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r })), requests
}

func TestHostAndAddressHeadersPassUnchangedAndForwardedForIsAppended(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	raw(t, p.listen, "GET /a%2Fb?x=1;y=%zz HTTP/1.1\r\nHost: www.example.com\r\n"+
		"X-Real-IP: 203.0.113.9\r\nREMOTE-HOST: client.example.com\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.1\r\n"+
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\nForwarded: for=203.0.113.9\r\n"+
		"Connection: keep-alive, X-Real-IP, X-Secret-Hop\r\nX-Secret-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\n\r\n")
	got := <-requests
	if got.Host != "www.example.com" || got.RequestURI != "/a%2Fb?x=1;y=%zz" {
		t.Errorf("host %q, uri %q", got.Host, got.RequestURI)
	}
	want := map[string]string{
		"X-Real-Ip": "203.0.113.9", "Remote-Host": "client.example.com",
		"X-Forwarded-For":   "203.0.113.9, 10.0.0.1, 127.0.0.1",
		"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example.com", "Forwarded": "for=203.0.113.9",
	}
	for name, value := range want {
		if v := strings.Join(got.Header[name], "|"); v != value {
			t.Errorf("%s is %q, want %q", name, v, value)
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authorization", "X-Secret-Hop", "User-Agent", "Accept-Encoding"} {
		if v, ok := got.Header[name]; ok {
			t.Errorf("%s reached the application: %q", name, v)
		}
	}
}

func TestAbsentForwardingHeadersAreFilledIn(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	raw(t, p.listen, "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
	got := <-requests
	for name, value := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example.com"} {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), value)
		}
	}
	for _, name := range []string{"X-Real-Ip", "Remote-Host"} {
		if v, ok := got.Header[name]; ok {
			t.Errorf("%s was made up: %q", name, v)
		}
	}
}

func TestARequestWithoutHostNeverGetsTheBackends(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	raw(t, p.listen, "GET / HTTP/1.0\r\n\r\n")
	if got := <-requests; got.Host != p.listen {
		t.Errorf("host is %q, want %q", got.Host, p.listen)
	}
}

func TestLocationIsNotRewritten(t *testing.T) {
	p := serveProxy(t)
	var a *app
	a = startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://"+a.addr+"/login")
		w.WriteHeader(http.StatusFound)
	}))
	p.route([]string{a.addr})
	res, err := fresh(t).Get(p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Location"); got != "http://"+a.addr+"/login" {
		t.Errorf("location is %q", got)
	}
}

func TestAmbiguousLengthsAreRefusedBeforeTheApplication(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	for _, smuggled := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
	} {
		if res := raw(t, p.listen, smuggled); res.StatusCode < 400 {
			t.Errorf("answered %s: %q", res.Status, smuggled)
		}
	}
	if len(requests) > 0 {
		t.Errorf("%d requests reached the application", len(requests))
	}
}

func TestConnectIsRefused(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	res := raw(t, p.listen, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("answered %s", res.Status)
	}
}

func TestADoorWithoutATableAnswers503(t *testing.T) {
	d, err := openDoor(newLane(), freeAddr(t), house{buffers: &buffers{}, limits: defaultLimits(), log: Options{}.filled().Log})
	if err != nil {
		t.Fatal(err)
	}
	go d.serve()
	t.Cleanup(func() { d.shut(); d.drain(t.Context()); <-d.served })
	res, err := fresh(t).Get("http://" + d.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("answered %s, %s", res.Status, res.Header.Get("Content-Type"))
	}
}

func TestAWebSocketEchoesAndCountsAsInFlight(t *testing.T) {
	p := serveProxy(t)
	upgrader := websocket.Upgrader{}
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
	p.route([]string{a.addr})
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+p.listen+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 3 {
		sent := fmt.Sprintf("message %d", i)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(sent)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != sent {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if n := p.traffic().InFlight[a.addr]; n != 1 {
		t.Errorf("%d in flight, want 1", n)
	}
	_ = conn.Close()
	eventually(t, "the closed WebSocket is not in flight", func() bool { return p.traffic().InFlight[a.addr] == 0 })
	if f := p.traffic().Counters[a.addr].Failures; f != 0 {
		t.Errorf("%d failures", f)
	}
}

func TestServerSentEventsArriveOneByOne(t *testing.T) {
	p := serveProxy(t)
	next := make(chan string)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for e := range next {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
		}
	}))
	p.route([]string{a.addr})
	done := make(chan struct{})
	go func() { defer close(done); next <- "0" }()
	res, err := fresh(t).Get(p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-done
	lines := bufio.NewReader(res.Body)
	for i := range 5 {
		if i > 0 {
			next <- fmt.Sprint(i) // only after the one before was read
		}
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	close(next)
}

func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			if _, werr := w.Write(buf[:n]); werr != nil || err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	p.route([]string{a.addr})
	const piece, pieces = 100 << 10, 100 // 10 MB
	reader, writer := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, p.url(), reader)
	if err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat("x", piece))
	go func() { _, _ = writer.Write(chunk) }()
	res, err := fresh(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back := make([]byte, piece)
	for i := range pieces { // nothing is sent before the last piece came back
		if _, err := io.ReadFull(res.Body, back); err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
		if i < pieces-1 {
			if _, err := writer.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = writer.Close()
	if n, err := io.Copy(io.Discard, res.Body); n != 0 || err != nil {
		t.Errorf("%d bytes more, %v", n, err)
	}
}

func TestTrailersPass(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	}))
	p.route([]string{a.addr})
	res, err := fresh(t).Get(p.url())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if got := res.Trailer.Get("X-Sum"); got != "42" {
		t.Errorf("trailer is %q", got)
	}
}

func TestCountersTellAnswersErrorsCutsAndClientsThatLeftApart(t *testing.T) {
	p := serveProxy(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/error":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/silent":
			panic(http.ErrAbortHandler)
		case "/hang":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
	}))
	p.route([]string{a.addr})
	c := fresh(t)
	for path, wantErr := range map[string]bool{"/": false, "/error": true, "/cut": true, "/silent": true} {
		if _, err := post(c, p.url()+path, "x"); (err != nil) != wantErr {
			t.Errorf("%s: %v", path, err)
		}
	}
	leaving := &http.Client{Timeout: 50 * time.Millisecond, Transport: c.Transport}
	if _, err := post(leaving, p.url()+"/hang", "x"); err == nil {
		t.Error("the hanging request was answered")
	}
	eventually(t, "nothing is in flight", func() bool { return p.traffic().InFlight[a.addr] == 0 })
	got := p.traffic().Counters[a.addr]
	if got.Requests != 5 || got.Failures != 2 || got.Errors5 != 1 {
		t.Errorf("counted %+v, want 5 requests, 2 failures, 1 error", got)
	}
}

func TestAClientThatAbortsItsUploadIsNoFailure(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	conn, err := net.Dial("tcp", p.listen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly this"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is in flight", func() bool { return p.traffic().InFlight[a.addr] == 1 })
	_ = conn.Close()
	eventually(t, "it ended", func() bool { return p.traffic().InFlight[a.addr] == 0 })
	if got := p.traffic().Counters[a.addr]; got.Requests != 1 || got.Failures != 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestAShortBodyThatEndsEarlyNeverReachesTheApplication(t *testing.T) {
	p := serveProxy(t)
	a, requests := seen(t)
	p.route([]string{a.addr})
	conn, err := net.Dial("tcp", p.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(conn); err != nil || strings.Contains(string(data), " 200 ") {
		t.Errorf("answered %q, %v", data, err)
	}
	if got := p.traffic().Counters[a.addr]; len(requests) > 0 || got.Requests != 0 {
		t.Errorf("%d requests arrived, counted %+v", len(requests), got)
	}
}

func TestABodyIsOnlyAskedForWhenTheApplicationWantsIt(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) }))
	p.route([]string{a.addr})
	res := raw(t, p.listen, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if res.StatusCode != http.StatusExpectationFailed {
		t.Errorf("answered %s without the body", res.Status)
	}
}
