package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load sends POSTs that nothing retries until its context ends.
type load struct {
	url        string
	sent, lost atomic.Int64
	first      atomic.Pointer[error]
	workers    sync.WaitGroup
}

func (l *load) run(ctx context.Context, c *http.Client, gap time.Duration) {
	l.workers.Go(func() {
		pace := time.NewTicker(max(gap, time.Microsecond))
		defer pace.Stop()
		for ctx.Err() == nil {
			l.sent.Add(1)
			if _, err := post(c, l.url, "hello"); err != nil {
				l.lost.Add(1)
				l.first.CompareAndSwap(nil, &err)
			}
			if gap > 0 {
				<-pace.C
			}
		}
	})
}

func TestNothingIsLostOverManySwitchesWithTheOldSideStoppedEachTime(t *testing.T) {
	p := serveProxy(t)
	live, idle := named(t), named(t)
	p.route([]string{live.addr})
	idle.stop()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l := &load{url: p.url()}
	for range 2 {
		l.run(ctx, keeping(t), 0)
		l.run(ctx, fresh(t), 0)
	}
	for i := range 6 {
		l.run(ctx, keeping(t), time.Duration(i+1)*3*time.Millisecond)
	}

	driver := p.driver()
	var slowest time.Duration
	const switches = 250
	for range switches {
		idle.start()
		s := step([]string{idle.addr}, []string{live.addr}, nil)
		if err := driver.Route(ctx, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nothing is in flight to the old side", func() bool {
			ev, err := driver.Observe(ctx, s)
			return err == nil && ev.Traffic.InFlight[live.addr] == 0
		})
		began := time.Now()
		live.stop()
		slowest = max(slowest, time.Since(began))
		live, idle = idle, live
	}
	stop()
	l.workers.Wait()
	t.Logf("%d requests over %d switches, slowest stop of the old side %v", l.sent.Load(), switches, slowest)
	if n := l.lost.Load(); n > 0 {
		t.Errorf("%d of %d requests lost, first: %v", n, l.sent.Load(), *l.first.Load())
	}
	if slowest > 4*time.Second { // Go waits 5 s for a connection that was never used
		t.Errorf("a graceful stop took %v: connections to the old side were left open", slowest)
	}
	var requests, failures uint64
	for _, c := range p.traffic().Counters {
		requests, failures = requests+c.Requests, failures+c.Failures
	}
	if requests != uint64(l.sent.Load()) || failures != 0 {
		t.Errorf("the proxy counted %d requests and %d failures of %d sent", requests, failures, l.sent.Load())
	}
}

func TestSlowRequestsInFlightSurviveASwitch(t *testing.T) {
	p := serveProxy(t)
	arrived := make(chan struct{}, 10)
	old := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-time.After(3 * time.Second)
		_, _ = io.WriteString(w, "old")
	}))
	p.route([]string{old.addr})
	answers := make(chan string, 10)
	for range 10 {
		go func() {
			got, err := post(fresh(t), p.url(), "x")
			if err != nil {
				got = err.Error()
			}
			answers <- got
		}()
	}
	for range 10 {
		<-arrived
	}
	next := named(t)
	p.route([]string{next.addr})
	if got, err := post(fresh(t), p.url(), "x"); err != nil || got != next.addr {
		t.Errorf("a new request was answered %q, %v", got, err)
	}
	if n := p.traffic(old.addr).InFlight[old.addr]; n != 10 {
		t.Errorf("%d in flight to the old side, want 10", n)
	}
	for range 10 {
		if got := <-answers; got != "old" {
			t.Errorf("a request in flight was answered %q", got)
		}
	}
	eventually(t, "the old side has drained", func() bool { return p.traffic(old.addr).InFlight[old.addr] == 0 })
	began := time.Now()
	old.stop()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the drained side needed %v to stop", took)
	}
}

func TestAnUnusedConnectionIsClosedByTheProxyAndNotByTheBackend(t *testing.T) {
	p := serveProxy(t)
	a := startApp(t, http.NotFoundHandler())
	a.kill()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	var opened, open atomic.Int64
	a.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}}
	server := a.server // without an IdleTimeout it never closes by itself
	a.done.Go(func() { _ = server.Serve(l) })
	p.route([]string{a.addr})
	if _, err := post(fresh(t), p.url(), "x"); err != nil || opened.Load() != 1 {
		t.Fatalf("%d connections, %v", opened.Load(), err)
	}
	eventually(t, "the unused connection is closed", func() bool { return open.Load() == 0 })
}

func TestARefusedConnectGoesToTheSpare(t *testing.T) {
	p := serveProxy(t)
	live, spare := named(t), named(t)
	p.route([]string{live.addr}, spare.addr)
	live.stop()
	for range 20 {
		if got, err := post(fresh(t), p.url(), strings.Repeat("x", 100<<10)); err != nil || got != spare.addr {
			t.Fatalf("answered %q, %v", got, err)
		}
	}
	c := p.traffic().Counters
	if c[spare.addr].Requests != 20 || c[live.addr].Requests != 0 || c[spare.addr].Failures != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestARefusedConnectGoesToAnotherUpAddressFirst(t *testing.T) {
	p := serveProxy(t)
	dead, live, spare := named(t), named(t), named(t)
	p.route([]string{dead.addr, live.addr}, spare.addr)
	dead.stop()
	for range 10 {
		if got, err := post(fresh(t), p.url(), "x"); err != nil || got != live.addr {
			t.Fatalf("answered %q, %v", got, err)
		}
	}
}

func TestWithNobodyListeningTheFailureIsTheUpAddresss(t *testing.T) {
	p := serveProxy(t)
	live, spare := named(t), named(t)
	p.route([]string{live.addr}, spare.addr)
	live.stop()
	spare.stop()
	if _, err := post(fresh(t), p.url(), "x"); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("answered %v", err)
	}
	c := p.traffic().Counters
	if got := c[live.addr]; got.Requests != 1 || got.Failures != 1 || c[spare.addr].Requests != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestWhenTheLiveSideDiesOnlyTheRequestsItHeldFail(t *testing.T) {
	p := serveProxy(t)
	spare := named(t)
	held := make(chan struct{}, 100)
	release := make(chan struct{})
	live := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/held" {
			held <- struct{}{}
			<-release
		}
	}))
	p.route([]string{live.addr}, spare.addr)
	const cut = 5
	results := make(chan error, cut)
	for range cut {
		go func() {
			_, err := post(fresh(t), p.url()+"/held", "x")
			results <- err
		}()
	}
	for range cut {
		<-held
	}
	live.kill()
	close(release)
	for range cut {
		if <-results == nil {
			t.Error("a request was answered by the dead")
		}
	}
	for range 50 {
		if got, err := post(keeping(t), p.url(), "x"); err != nil || got != spare.addr {
			t.Fatalf("after the death: %q, %v", got, err)
		}
	}
	if c := p.traffic().Counters; c[live.addr].Failures != cut || c[spare.addr].Requests != 50 || c[spare.addr].Failures != 0 {
		t.Errorf("%d were cut, counted %+v", cut, c)
	}
}
