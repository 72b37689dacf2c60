package drivertest

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// BalancerRig is a balancer with a front door and two backends, for one run of
// Balancer. The suite starts from a balancer that was never routed.
type BalancerRig struct {
	// Open opens the driver anew, as a restarted process would.
	Open func(t *testing.T) deployer.Balancer
	// URL is the front door.
	URL string
	// Targets are two running backends. Each answers every request with 200 and
	// its own address as the body. With the query wait=DURATION it sends header
	// and address at once, through any buffering, and ends the body only after
	// that time. StartBackend is such a backend.
	Targets []deploy.Endpoint
	// Stop ends the backend at addr for good, at once.
	Stop func(addr string)
}

// Balancer is the contract of deployer.Balancer, on a real front door: a route
// is a truth (twice is once, killed half-way and repeated it converges), the
// evidence is what clients see, in-flight work is counted, every error carries
// a code. The backends of the rig are used up.
func Balancer(t *testing.T, rig BalancerRig) {
	if len(rig.Targets) != 2 {
		t.Fatalf("the rig has %d targets, not 2", len(rig.Targets))
	}
	s := &balancerSuite{rig: rig, driver: rig.Open(t)}
	a, b := rig.Targets[0].Addr, rig.Targets[1].Addr
	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"before the first route the evidence can be read", func(t *testing.T) { s.known = s.observe(t, "").SHA256 }},
		{"the first route sends every request to its target", func(t *testing.T) { s.routeAndCheck(t, a) }},
		{"a route to the other target moves every request", func(t *testing.T) { s.routeAndCheck(t, b) }},
		{"and back", func(t *testing.T) { s.routeAndCheck(t, a) }},
		{"a driver opened anew sees the same", func(t *testing.T) { s.reopened(t, a) }},
		{"routing twice is routing once", func(t *testing.T) { s.twiceIsOnce(t, a) }},
		{"a route to nobody is refused and changes nothing", func(t *testing.T) { s.refusesNobody(t, a) }},
		{"a cancelled context returns promptly and changes nothing", func(t *testing.T) { s.cancelled(t, a, b) }},
		{"killed half-way and repeated it converges", func(t *testing.T) { s.killedHalfWay(t) }},
		{"a request in flight to the target that left is counted until it ends", func(t *testing.T) { s.countsInFlight(t, a, b) }},
		{"a target that left and has nothing in flight can be stopped unnoticed", func(t *testing.T) { s.stopsUnnoticed(t, b, a) }},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			return // each step builds on the ones before
		}
	}
}

const (
	balancerLimit  = 30 * time.Second // of one route
	balancerPrompt = 2 * time.Second  // what a cancelled call may take to return
	balancerKills  = 20
)

type balancerSuite struct {
	rig    BalancerRig
	driver deployer.Balancer
	known  string
	whole  time.Duration // what one switch takes here
}

func (s *balancerSuite) step(addr string) deploy.Step {
	targets := slices.Clone(s.rig.Targets)
	for i := range targets {
		targets[i].Up = targets[i].Addr == addr
		targets[i].Spare = false
	}
	return deploy.Step{Op: deploy.OpRoute, Targets: targets, Known: s.known, Limit: deploy.Duration(balancerLimit)}
}

// route makes addr the only target up, and learns what the file is then.
func (s *balancerSuite) route(t *testing.T, addr string) {
	t.Helper()
	s.routeOnly(t, addr)
	s.known = s.observe(t, addr).SHA256
}

func (s *balancerSuite) routeOnly(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), balancerLimit)
	defer cancel()
	if err := s.driver.Route(ctx, s.step(addr)); err != nil {
		t.Fatalf("route to %s: %v", addr, err)
	}
}

func (s *balancerSuite) observe(t *testing.T, addr string) deploy.Traffic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), balancerLimit)
	defer cancel()
	ev, err := s.driver.Observe(ctx, s.step(addr))
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	if ev.Traffic == nil {
		t.Fatal("observe: no traffic in the evidence")
	}
	return *ev.Traffic
}

