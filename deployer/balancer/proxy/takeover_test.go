package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
)

// replaced starts a successor of p within the test.
func (p *served) replaced() *served {
	p.t.Helper()
	next := serveProxyWith(p.t, Options{Socket: p.socket, StateFile: p.state, Drain: 10 * time.Second, Replace: true})
	next.listen = p.listen
	return next
}

func TestAClientThatStaysConnectedToTheReplacedProxyFollowsTheSwitch(t *testing.T) {
	p := serveProxy(t)
	old, next := named(t), named(t)
	p.route([]string{old.addr})
	c := keeping(t)
	if got, err := post(c, p.url(), "x"); err != nil || got != old.addr {
		t.Fatalf("answered %q, %v", got, err)
	}
	successor := p.replaced()
	successor.route([]string{next.addr})
	if got, err := post(c, p.url(), "x"); err != nil || got != next.addr {
		t.Errorf("over the old connection: %q, %v", got, err)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("the replaced one: %v", err)
	}
	p.ended <- nil
	if got := successor.traffic(old.addr); got.Counters[old.addr].Requests != 1 || got.Counters[next.addr].Requests != 1 || got.Generation != "2" {
		t.Errorf("counted %+v", got)
	}
	if left, _ := filepath.Glob(p.socket + ".[0-9]*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsInFlightAtTheReplacedProxyIsSeenUntilItHasEnded(t *testing.T) {
	p := serveProxy(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "slow")
	}))
	next := named(t)
	p.route([]string{slow.addr})
	answered := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), p.url(), "x")
		answered <- err
	}()
	<-arrived
	successor := p.replaced()
	successor.route([]string{next.addr})
	if got := successor.traffic(slow.addr); got.InFlight[slow.addr] != 1 {
		t.Errorf("in flight %v: its process would be stopped", got.InFlight)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	eventually(t, "nothing is in flight", func() bool { return successor.traffic(slow.addr).InFlight[slow.addr] == 0 })
	if got := successor.traffic(slow.addr).Counters[slow.addr]; got.Requests != 1 || got.Failures != 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestASuccessorThatCannotServeLeavesTheOldOneAsItIs(t *testing.T) {
	for name, spoil := range map[string]struct {
		do   func(t *testing.T, p *served, o *Options)
		want deploy.Code
	}{
		"the state is damaged": {func(t *testing.T, p *served, _ *Options) {
			if err := os.WriteFile(p.state, []byte(`{"version":1,`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, deploy.CodeDamaged},
		"the state is another one's": {func(t *testing.T, p *served, _ *Options) {
			other := route{Name: shop.String(), Listen: p.listen, Up: []string{"127.0.0.1:9"}, Generation: 1}
			if err := stateFile(p.state).save([]route{other}, nil); err != nil {
				t.Fatal(err)
			}
		}, deploy.CodeDamaged},
		"the state is lost": {func(t *testing.T, p *served, _ *Options) {
			if err := os.Remove(p.state); err != nil {
				t.Fatal(err)
			}
		}, deploy.CodeDamaged},
		"it looks for the state elsewhere": {func(t *testing.T, p *served, o *Options) {
			o.StateFile += "2"
		}, deploy.CodeRefused},
	} {
		t.Run(name, func(t *testing.T) {
			p := serveProxy(t)
			a := named(t)
			p.route([]string{a.addr})
			o := Options{Socket: p.socket, StateFile: p.state, Replace: true}
			spoil.do(t, p, &o)
			wantCode(t, Serve(t.Context(), o), spoil.want)
			if got, err := post(fresh(t), p.url(), "x"); err != nil || got != a.addr {
				t.Errorf("answered %q, %v", got, err)
			}
			b := named(t)
			p.route([]string{b.addr})
			if got, err := post(fresh(t), p.url(), "x"); err != nil || got != b.addr {
				t.Errorf("after another change: %q, %v", got, err)
			}
		})
	}
}

// A successor that is killed at any moment before it serves.
func TestASuccessorThatDiesWhileItTakesOverChangesNothing(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	for _, died := range []string{"before it asked", "before it took anything", "with everything in its hands", "with a word that is none"} {
		p.route([]string{a.addr})
		conn, err := net.Dial("unix", p.socket)
		if err != nil {
			t.Fatal(err)
		}
		switch died {
		case "before it took anything":
			_, _ = io.WriteString(conn, "POST /v1/handover HTTP/1.1\r\nHost: proxy\r\n\r\n")
		case "with everything in its hands", "with a word that is none":
			_ = conn.Close()
			var l legacy
			if conn, l, err = takenFrom(t, p.socket); err != nil {
				t.Fatal(err)
			}
			if len(l.doors) != 1 || l.control == nil {
				t.Errorf("it was passed %+v", l)
			}
			if died == "with a word that is none" {
				_, _ = conn.Write([]byte("\x00\x00\x00\x02no"))
			}
			l.drop()
		}
		_ = conn.Close()
		p.route([]string{b.addr})
		if got, err := post(fresh(t), p.url(), "x"); err != nil || got != b.addr {
			t.Errorf("%s: answered %q, %v", died, got, err)
		}
	}
	p.replaced()
}

// takenFrom is a successor with everything in its hands that does not serve.
func takenFrom(t *testing.T, socket string) (net.Conn, legacy, error) {
	t.Helper()
	conn, err := askForAll(t.Context(), socket)
	if err != nil {
		return nil, legacy{}, err
	}
	l, err := receiveLegacy(conn)
	return conn, l, err
}

func TestOnlyOneSuccessorTakesOverAtATime(t *testing.T) {
	p := serveProxy(t)
	conn, l, err := takenFrom(t, p.socket)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, Serve(t.Context(), Options{Socket: p.socket, StateFile: p.state, Replace: true}), deploy.CodeRefused)
	l.drop()
	_ = conn.Close()
	p.route([]string{named(t).addr}) // waits until nobody takes over any more
	p.replaced()
}

func TestAWebSocketOutlivesAReplacementUntilTheDrainsEnd(t *testing.T) {
	dir := shortDir(t)
	p := serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), Drain: 300 * time.Millisecond})
	a := echo(t)
	p.route([]string{a.addr})
	conn := dialWebSocket(t, p.listen)
	p.replaced()
	exchangeMessage(t, conn, "after the replacement")
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the WebSocket was not cut")
	}
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.ended <- nil
}

