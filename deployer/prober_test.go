package deployer_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// fakeDoor answers in virtual time.
type fakeDoor struct {
	mu         sync.Mutex
	once, kept int
	took       time.Duration
	bad        func(n int) bool // whether the nth question, from 1, fails
}

func (d *fakeDoor) ask(ctx context.Context, count *int) error {
	d.mu.Lock()
	*count++
	n, took := d.once+d.kept, d.took
	d.mu.Unlock()
	t := time.NewTimer(took)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.bad != nil && d.bad(n) {
		return &deploy.Error{Code: deploy.CodeUnhealthy, Subject: "5xx", Message: "answers 500"}
	}
	return nil
}

func (d *fakeDoor) Once(ctx context.Context) error { return d.ask(ctx, &d.once) }
func (d *fakeDoor) Kept(ctx context.Context) error { return d.ask(ctx, &d.kept) }
func (d *fakeDoor) Close() error                   { return nil }

// probe watches a door for so long and gives what was seen.
func probe(t *testing.T, d *fakeDoor, long time.Duration) deploy.Tally {
	t.Helper()
	var sum deploy.Tally
	synctest.Test(t, func(t *testing.T) {
		v := deploy.Verify{Interval: deploy.Duration(200 * time.Millisecond)}
		for _, w := range deployer.ProbeFor(t.Context(), d, v, long) {
			sum = sum.Plus(w.Probes)
		}
	})
	return sum
}

func TestTheFrontDoorIsAskedFiveTimesASecondOverBothKindsOfConnections(t *testing.T) {
	d := &fakeDoor{took: time.Millisecond}
	sum := probe(t, d, 10*time.Second)
	if sum.Requests < 49 || sum.Requests > 51 || d.once < 24 || d.kept < 24 || sum.Failures+sum.Stumbles != 0 {
		t.Errorf("%+v, once %d, kept %d", sum, d.once, d.kept)
	}
	if p := sum.Latency.Quantile(0.5); p < time.Millisecond || p > 1200*time.Microsecond {
		t.Errorf("p50 is %s", p)
	}
}

func TestASlowAnswerHoldsNoOtherQuestionBack(t *testing.T) {
	d := &fakeDoor{took: 3 * time.Second}
	if probe(t, d, 10*time.Second); d.once < 24 {
		t.Errorf("asked %d times", d.once)
	}
}

func TestAFailureCountsWhenTheSecondTryFails(t *testing.T) {
	sum := probe(t, &fakeDoor{took: time.Millisecond, bad: func(n int) bool { return n == 10 || n == 11 }}, 10*time.Second)
	if sum.Failures != 1 || sum.Stumbles != 0 || sum.Kinds["5xx"] != 1 {
		t.Errorf("%+v", sum)
	}
}

func TestAnOddFailureIsLookedIntoAndForgiven(t *testing.T) {
	sum := probe(t, &fakeDoor{took: time.Millisecond, bad: func(n int) bool { return n == 10 }}, 10*time.Second)
	if sum.Failures != 0 || sum.Stumbles != 1 {
		t.Errorf("%+v", sum)
	}
	if sum.Requests < 150 {
		t.Errorf("it was looked at no more closely: %d", sum.Requests)
	}
}

func TestOneInFiftyIsFoundWithinSeconds(t *testing.T) {
	sum := probe(t, &fakeDoor{took: time.Millisecond, bad: func(n int) bool { return n%50 == 0 }}, 15*time.Second)
	if sum.Failures == 0 {
		t.Errorf("%+v", sum)
	}
}