// routeAndCheck routes to addr and compares the evidence with what clients see,
// from the first moment on.
func (s *balancerSuite) routeAndCheck(t *testing.T, addr string) {
	s.routeOnly(t, addr)
	s.checkClients(t, addr)
	s.known = s.observe(t, addr).SHA256
	s.checkEvidence(t, addr)
	s.checkClients(t, addr)
}

func (s *balancerSuite) checkEvidence(t *testing.T, addr string) {
	t.Helper()
	tr := s.observe(t, addr)
	if !slices.Equal(tr.Up, []string{addr}) {
		t.Errorf("up is %v, want %s only", tr.Up, addr)
	}
	if slices.Contains(tr.Down, addr) {
		t.Errorf("down holds %s, which is up", addr)
	}
	if tr.Edited {
		t.Errorf("%s counts as edited just after a route", tr.File)
	}
	if tr.File == "" && tr.SHA256 != "" || tr.File != "" && len(tr.SHA256) != 64 {
		t.Errorf("file %q has sha256 %q", tr.File, tr.SHA256)
	}
}

// checkClients asks on fresh connections and, by POST, on kept ones.
func (s *balancerSuite) checkClients(t *testing.T, addr string) {
	t.Helper()
	fresh, kept := balancerClient(balancerFresh), balancerClient(balancerKept)
	defer kept.CloseIdleConnections()
	for range 10 {
		for _, c := range []*http.Client{fresh, kept} {
			if got, err := balancerPost(t.Context(), c, s.rig.URL); err != nil || got != addr {
				t.Errorf("the front door answered %q, %v; want %q", got, err, addr)
			}
		}
	}
}

func (s *balancerSuite) reopened(t *testing.T, addr string) {
	s.driver = s.rig.Open(t)
	s.checkEvidence(t, addr)
	s.routeAndCheck(t, addr)
}

// twiceIsOnce keeps a connection over the repeated route: a reload would close it.
func (s *balancerSuite) twiceIsOnce(t *testing.T, addr string) {
	kept := balancerClient(balancerKept)
	defer kept.CloseIdleConnections()
	if _, err := balancerPost(t.Context(), kept, s.rig.URL); err != nil {
		t.Fatal(err)
	}
	before := s.observe(t, addr)
	s.route(t, addr)
	after := s.observe(t, addr)
	if after.Generation != before.Generation || after.SHA256 != before.SHA256 {
		t.Errorf("generation %q became %q, file %q became %q", before.Generation, after.Generation, before.SHA256, after.SHA256)
	}
	var reused atomic.Bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused.Store(i.Reused) },
	})
	if got, err := balancerPost(ctx, kept, s.rig.URL); err != nil || got != addr || !reused.Load() {
		t.Errorf("a connection kept over the repeated route: answer %q, %v, reused %v", got, err, reused.Load())
	}
}

func (s *balancerSuite) refusesNobody(t *testing.T, addr string) {
	before := s.observe(t, addr)
	for name, step := range map[string]deploy.Step{"all down": s.step(""), "no targets": {Op: deploy.OpRoute, Known: s.known}} {
		err := s.driver.Route(t.Context(), step)
		if deploy.CodeOf(err) != deploy.CodeRefused {
			t.Errorf("%s: %v, want code refused", name, err)
		}
	}
	s.checkUnchanged(t, addr, before)
}

func (s *balancerSuite) checkUnchanged(t *testing.T, addr string, before deploy.Traffic) {
	t.Helper()
	after := s.observe(t, addr)
	if after.Generation != before.Generation || after.SHA256 != before.SHA256 || !slices.Equal(after.Up, before.Up) {
		t.Errorf("it changed from %+v to %+v", before, after)
	}
	s.checkClients(t, addr)
}