func TestWhatDoesNotHandOverIsTold(t *testing.T) {
	dir := shortDir(t)
	o := Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), Replace: true}
	held, err := claim(o)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	l, err := listenControl(o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { _ = server.Close(); <-done }()
	err = Serve(t.Context(), o)
	wantCode(t, err, deploy.CodeRefused)
	if !strings.Contains(deploy.MessageOf(err), "too old to hand over") {
		t.Error(err)
	}
}

func TestReplaceWhereNothingRunsStarts(t *testing.T) {
	dir := shortDir(t)
	serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), Replace: true})
}

func TestTheKernelNamesTheSuccessorAsTheOneThatListens(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	startProcess(t, socket, state)
	next := startNext(t, socket, state)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var cred *syscall.Ucred
	err = withDescriptors([]syscall.Conn{conn.(*net.UnixConn)}, func(fds []int) (err error) {
		cred, err = syscall.GetsockoptUcred(fds[0], syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		return err
	})
	if err != nil || int(cred.Pid) != next {
		t.Errorf("it names %+v, not %d: %v", cred, next, err)
	}
}

func TestWhatAKilledElderCountedIsKeptAndNothingIsInFlightThereAnyMore(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	first := startProcess(t, socket, state)
	arrived := make(chan struct{}, 1)
	hang := make(chan struct{})
	a := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- struct{}{}
			<-hang
		}
	}))
	t.Cleanup(func() { close(hang) })
	listen := freeAddr(t)
	driver := openDriver(t, socket, listen)
	s := step([]string{a.addr}, nil, nil)
	if err := driver.Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := post(fresh(t), "http://"+listen, "x"); err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), "http://"+listen+"/hang", "x")
		cut <- err
	}()
	<-arrived
	startNext(t, socket, state)
	ev, err := driver.Observe(t.Context(), s)
	if err != nil || ev.Traffic.InFlight[a.addr] != 1 {
		t.Fatalf("before: %+v, %v", ev.Traffic, err)
	}
	killAndWait(t, first.PID)
	if <-cut == nil {
		t.Error("the dead answered")
	}
	if ev, err = driver.Observe(t.Context(), s); err != nil || ev.Traffic.InFlight[a.addr] != 0 || ev.Traffic.Counters[a.addr].Requests != 1 {
		t.Errorf("after: %+v, %v", ev.Traffic, err)
	}
}

