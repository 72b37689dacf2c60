package statusfile_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/statusfile"
)

func TestWhatAPageSaysIsWhereItsHostIs(t *testing.T) {
	onEveryHost(t, func(t *testing.T, r *rig) {
		one, two := r.targets[0], r.targets[1]
		r.route(deploy.OpOut, two)
		ev := r.observe(one, two)
		tr := ev.Traffic
		if !slices.Equal(tr.Up, []string{one.Addr}) || !slices.Equal(tr.Down, []string{two.Addr}) || ev.Note != "" {
			t.Errorf("%+v, note %q", tr, ev.Note)
		}
		if len(tr.InFlight) != 2 || tr.InFlight[one.Addr] != -1 || tr.InFlight[two.Addr] != -1 {
			t.Errorf("in flight %v, where nothing counts them", tr.InFlight)
		}
	})
}

// The arithmetic: interval 300ms, timeout 1s, 2 to come in, 3 to leave, margin 500ms.
func TestTheWaitIsTheBalancersOwnArithmeticAndNeverLess(t *testing.T) {
	r := newRig(t, 2, "", nil)
	one, two := r.targets[0], r.targets[1]
	r.route(deploy.OpOut, two)
	settles := func(what string, want time.Duration, targets ...deploy.Endpoint) {
		t.Helper()
		if got := r.observe(targets...).Traffic.Settle.D(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	settles("a host that is in", 2*300*time.Millisecond+500*time.Millisecond, one)
	settles("a host that is out", 3*300*time.Millisecond+500*time.Millisecond, two)
	settles("both", 3*300*time.Millisecond+500*time.Millisecond, one, two)
	settles("nobody", 0)
	r.driver = r.openWith(map[string]any{"margin": "0s"})
	settles("no margin", 900*time.Millisecond, two)
	r.driver = r.openWith(map[string]any{"margin": nil})
	settles("the margin is one interval unless given", 1200*time.Millisecond, two)
	r.server.Kill()
	r.driver = r.openWith(nil)
	settles("nobody listens", 3*300*time.Millisecond+500*time.Millisecond, one)
}

func TestAPageThatIsSilentIsOutAfterTheChecksHaveTimedOut(t *testing.T) {
	t.Parallel()
	silence, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silence.Close() })
	r := newRig(t, 1, "", nil)
	r.driver = r.openWith(map[string]any{"url": "http://" + silence.Addr().String() + "/nginx-status.html"})
	ev := r.observe(r.targets...)
	want := 3*(300*time.Millisecond+time.Second) + 500*time.Millisecond
	if len(ev.Traffic.Down) != 1 || ev.Traffic.Settle.D() != want {
		t.Errorf("%+v, want it down and %s", ev.Traffic, want)
	}
	r.route(deploy.OpOut, r.targets...)
	r.refused(deploy.OpIn, r.targets[0], deploy.CodeFailed, "nothing answers at")
}

func TestOnlyTheStatusesOfTheBalancerAreHealthy(t *testing.T) {
	r := newRig(t, 1, "return 204;", nil)
	if ev := r.observe(r.targets...); len(ev.Traffic.Down) != 1 {
		t.Errorf("204 where 200 is expected: %+v", ev.Traffic)
	}
	r.driver = r.openWith(map[string]any{"expect_status": []int{200, 204}})
	if ev := r.observe(r.targets...); len(ev.Traffic.Up) != 1 {
		t.Errorf("204 where it is expected: %+v", ev.Traffic)
	}
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	r := newRig(t, 1, "return 302 /app;", nil)
	if ev := r.observe(r.targets...); len(ev.Traffic.Down) != 1 {
		t.Errorf("%+v", ev.Traffic)
	}
}

