package drivertest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// RollingRig is a balancer with a front door and several backends, for one run
// of Rolling. The suite starts with every backend in traffic.
type RollingRig struct {
	// Open opens the driver anew, as a restarted process would.
	Open func(t *testing.T) deployer.Balancer
	// URL is the front door. It spreads requests so that each target in traffic
	// gets one of ten in a row at the latest.
	URL string
	// Targets are at least three running backends, as of BalancerRig.
	Targets []deploy.Endpoint
	// Unknown is a host that the balancer does not know; the zero Endpoint where
	// a driver cannot tell.
	Unknown deploy.Endpoint
	// Stop ends the backend at addr for good, at once.
	Stop func(addr string)
}

// Rolling is the contract of deployer.Balancer for rolling plans, on a real
// front door: a host leaves and comes back without anybody noticing and without
// touching another one, alone or with others at once; out and in are truths
// (twice is once, killed half-way and repeated they converge); the evidence
// tells of the named hosts only and is what clients see, after Traffic.Settle
// where the balancer follows later; work in flight is counted, where it can be
// told; every error carries a code. The first backend of the rig is used up.
func Rolling(t *testing.T, rig RollingRig) {
	if len(rig.Targets) < 3 {
		t.Fatalf("the rig has %d targets, fewer than 3", len(rig.Targets))
	}
	s := &rollingSuite{rig: rig, driver: rig.Open(t), door: balancerSuite{rig: BalancerRig{URL: rig.URL, Targets: rig.Targets}}}
	first, second, all := rig.Targets[0], rig.Targets[1], rig.Targets
	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"at first every host is in traffic", func(t *testing.T) { s.serves(t, all...) }},
		{"out takes one host out and leaves the others as they are", func(t *testing.T) { s.timeOut(t, first); s.serves(t, all[1:]...) }},
		{"out twice is out once", func(t *testing.T) { s.out(t, first); s.serves(t, all[1:]...) }},
		{"a driver opened anew sees the same", func(t *testing.T) { s.driver = rig.Open(t); s.serves(t, all[1:]...) }},
		{"the evidence tells of the named hosts only", s.tellsOfNamed},
		{"in brings it back", func(t *testing.T) { s.in(t, first); s.serves(t, all...) }},
		{"in twice is in once", func(t *testing.T) { s.in(t, first); s.serves(t, all...) }},
		{"several hosts leave and come back at once", s.atOnce},
		{"a request in flight to the host that left is counted until it ends", func(t *testing.T) { s.countsInFlight(t, first) }},
		{"a cancelled context returns promptly and changes nothing", func(t *testing.T) { s.cancelled(t, second) }},
		{"killed half-way and repeated it converges", func(t *testing.T) { s.killedHalfWay(t, second) }},
		{"an unknown host is an error with a code and changes nothing", s.refusesUnknown},
		{"a host that left and has nothing in flight can be stopped unnoticed", func(t *testing.T) { s.stopsUnnoticed(t, first) }},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			return // each step builds on the ones before
		}
	}
}

const (
	rollingLimit = time.Minute // of one change, with what follows it
	rollingPoll  = 20 * time.Millisecond
	rollingKills = 6
	rollingShare = 10 // requests in a row that reach every target in traffic
)

type rollingSuite struct {
	rig    RollingRig
	driver deployer.Balancer
	door   balancerSuite
}

// rollingStep states that the targets are in traffic, or out of it.
func rollingStep(op deploy.Op, targets ...deploy.Endpoint) deploy.Step {
	s := deploy.Step{Op: op, Slot: deploy.Main, Limit: deploy.Duration(rollingLimit), Targets: slices.Clone(targets)}
	for i := range s.Targets {
		s.Targets[i].Up = op == deploy.OpIn
		s.Targets[i].Slot = deploy.Main
		s.Hosts = append(s.Hosts, s.Targets[i].Host)
	}
	return s
}

func (s *rollingSuite) out(t *testing.T, e deploy.Endpoint) {
	t.Helper()
	s.route(t, rollingStep(deploy.OpOut, e))
}

func (s *rollingSuite) in(t *testing.T, e deploy.Endpoint) {
	t.Helper()
	s.route(t, rollingStep(deploy.OpIn, e))
}

// route makes a step true and waits until the balancer follows.
func (s *rollingSuite) route(t *testing.T, step deploy.Step) {
	t.Helper()
	if err := s.change(t.Context(), step); err != nil {
		t.Fatalf("%s of %v: %v", step.Op, step.Hosts, err)
	}
}