// paced sends a request at every tick until ctx ends.
func (l *load) paced(ctx context.Context, c *http.Client, path string, gap time.Duration) {
	l.workers.Go(func() {
		tick := time.NewTicker(gap)
		defer tick.Stop()
		for ctx.Err() == nil {
			l.sent.Add(1)
			if _, err := post(c, l.url+path, "hello"); err != nil {
				l.lost.Add(1)
				l.first.CompareAndSwap(nil, &err)
			}
			<-tick.C
		}
	})
}

func TestReplacedTwentyTimesUnderAThousandRequestsASecondNoneIsLost(t *testing.T) {
	const times = 20
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	startProcess(t, socket, state)
	var slow atomic.Int64
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			slow.Add(1)
			<-time.After(3 * time.Second)
		}
	}))
	listen := freeAddr(t)
	driver := openDriver(t, socket, listen)
	s := step([]string{a.addr}, nil, nil)
	if err := driver.Route(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l := &load{url: "http://" + listen}
	began := time.Now()
	for i := range 40 { // 800/s
		l.paced(ctx, keeping(t), "/", time.Duration(45+i%10)*time.Millisecond)
	}
	for range 10 { // 200/s, a connection each
		l.paced(ctx, fresh(t), "/", 50*time.Millisecond)
	}
	for range 10 {
		l.paced(ctx, keeping(t), "/slow", time.Millisecond)
	}
	eventually(t, "the slow ones are under way", func() bool { return slow.Load() == 10 })
	pids := []int{pid(t, socket)}
	for i := range times {
		if i%2 == 0 {
			pids = append(pids, startNext(t, socket, state))
		} else {
			pids = append(pids, hangUp(t, socket))
		}
		before := l.sent.Load()
		eventually(t, "it has served for a while", func() bool { return l.sent.Load() > before+400 })
	}
	rate := float64(l.sent.Load()) / time.Since(began).Seconds()
	stop()
	l.workers.Wait()
	t.Logf("%d requests, %.0f/s, %d of them of 3 s, over %d replacements", l.sent.Load(), rate, slow.Load(), times)
	if n := l.lost.Load(); n > 0 {
		t.Errorf("%d of %d requests lost, first: %v", n, l.sent.Load(), *l.first.Load())
	}
	var got deploy.Traffic
	eventually(t, "nothing is in flight", func() bool {
		ev, err := driver.Observe(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		got = *ev.Traffic
		return got.InFlight[a.addr] == 0
	})
	if c := got.Counters[a.addr]; c.Requests != uint64(l.sent.Load()) || c.Failures != 0 {
		t.Errorf("counted %+v of %d sent", c, l.sent.Load())
	}
	if now := pid(t, socket); now != pids[times] || len(slices.Compact(slices.Sorted(slices.Values(pids)))) != times+1 {
		t.Errorf("process %d serves after %v", now, pids)
	}
}
