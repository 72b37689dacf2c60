package deployer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

const blueAddr, greenAddr = "10.0.0.1:8080", "10.0.0.1:8081"

// said is what a balancer says: requests, failures and answers of 5xx of blue,
// then of green, which is up.
func said(blue, green [3]uint64) deploy.Traffic {
	count := func(n [3]uint64) deploy.Counter {
		return deploy.Counter{Requests: n[0], Failures: n[1], Errors5: n[2]}
	}
	return deploy.Traffic{Up: []string{greenAddr}, Measured: true, Counters: map[string]deploy.Counter{blueAddr: count(blue), greenAddr: count(green)}}
}

func fresh() *lookout { return &lookout{news: make(chan struct{}, 1), sees: true} }

func TestTheNewReleaseIsBlamedForWhatItsUsersSee(t *testing.T) {
	none := [3]uint64{}
	for name, c := range map[string]struct {
		blue, green [3]uint64 // since the switch
		says        string
	}{
		"nothing goes wrong":                   {none, [3]uint64{1000, 0, 0}, ""},
		"the old one's stragglers are cut":     {[3]uint64{30, 30, 0}, [3]uint64{1000, 0, 0}, ""},
		"one in fifty":                         {none, [3]uint64{1000, 0, 20}, "of 1000 requests 0 got no answer and 20 an answer of 5xx"},
		"half of a second's gets no answer":    {none, [3]uint64{20, 12, 0}, "of 20 requests 12 got no answer"},
		"as often as it always was":            {none, [3]uint64{1000, 0, 2}, ""},
		"a few odd ones while nobody is there": {none, [3]uint64{9, 0, 9}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := fresh()
			l.counted(said([3]uint64{50000, 0, 100}, none))
			l.mark()
			l.counted(said([3]uint64{50000, 0, 100}, none))
			l.counted(said([3]uint64{50000 + c.blue[0], c.blue[1], 100 + c.blue[2]}, c.green))
			b := l.blames(nil, []string{greenAddr})
			if (b != nil) != (c.says != "") || b != nil && !strings.Contains(b.why, c.says) {
				t.Errorf("%s: %+v", name, b)
			}
		})
	}
}

func TestABurstIsBlamedLongAfterTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fresh()
		l.counted(said([3]uint64{50000, 0, 0}, [3]uint64{}))
		l.mark()
		n := uint64(0)
		for range 30 {
			time.Sleep(time.Second)
			n += 1000
			l.counted(said([3]uint64{50000, 0, 0}, [3]uint64{n, 0, 0}))
		}
		if b := l.blames(nil, []string{greenAddr}); b != nil {
			t.Fatalf("%+v", b)
		}
		time.Sleep(100 * time.Millisecond)
		l.counted(said([3]uint64{50000, 0, 0}, [3]uint64{n + 100, 0, 100}))
		time.Sleep(time.Second)
		l.counted(said([3]uint64{50000, 0, 0}, [3]uint64{n + 200, 0, 200}))
		if b := l.blames(nil, []string{greenAddr}); b == nil {
			t.Error("nobody is blamed")
		}
	})
}

func TestAProbeThatBeganBeforeTheSwitchIsNotHeldAgainstTheNewRelease(t *testing.T) {
	l := fresh()
	bad := &deploy.Error{Code: deploy.CodeUnhealthy, Subject: "timeout"}
	before := l.switched()
	for range 10 {
		l.passed(time.Millisecond, before)
	}
	l.mark()
	l.failed(bad, before)
	if b := l.blames(&deploy.Verify{}, nil); b != nil {
		t.Errorf("%+v", b)
	}
	for range 4 {
		l.failed(bad, l.switched())
	}
	if b := l.blames(&deploy.Verify{MaxFailures: 0}, nil); b == nil || b.share != 1 {
		t.Errorf("%+v", b)
	}
}

func TestTheWindowsAreTakenOnceAndNobodysAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fresh()
		l.window = deploy.Window{When: deploy.Before, From: time.Now()}
		l.passed(time.Millisecond, false)
		time.Sleep(windowLength)
		l.passed(time.Millisecond, false)
		first := l.take()
		if len(first) != 2 || first[0].Probes.Requests != 1 || first[1].Probes.Requests != 1 || !first[1].From.Equal(first[0].To) {
			t.Errorf("%+v", first)
		}
		l.back(first)
		if again := l.take(); len(again) != 3 || again[2].Probes.Requests != 0 {
			t.Errorf("%+v", again)
		}
		guarding := &lookout{news: make(chan struct{}, 1), window: deploy.Window{From: time.Now()}}
		for range 100 {
			time.Sleep(windowLength)
			guarding.counted(said([3]uint64{1, 0, 0}, [3]uint64{}))
		}
		if n := len(guarding.full); n != 0 {
			t.Errorf("%d windows that nobody takes", n)
		}
	})
}

