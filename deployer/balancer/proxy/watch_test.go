package proxy

import (
	"context"
	"net/http"
	"testing"
	"time"

	"ipublish/deploy"
)

// watcher is what the engine asks for.
type watcher interface {
	Watch(ctx context.Context, s deploy.Step, told func(deploy.Traffic)) error
}

type heard struct {
	at      time.Time
	traffic deploy.Traffic
}

// watch follows the route until the test's end.
func (p *served) watch(targets ...string) <-chan heard {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	out, ended := make(chan heard, 1000), make(chan error, 1)
	w := p.driver().(watcher)
	go func() {
		ended <- w.Watch(ctx, step(nil, targets, nil), func(t deploy.Traffic) { out <- heard{time.Now(), t} })
	}()
	p.t.Cleanup(func() {
		stop()
		if err := <-ended; deploy.CodeOf(err) != deploy.CodeCancelled {
			p.t.Errorf("watch ended with %v", err)
		}
	})
	<-out // it is told how things are
	return out
}

// until returns the first that is as wanted.
func until(t *testing.T, from <-chan heard, so func(deploy.Traffic) bool) heard {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case h := <-from:
			if so(h.traffic) {
				return h
			}
		case <-limit:
			t.Fatal("it was never told")
		}
	}
}

func TestAFailureIsToldWithinMilliseconds(t *testing.T) {
	p := serveProxy(t)
	bad := make(chan int, 1)
	live := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case code := <-bad:
			if code == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(code)
		default:
		}
	}))
	spare := named(t)
	p.route([]string{live.addr}, spare.addr)
	told := p.watch(spare.addr)
	for _, c := range []struct {
		name string
		do   func()
		so   func(deploy.Traffic) bool
	}{
		{"an answer of 5xx", func() { bad <- http.StatusServiceUnavailable }, func(t deploy.Traffic) bool { return t.Counters[live.addr].Errors5 == 1 }},
		{"a connection that breaks", func() { bad <- 0 }, func(t deploy.Traffic) bool { return t.Counters[live.addr].Failures == 1 }},
		{"a refused connect that the spare took", live.kill, func(t deploy.Traffic) bool { return t.Counters[spare.addr].Requests == 1 }},
		{"a refused connect that nobody took", spare.kill, func(t deploy.Traffic) bool { return t.Counters[live.addr].Failures == 2 }},
	} {
		c.do()
		began := time.Now()
		_, _ = post(fresh(t), p.url(), "x")
		took := until(t, told, c.so).at.Sub(began)
		t.Logf("%s: told after %v", c.name, took)
		if took > 500*time.Millisecond {
			t.Errorf("%s: told after %v", c.name, took)
		}
	}
}

func TestAWatcherHearsOfASwitchAndEverySecondThatAllIsWell(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr})
	told := p.watch()
	first := until(t, told, func(deploy.Traffic) bool { return true })
	second := until(t, told, func(deploy.Traffic) bool { return true })
	if gap := second.at.Sub(first.at); gap < watchBeat/2 {
		t.Errorf("told again after %v", gap)
	}
	p.route([]string{b.addr})
	until(t, told, func(t deploy.Traffic) bool { return len(t.Up) == 1 && t.Up[0] == b.addr })
}

func TestAWatcherFollowsTheProxyThroughItsReplacement(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	told := p.watch()
	kept := keeping(t)
	if _, err := post(kept, p.url(), "x"); err != nil {
		t.Fatal(err)
	}
	p.replaced()
	a.kill()
	if _, err := post(fresh(t), p.url(), "x"); err == nil {
		t.Fatal("the dead answered")
	}
	until(t, told, func(t deploy.Traffic) bool { return t.Counters[a.addr].Failures == 1 })
	if _, err := post(kept, p.url(), "x"); err == nil { // through the replaced one
		t.Fatal("the dead answered")
	}
	until(t, told, func(t deploy.Traffic) bool { return t.Counters[a.addr].Failures == 2 })
}

func TestWatchingWhatCannotBeWatchedIsTold(t *testing.T) {
	p := serveProxy(t)
	w := p.driver().(watcher)
	wantCode(t, w.Watch(t.Context(), deploy.Step{}, func(deploy.Traffic) {}), deploy.CodeNotFound)
	absent := openDriver(t, p.socket+"2", p.listen).(watcher)
	wantCode(t, absent.Watch(t.Context(), deploy.Step{}, func(deploy.Traffic) {}), deploy.CodeUnavailable)
}
