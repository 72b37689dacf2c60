package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// appProcess is a release as a process of its own, which may be killed.
func appProcess(addr string) int {
	err := http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(2 * time.Millisecond)
		_, _ = io.WriteString(w, addr)
	}))
	_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
	return 1
}

// release is the process, until it is killed.
type release struct {
	addr string
	pid  int
}

func startRelease(t *testing.T) release {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(os.Args[0], "app", addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killAndWait(t, cmd.Process.Pid) })
	eventually(t, "it listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return release{addr, cmd.Process.Pid}
}

// buyer sends POSTs over one connection and tells when those began that failed.
type buyer struct {
	sent   int
	failed []time.Time
	last   error
}

func (b *buyer) buy(ctx context.Context, t *testing.T, url string, gap time.Duration) {
	c := keeping(t)
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		b.sent++
		if _, err := post(c, url, "hello"); err != nil {
			b.failed = append(b.failed, began)
			b.last = err
		}
		<-tick.C
	}
}

// death is the time from the kill until the process was gone.
type death struct{ killed, over time.Time }

// held reports whether a request that began at that time could be in flight there.
func (d death) held(began time.Time) bool {
	return began.After(d.killed.Add(-400*time.Millisecond)) && began.Before(d.over)
}

// quick reports whether it was gone before anybody could send another request.
func (d death) quick() bool { return d.over.Sub(d.killed) < shortestGap }

// shortestGap is between two requests of a buyer.
const shortestGap = 35 * time.Millisecond

// Each round kills the process that is up, under 1,000 POSTs a second.
func TestAReleaseThatIsKilledUnderLoadCostsOnlyWhatWasInFlightThere(t *testing.T) {
	const rounds, buyers = 5, 40
	p := serveProxy(t)
	spare := named(t)
	p.route([]string{spare.addr})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	all := make([]buyer, buyers)
	var shopping sync.WaitGroup
	began := time.Now()
	for i := range all {
		shopping.Go(func() { all[i].buy(ctx, t, p.url(), shortestGap+time.Duration(i%10)*time.Millisecond) })
	}
	var deaths []death
	var addrs []string
	var away []time.Duration
	for range rounds {
		r := startRelease(t)
		addrs = append(addrs, r.addr)
		p.route([]string{r.addr}, spare.addr)
		eventually(t, "it has a share", func() bool { return p.traffic().Counters[r.addr].Requests > 300 })
		killed := time.Now()
		killAndWait(t, r.pid)
		deaths = append(deaths, death{killed, time.Now()})
		before := p.traffic().Counters[spare.addr].Requests
		eventually(t, "the spare answers", func() bool { return p.traffic().Counters[spare.addr].Requests > before+300 })
		routed := time.Now()
		p.route([]string{spare.addr})
		away = append(away, time.Since(routed))
	}
	stop()
	shopping.Wait()
	sent, failed := 0, 0
	for i, b := range all {
		sent, failed = sent+b.sent, failed+len(b.failed)
		lost := map[int]int{}
		for _, at := range b.failed {
			lost[slices.IndexFunc(deaths, func(d death) bool { return d.held(at) })]++
		}
		for d, n := range lost {
			if d < 0 || n > 1 && deaths[d].quick() {
				t.Errorf("connection %d lost %d requests in death %d (-1: when nobody died), last: %v", i, n, d, b.last)
			}
		}
	}
	t.Logf("%d of %d requests lost in %d deaths, %.0f/s, routed away within %s", failed, sent, rounds, float64(sent)/time.Since(began).Seconds(), median(away))
	counters := p.traffic(addrs...).Counters
	var told uint64
	for _, a := range addrs {
		told += counters[a].Failures
	}
	if told != uint64(failed) || counters[spare.addr].Failures != 0 {
		t.Errorf("the proxy counted %d failures at the dead and %d at the spare, and %d were lost", told, counters[spare.addr].Failures, failed)
	}
}

func TestARouteAwayFromADeadAddressDoesNotWaitForIt(t *testing.T) {
	p := serveProxy(t)
	silent, live := unanswering(t), named(t)
	p.route([]string{silent})
	stuck := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), p.url(), "x")
		stuck <- err
	}()
	eventually(t, "a request waits for the connect", func() bool { return p.traffic().InFlight[silent] == 1 })
	fastest := time.Hour
	for i := range 10 {
		up := []string{live.addr}
		if i%2 == 1 {
			up = []string{silent}
		}
		began := time.Now()
		p.route(up)
		fastest = min(fastest, time.Since(began))
	}
	p.route([]string{live.addr})
	if fastest > 100*time.Millisecond {
		t.Errorf("the fastest of ten took %s", fastest)
	}
	if got, err := post(fresh(t), p.url(), "x"); err != nil || got != live.addr {
		t.Errorf("answered %q, %v", got, err)
	}
	if err := <-stuck; err != nil { // nothing of it was sent
		t.Errorf("the one that waited: %v", err)
	}
}

func TestAConnectThatNobodyAnswersGoesToTheSpareInTheEnd(t *testing.T) {
	p := serveProxy(t)
	silent, spare := unanswering(t), named(t)
	p.route([]string{silent}, spare.addr)
	began := time.Now()
	got, err := post(fresh(t), p.url(), strings.Repeat("x", 100<<10))
	if err != nil || got != spare.addr {
		t.Errorf("answered %q, %v", got, err)
	}
	if took := time.Since(began); took < dialTimeout-100*time.Millisecond || took > 3*dialTimeout {
		t.Errorf("after %s", took)
	}
}

// unanswering is an address that answers no connect, as a host that is gone does:
// its queue of connections is full.
func unanswering(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := withDescriptors([]syscall.Conn{l.(*net.TCPListener)}, func(fds []int) error { return syscall.Listen(fds[0], 0) }); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 300*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("its queue is never full")
	return ""
}
