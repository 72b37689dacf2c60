package slbtest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deployer/balancer/slbtest"
)

// backend answers its own name; sick makes its check fail.
type backend struct {
	addr string
	sick atomic.Bool
}

func newBackend(t *testing.T, name string) *backend {
	b := &backend{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/check" && b.sick.Load() {
			http.Error(w, "sick", http.StatusNotFound)
			return
		}
		fmt.Fprint(w, name)
	}))
	t.Cleanup(s.Close)
	b.addr = s.Listener.Addr().String()
	return b
}

func asks(t *testing.T, front string, n int) map[string]int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got := map[string]int{}
	for range n {
		res, err := client.Get("http://" + front + "/")
		if err != nil {
			got["cut"]++
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			body = []byte(res.Status)
		}
		got[string(body)]++
	}
	return got
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(10 * time.Second); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("never so: %s", what)
		}
	}
}

func TestTheFrontSharesRequestsByWeight(t *testing.T) {
	for _, protocol := range []string{"http", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			a, b, c := newBackend(t, "a"), newBackend(t, "b"), newBackend(t, "c")
			g := slbtest.Start(t).Add(&slbtest.Group{Protocol: protocol, Servers: []slbtest.Server{
				{ID: "i-a", Port: 80, Weight: 60, Addr: a.addr}, {ID: "i-b", Port: 80, Weight: 20, Addr: b.addr}, {ID: "i-c", Port: 80, Addr: c.addr},
			}})
			got := asks(t, g.Listen(), 40)
			if got["a"] != 30 || got["b"] != 10 || len(got) != 2 {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestTheFrontFollowsTheChecks(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	g := slbtest.Start(t).Add(&slbtest.Group{Check: &slbtest.Check{Path: "/check", Interval: 5 * time.Millisecond}, Servers: []slbtest.Server{
		{ID: "i-a", Port: 80, Weight: 1, Addr: a.addr}, {ID: "i-b", Port: 80, Weight: 1, Addr: b.addr},
	}})
	front := g.Listen()
	eventually(t, "both serve", func() bool { got := asks(t, front, 4); return got["a"] == 2 && got["b"] == 2 })
	a.sick.Store(true)
	eventually(t, "b serves alone", func() bool { return asks(t, front, 4)["b"] == 4 })
	b.sick.Store(true)
	eventually(t, "nobody serves", func() bool { return asks(t, front, 4)["503 Service Unavailable"] == 4 })
	a.sick.Store(false)
	eventually(t, "a serves alone", func() bool { return asks(t, front, 4)["a"] == 4 })
}

func TestAConnectionOutlivesItsServersWeight(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := slbtest.Start(t).Add(&slbtest.Group{Protocol: "tcp", Servers: []slbtest.Server{{ID: "i-a", Port: 80, Weight: 1, Addr: ln.Addr().String()}}})
	front := g.Listen()
	client, err := net.Dial("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	g.SetWeight("i-a", 80, 0)
	if got := asks(t, front, 1); got["cut"] != 1 {
		t.Errorf("a new connection got %v", got)
	}
	if _, err := client.Write([]byte("still there")); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 11)
	if _, err := io.ReadFull(server, heard); err != nil || string(heard) != "still there" {
		t.Errorf("%q, %v", heard, err)
	}
}