// change is route for a goroutine that must not end the test.
func (s *rollingSuite) change(ctx context.Context, step deploy.Step) error {
	ctx, cancel := context.WithTimeout(ctx, rollingLimit)
	defer cancel()
	if err := s.driver.Route(ctx, step); err != nil {
		return err
	}
	tick := time.NewTicker(rollingPoll)
	defer tick.Stop()
	for {
		ev, err := s.driver.Observe(ctx, step)
		if err != nil {
			return err
		}
		if rollingTrue(step, ev.Traffic) {
			return rollingSettle(ctx, ev.Traffic.Settle.D())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it never came true: %+v, %s", ev.Traffic, ev.Note)
		case <-tick.C:
		}
	}
}

// rollingTrue reports whether the evidence proves the step.
func rollingTrue(step deploy.Step, tr *deploy.Traffic) bool {
	if tr == nil {
		return false
	}
	for _, e := range step.Targets {
		up, down := slices.Contains(tr.Up, e.Addr), slices.Contains(tr.Down, e.Addr)
		if up != e.Up || down == e.Up {
			return false
		}
	}
	return true
}

func rollingSettle(ctx context.Context, settle time.Duration) error {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (s *rollingSuite) observe(t *testing.T, targets ...deploy.Endpoint) deploy.Traffic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rollingLimit)
	defer cancel()
	ev, err := s.driver.Observe(ctx, rollingStep(deploy.OpOut, targets...))
	if err != nil || ev.Traffic == nil {
		t.Fatalf("observe: %+v, %v", ev, err)
	}
	return *ev.Traffic
}

// serves checks that exactly these targets are in traffic, by the evidence and by
// what clients see.
func (s *rollingSuite) serves(t *testing.T, want ...deploy.Endpoint) {
	t.Helper()
	addrs := rollingAddrs(want)
	tr := s.observe(t, s.rig.Targets...)
	if !slices.Equal(tr.Up, addrs) || len(tr.Up)+len(tr.Down) != len(s.rig.Targets) {
		t.Errorf("up %v, down %v; want up %v and the others down", tr.Up, tr.Down, addrs)
	}
	s.reaches(t, addrs)
}

// reaches asks on fresh connections and, by POST, on a kept one.
func (s *rollingSuite) reaches(t *testing.T, addrs []string) {
	t.Helper()
	fresh, kept := balancerClient(balancerFresh), balancerClient(balancerKept)
	defer kept.CloseIdleConnections()
	seen := map[string]bool{}
	for range rollingShare * len(s.rig.Targets) {
		for _, c := range []*http.Client{fresh, kept} {
			got, err := balancerPost(t.Context(), c, s.rig.URL)
			if err != nil || !slices.Contains(addrs, got) {
				t.Fatalf("the front door answered %q, %v; want one of %v", got, err, addrs)
			}
			seen[got] = true
		}
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, addrs) {
		t.Errorf("requests reach %v, not %v", got, addrs)
	}
}

func rollingAddrs(targets []deploy.Endpoint) []string {
	var out []string
	for _, e := range targets {
		out = append(out, e.Addr)
	}
	slices.Sort(out)
	return out
}

// timeOut measures what an out takes with all that follows: slow requests last longer.
func (s *rollingSuite) timeOut(t *testing.T, e deploy.Endpoint) {
	t.Helper()
	begin := time.Now()
	s.out(t, e)
	s.door.whole = time.Since(begin) + time.Millisecond
}

func (s *rollingSuite) tellsOfNamed(t *testing.T) {
	for i, e := range s.rig.Targets {
		tr := s.observe(t, e)
		if told := slices.Concat(tr.Up, tr.Down); !slices.Equal(told, []string{e.Addr}) {
			t.Errorf("asked for %s it tells up %v, down %v", e.Addr, tr.Up, tr.Down)
		}
		if (len(tr.Up) > 0) != (i > 0) {
			t.Errorf("%s, the host number %d: up %v, down %v", e.Addr, i, tr.Up, tr.Down)
		}
		for _, addr := range slices.Concat(slices.Collect(maps.Keys(tr.InFlight)), slices.Collect(maps.Keys(tr.Weights))) {
			if addr != e.Addr {
				t.Errorf("asked for %s it tells of %s", e.Addr, addr)
			}
		}
	}
}

// atOnce takes all hosts but the last out at once, and back, one call a host.
func (s *rollingSuite) atOnce(t *testing.T) {
	stop := s.door.watchFrontDoor(t)
	many, last := s.rig.Targets[:len(s.rig.Targets)-1], s.rig.Targets[len(s.rig.Targets)-1]
	s.together(t, deploy.OpOut, many)
	s.serves(t, last)
	s.together(t, deploy.OpIn, many)
	s.serves(t, s.rig.Targets...)
	stop()
}