// telling is a balancer that says what a test has it say.
type telling struct {
	Balancer
	mu   sync.Mutex
	told func(deploy.Traffic)
}

func (b *telling) Watch(ctx context.Context, _ deploy.Step, told func(deploy.Traffic)) error {
	b.mu.Lock()
	b.told = told
	b.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (b *telling) say(t deploy.Traffic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told(t)
}

// post is a world of one live release whose balancer tells of its traffic.
type post struct {
	Ledger
	Drivers
	balancer *telling
	mu       sync.Mutex
	live     deploy.Live
	alarms   []deploy.Request
}

func (p *post) Lives() ([]deploy.Live, error) { return []deploy.Live{p.live}, nil }
func (p *post) Live(deploy.Target) (deploy.Live, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live, nil
}

func (p *post) Submit(_ context.Context, r deploy.Request) (deploy.ID, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarms = append(p.alarms, r)
	return deploy.ID(len(p.alarms)), true, nil
}

func (p *post) Balancer(deploy.Target, deploy.Section, func(string) (Host, error)) (Balancer, error) {
	return p.balancer, nil
}
func (p *post) Host(deploy.Host) (Host, error)                          { return nil, errors.New("the host is away") }
func (p *post) Resolve(in map[string]string) (map[string]string, error) { return in, nil }

func (p *post) given() []deploy.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alarms
}

// guarded runs a guard over it.
func guarded(t *testing.T, play func(p *post)) {
	synctest.Test(t, func(t *testing.T) {
		target := deploy.Target{App: "shop", Env: "production"}
		env := deploy.Environment{Name: "production", Hosts: []deploy.Host{{ID: "web-1", Address: "10.0.0.1"}}, BlueGreen: deploy.BlueGreen{Blue: 8080, Green: 8081}}
		old := deploy.Release{App: "shop", Commit: deploy.Commit{SHA: strings.Repeat("a", 40)}}
		p := &post{balancer: &telling{}, live: deploy.Live{Target: target, Slot: deploy.Green, Deploy: 7, Good: []deploy.Past{{Release: old}},
			Release: deploy.Release{App: "shop", Commit: deploy.Commit{SHA: strings.Repeat("b", 40)}},
			Warm:    &deploy.Lease{Slot: deploy.Blue, Release: old, Until: time.Now().Add(10 * time.Minute)}}}
		e := New(Options{Ledger: p, Drivers: p, Config: func(deploy.Target) (deploy.App, deploy.Environment, bool) {
			return deploy.App{Name: "shop"}, env, true
		}})
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { e.guardAll(ctx) })
		synctest.Wait()
		play(p)
		stop()
		done.Wait()
	})
}

func TestAReleaseThatFailsItsUsersAfterTheBakeIsAnAlarmAndOneAnHour(t *testing.T) {
	guarded(t, func(p *post) {
		n, bad := uint64(100000), uint64(0)
		second := func(errors5 uint64) {
			time.Sleep(time.Second)
			n, bad = n+100, bad+errors5
			p.balancer.say(said([3]uint64{}, [3]uint64{n, 0, bad}))
			synctest.Wait()
		}
		for range 300 {
			second(0)
		}
		if got := p.given(); len(got) != 0 {
			t.Fatalf("an alarm for nothing: %+v", got)
		}
		for range 1800 {
			second(90)
		}
		got := p.given()
		if len(got) != 1 || got[0].Want != deploy.WantAlarm || !strings.Contains(got[0].Reason, "`rollback shop production` goes back (instant until") {
			t.Fatalf("%+v", got)
		}
		for range 7200 {
			second(90)
		}
		if n := len(p.given()); n < 2 || n > 3 {
			t.Errorf("%d alarms in two hours and a half", n)
		}
	})
}

func TestAReleaseThatDoesNotAnswerIsAnAlarmAndA5xxIsNoReasonToLook(t *testing.T) {
	guarded(t, func(p *post) {
		p.balancer.say(said([3]uint64{}, [3]uint64{100000, 0, 0}))
		p.balancer.say(said([3]uint64{}, [3]uint64{100100, 0, 1}))
		time.Sleep(10 * time.Second)
		if got := p.given(); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		p.balancer.say(said([3]uint64{}, [3]uint64{100200, 1, 1}))
		time.Sleep(10 * time.Second)
		if got := p.given(); len(got) != 1 || !strings.Contains(got[0].Reason, "does not answer any more") {
			t.Errorf("%+v", got)
		}
	})
}