func TestTheLinkThatBreaksWhileAPageIsAskedSaysNothingOfThePage(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.tap(func(context.Context, string) error {
		return &deploy.Error{Code: deploy.CodeUnavailable, Message: "the connection to web-1 broke"}
	})
	ev := r.observe(r.targets...)
	if len(ev.Traffic.Up)+len(ev.Traffic.Down) != 0 || ev.Note != "web-1 could not be asked: the connection to web-1 broke" {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
	if longest := 3*(300*time.Millisecond+time.Second) + 500*time.Millisecond; ev.Traffic.Settle.D() != longest {
		t.Errorf("settle %s, want the longest, %s", ev.Traffic.Settle, longest)
	}
}

func TestALinkThatBreaksUnderAQuestionAndIsWellAgainSaysNothingOfThePage(t *testing.T) {
	r := newRig(t, 1, "", nil)
	var broken atomic.Bool
	r.tap(func(_ context.Context, what string) error {
		if strings.HasPrefix(what, "dial") && broken.CompareAndSwap(false, true) {
			return &deploy.Error{Code: deploy.CodeUnavailable, Message: "the connection to web-1 broke"}
		}
		return nil
	})
	if ev := r.observe(r.targets...); len(ev.Traffic.Up) != 1 || !broken.Load() {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
}

func TestTwoHundredHostsAreAskedInParallelOneRoundTripEach(t *testing.T) {
	const hosts = 200
	r := newRig(t, 1, "", nil)
	var now, over, dials, runs atomic.Int64
	full := make(chan struct{})
	once := sync.OnceFunc(func() { close(full) })
	r.tap(func(ctx context.Context, what string) error {
		if strings.HasPrefix(what, "run") {
			runs.Add(1)
			return nil
		}
		dials.Add(1)
		n := now.Add(1)
		defer now.Add(-1)
		if n == 16 {
			once()
		} else if n > 16 {
			over.Add(1)
		}
		select {
		case <-full: // sixteen were in here at once
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var targets []deploy.Endpoint
	for i := range hosts {
		e := r.targets[0]
		e.Host = deploy.HostID(fmt.Sprintf("web-%03d", i))
		targets = append(targets, e)
	}
	ev := r.observe(targets...)
	if len(ev.Traffic.Up) != hosts || over.Load() != 0 || dials.Load() != hosts || runs.Load() != 0 {
		t.Errorf("%d up, %d beyond sixteen at once, %d dials, %d commands", len(ev.Traffic.Up), over.Load(), dials.Load(), runs.Load())
	}
}

func TestANoteNamesAFewHostsAndCountsTheRest(t *testing.T) {
	b, err := statusfile.New(section(t, nil), noHost)
	if err != nil {
		t.Fatal(err)
	}
	var targets []deploy.Endpoint
	for i := range 30 {
		targets = append(targets, deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%02d", 30-i)), Addr: fmt.Sprintf("127.0.0.1:%d", 9001+i)})
	}
	ev, err := b.Observe(t.Context(), deploy.Step{Targets: targets})
	if err != nil || !strings.HasPrefix(ev.Note, "web-01 could not be asked: no host is opened here; web-02") || !strings.HasSuffix(ev.Note, "; 20 more hosts could not be told") {
		t.Errorf("%v, note %q", err, ev.Note)
	}
	if err := b.Route(t.Context(), deploy.Step{Targets: targets[:1]}); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("%v", err)
	}
}

func TestHTTPSIsAskedAsABalancerDoes(t *testing.T) {
	cert, key := selfSigned(t)
	r := newRig(t, 1, "", nil)
	port := freePort(t)
	r.server.Write("tls.pem", cert+key)
	r.server.Write("nginx.conf", strings.Replace(content(t, r.server.Dir+"/nginx.conf"), "server {",
		"server { listen 127.0.0.11:"+port+" ssl; ssl_certificate "+r.server.Dir+"/tls.pem; ssl_certificate_key "+r.server.Dir+"/tls.pem;", 1))
	r.server.Reload()
	r.driver = r.openWith(map[string]any{"url": "https://{address}:" + port + "/nginx-status.html"})
	eventually(t, "nginx serves https", func() bool { return len(r.observe(r.targets...).Traffic.Up) == 1 })
	r.route(deploy.OpOut, r.targets...)
	if ev := r.observe(r.targets...); len(ev.Traffic.Down) != 1 {
		t.Errorf("%+v", ev.Traffic)
	}
}