func (s *rollingSuite) together(t *testing.T, op deploy.Op, targets []deploy.Endpoint) {
	t.Helper()
	var calls sync.WaitGroup
	for _, e := range targets {
		calls.Go(func() {
			if err := s.change(t.Context(), rollingStep(op, e)); err != nil {
				t.Errorf("%s of %s with others: %v", op, e.Host, err)
			}
		})
	}
	calls.Wait()
}

func (s *rollingSuite) countsInFlight(t *testing.T, e deploy.Endpoint) {
	finish := s.slowRequest(t, e.Addr)
	s.out(t, e)
	if n, told := s.observe(t, e).InFlight[e.Addr]; !told || n < 0 {
		t.Log("this balancer cannot tell what is in flight")
	} else if n == 0 {
		t.Errorf("in flight to %s: 0, while a request is", e.Addr)
	}
	finish()
	s.awaitIdle(t, e)
	s.in(t, e)
	s.serves(t, s.rig.Targets...)
}

// awaitIdle waits until nothing is in flight to a host that is out, where that can be told.
func (s *rollingSuite) awaitIdle(t *testing.T, e deploy.Endpoint) {
	t.Helper()
	limit := time.Now().Add(rollingLimit)
	tick := time.NewTicker(rollingPoll)
	defer tick.Stop()
	for {
		n, told := s.observe(t, e).InFlight[e.Addr]
		if !told || n <= 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("in flight to %s: %d long after the last request", e.Addr, n)
		}
		<-tick.C
	}
}

func (s *rollingSuite) cancelled(t *testing.T, e deploy.Endpoint) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	err := s.driver.Route(ctx, rollingStep(deploy.OpOut, e))
	if balancerCheckCode(t, err); deploy.CodeOf(err) != deploy.CodeCancelled {
		t.Errorf("out with a cancelled context: %v, want code cancelled", err)
	}
	if _, err := s.driver.Observe(ctx, rollingStep(deploy.OpOut, e)); err != nil {
		balancerCheckCode(t, err)
	}
	if took := time.Since(begin); took > balancerPrompt {
		t.Errorf("cancelled calls took %s", took)
	}
	s.serves(t, s.rig.Targets...)
}

// killedHalfWay cancels outs and ins at random instants and abandons the driver;
// the step, or the one that undoes it, is then run as if nothing was known.
func (s *rollingSuite) killedHalfWay(t *testing.T, e deploy.Endpoint) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	stop := s.door.watchFrontDoor(t)
	for i := range rollingKills {
		op := []deploy.Op{deploy.OpOut, deploy.OpIn}[i%2]
		s.kill(t, rollingStep(op, e), time.Duration(random.Int64N(int64(s.door.whole))))
		s.driver = s.rig.Open(t)
		if random.IntN(2) == 0 {
			s.out(t, e)
			s.reaches(t, rollingAddrs(rollingOthers(s.rig.Targets, e)))
		} else {
			s.in(t, e)
			s.reaches(t, rollingAddrs(s.rig.Targets))
		}
	}
	s.in(t, e)
	stop()
	s.serves(t, s.rig.Targets...)
}

func rollingOthers(all []deploy.Endpoint, but deploy.Endpoint) []deploy.Endpoint {
	return slices.DeleteFunc(slices.Clone(all), func(e deploy.Endpoint) bool { return e.Addr == but.Addr })
}

func (s *rollingSuite) kill(t *testing.T, step deploy.Step, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	begin := time.Now()
	err := s.driver.Route(ctx, step)
	if late := time.Since(begin) - after; late > balancerPrompt {
		t.Errorf("%s returned %s after its context ended", step.Op, late)
	}
	if err != nil {
		balancerCheckCode(t, err)
	}
}

func (s *rollingSuite) refusesUnknown(t *testing.T) {
	if s.rig.Unknown.Addr == "" {
		return
	}
	for _, op := range []deploy.Op{deploy.OpOut, deploy.OpIn} {
		err := s.driver.Route(t.Context(), rollingStep(op, s.rig.Unknown))
		if balancerCheckCode(t, err); !strings.Contains(deploy.MessageOf(err), string(s.rig.Unknown.Host)) {
			t.Errorf("%s: the message %q does not name the host %s", op, deploy.MessageOf(err), s.rig.Unknown.Host)
		}
	}
	s.serves(t, s.rig.Targets...)
}

func (s *rollingSuite) stopsUnnoticed(t *testing.T, e deploy.Endpoint) {
	stop := s.door.watchFrontDoor(t)
	s.out(t, e)
	s.awaitIdle(t, e)
	s.rig.Stop(e.Addr)
	s.reaches(t, rollingAddrs(rollingOthers(s.rig.Targets, e)))
	stop()
}
