package deployer_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

func verify(url string) deploy.Verify {
	return deploy.Verify{URL: url, Health: deploy.Health{Method: "GET", ExpectStatus: []int{200}, FollowRedirects: true, Timeout: deploy.Duration(5 * time.Second)}}
}

func open(t *testing.T, v deploy.Verify) deployer.Door {
	t.Helper()
	d := deployer.FrontDoor{}.Open(v)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestAKeptConnectionIsKeptAndANewOneIsNew(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("hello", 1000))
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	d := open(t, verify(s.URL+"/moved"))
	for range 5 {
		if err := d.Kept(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("five questions over a kept connection took %d", n)
	}
	for range 5 {
		if err := d.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n < 6 {
		t.Errorf("five questions over new connections took %d", n-1)
	}
}

func TestAKeptConnectionOverTLSIsKept(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	d := deployer.TrustingDoor(verify(s.URL), s.Client().Transport.(*http.Transport).TLSClientConfig)
	t.Cleanup(func() { _ = d.Close() })
	for range 3 {
		if err := d.Kept(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("three questions took %d connections", n)
	}
}

// script answers each connection in turn as its line says: ok, close (after the
// answer, without saying so), cut (in the middle of the answer), drop (the
// request is read and nobody answers).
func script(t *testing.T, lines ...[]string) string {
	t.Helper()
	url, _ := scripted(t, lines...)
	return url
}

// scripted says besides, for each connection, that it is closed.
func scripted(t *testing.T, lines ...[]string) (url string, closed <-chan struct{}) {
	t.Helper()
	ends := make(chan struct{}, len(lines))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for _, line := range lines {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			play(conn, line)
			ends <- struct{}{}
		}
	}()
	return "http://" + l.Addr().String() + "/", ends
}

func play(conn net.Conn, line []string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, act := range line {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		switch act {
		case "ok":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		case "cut":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
			return
		case "drop":
			return
		}
	}
}

func TestWhatIsLostOnAKeptConnectionIsToldAndNotAskedAgain(t *testing.T) {
	d := open(t, verify(script(t, []string{"ok", "drop"}, []string{"ok"})))
	if err := d.Kept(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Kept(t.Context()); deploy.AsError(err).Subject != "cut" {
		t.Errorf("a request that was read and not answered: %v", err)
	}
	if err := d.Kept(t.Context()); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestAConnectionThatWasClosedMeanwhileIsOpenedAnew(t *testing.T) {
	url, closed := scripted(t, []string{"ok"}, []string{"ok"})
	d := open(t, verify(url))
	for range 2 {
		if err := d.Kept(t.Context()); err != nil {
			t.Errorf("%v", err)
		}
		<-closed
	}
}

func TestEveryKindOfABadAnswerIsTold(t *testing.T) {
	statusOf := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	impatient := verify("http://" + silent.Addr().String())
	impatient.Timeout = deploy.Duration(50 * time.Millisecond)
	picky := verify(statusOf(200))
	picky.ExpectBody = "^welcome"
	for want, v := range map[string]deploy.Verify{
		"5xx": verify(statusOf(502)), "status": verify(statusOf(404)), "refused": verify("http://" + gone.Addr().String()),
		"timeout": impatient, "cut": verify(script(t, []string{"cut"}, []string{"cut"})), "body": picky,
	} {
		d := open(t, v)
		for how, err := range map[string]error{"once": d.Once(t.Context()), "kept": d.Kept(t.Context())} {
			if e := deploy.AsError(err); e == nil || e.Subject != want || e.Code != deploy.CodeUnhealthy {
				t.Errorf("%s, %s: %v", want, how, err)
			}
		}
	}
}

func TestABodyIsSentAsItIsConfigured(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer s.Close()
	v := verify(s.URL)
	v.Method, v.Body, v.ExpectBody = "POST", "a=1", "^a=1$"
	d := open(t, v)
	for range 2 {
		if err := d.Kept(t.Context()); err != nil {
			t.Errorf("kept: %v", err)
		}
		if err := d.Once(t.Context()); err != nil {
			t.Errorf("once: %v", err)
		}
	}
}