func (s *balancerSuite) cancelled(t *testing.T, addr, other string) {
	before := s.observe(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	err := s.driver.Route(ctx, s.step(other))
	balancerCheckCode(t, err)
	if deploy.CodeOf(err) != deploy.CodeCancelled {
		t.Errorf("route with a cancelled context: %v, want code cancelled", err)
	}
	if _, err := s.driver.Observe(ctx, s.step(other)); err != nil {
		balancerCheckCode(t, err)
	}
	if took := time.Since(begin); took > balancerPrompt {
		t.Errorf("cancelled calls took %s", took)
	}
	s.checkUnchanged(t, addr, before)
}

// killedHalfWay cancels routes at random instants and abandons the driver. The
// step, or one back to where it came from, is then run with what was known
// before: nobody has seen the interrupted one end.
func (s *balancerSuite) killedHalfWay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	stopClient := s.watchFrontDoor(t)
	s.timeRoute(t)
	for i := range balancerKills {
		from, to := s.rig.Targets[i%2].Addr, s.rig.Targets[(i+1)%2].Addr
		s.route(t, from)
		s.kill(t, to, time.Duration(random.Int64N(int64(s.whole))))
		s.driver = s.rig.Open(t)
		if random.IntN(2) == 0 {
			to = from
		}
		s.route(t, to)
		s.checkEvidence(t, to)
		s.checkClients(t, to)
		if t.Failed() {
			break
		}
	}
	stopClient()
}

// timeRoute measures one whole switch, so that kills fall all over it.
func (s *balancerSuite) timeRoute(t *testing.T) {
	s.route(t, s.rig.Targets[0].Addr)
	begin := time.Now()
	s.route(t, s.rig.Targets[1].Addr)
	s.whole = time.Since(begin) + time.Millisecond
}

func (s *balancerSuite) kill(t *testing.T, addr string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	killed := make(chan time.Time, 1)
	timer := time.AfterFunc(after, func() {
		killed <- time.Now()
		cancel()
	})
	err := s.driver.Route(ctx, s.step(addr))
	ended := time.Now()
	if timer.Stop() {
		if err != nil {
			t.Errorf("route to %s: %v", addr, err)
		}
		return
	}
	if late := ended.Sub(<-killed); late > balancerPrompt {
		t.Errorf("route returned %s after its context was cancelled", late)
	}
	if err != nil {
		balancerCheckCode(t, err)
	}
}

func (s *balancerSuite) isTarget(addr string) bool {
	return slices.ContainsFunc(s.rig.Targets, func(e deploy.Endpoint) bool { return e.Addr == addr })
}

func (s *balancerSuite) countsInFlight(t *testing.T, a, b string) {
	s.route(t, a)
	finish := s.slowRequest(t, a)
	s.route(t, b)
	s.checkEvidence(t, b)
	if n := s.observe(t, b).InFlight[a]; n < 1 {
		t.Errorf("in flight to %s: %d, while a request is", a, n)
	}
	finish()
	s.awaitIdle(t, b, a)
}

// slowRequest returns once a request reached addr; finish checks that it ended whole.
func (s *balancerSuite) slowRequest(t *testing.T, addr string) (finish func()) {
	t.Helper()
	url := s.rig.URL + "?wait=" + (time.Second + 3*s.whole).String()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("slow"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := balancerClient(balancerFresh).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	head := make([]byte, len(addr))
	if _, err := io.ReadFull(resp.Body, head); err != nil || string(head) != addr {
		t.Fatalf("the slow request began with %q, %v; want %q", head, err, addr)
	}
	return func() {
		if rest, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("the slow request was cut after %q: %v", rest, err)
		}
	}
}

func (s *balancerSuite) awaitIdle(t *testing.T, up, left string) {
	t.Helper()
	limit := time.Now().Add(balancerLimit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, told := s.observe(t, up).InFlight[left]
		if told && n == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("in flight to %s: %d (told: %v) long after the last request", left, n, told)
		}
		<-tick.C
	}
}

func (s *balancerSuite) stopsUnnoticed(t *testing.T, from, to string) {
	s.route(t, from)
	stopClient := s.watchFrontDoor(t)
	s.route(t, to)
	s.awaitIdle(t, to, from)
	s.rig.Stop(from)
	s.checkClients(t, to)
	stopClient()
	if conn, err := net.Dial("tcp", from); err == nil {
		conn.Close()
		t.Errorf("%s still accepts: the rig did not stop it", from)
	}
}
