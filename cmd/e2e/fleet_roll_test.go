package e2e

import (
	"os"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestAFleetOfTenBehindACheckingBalancerRollsAndNobodyNoticesAndNineStayInService(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{Hosts: 10, Interval: 2 * time.Second})
	r := f.fleetRig()
	f.first(r, behaviour{Version: "v1"})
	w := watchFloor(t, f)
	l := startLoad(t, f.Front, everybody(1000))
	began := time.Now()
	st, p := f.follows(r, r.push(slowBoot("v2")))
	mustSucceed(t, st)
	t.Logf("the roll took %s: %s", time.Since(began).Round(10*time.Millisecond), p)
	l.mustBeSilent(t)
	w.mustHold(t, 9)
	f.mustRun("v2", f.Hosts...)
	r.told(st.ID, "succeeded")
}

// contest is the same roll by several means: of a few hosts side by side, or, as
// a benchmark, with E2E_HOSTS=10 one after another under the whole load.
type contest struct {
	hosts int
	users users
	apart bool

	mu   sync.Mutex
	took map[string]time.Duration
}

func newContest(t *testing.T) *contest {
	t.Helper()
	c := &contest{hosts: fleetSize(t), users: users{KeepAlive: 50, OneShot: 5, Slow: 4}, took: map[string]time.Duration{}}
	if os.Getenv(sizeVar) != "" {
		c.users, c.apart = everybody(1000), true
	}
	return c
}

// enter measures one means in a part of the test.
func (c *contest) enter(t *testing.T, name string, roll func(t *testing.T) time.Duration) {
	t.Run(name, func(t *testing.T) {
		if !c.apart {
			t.Parallel()
		}
		took := roll(t)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.took[name] = took
	})
}

const (
	byFixedWaits = "by the script of fixed waits"
	byEvidence   = "by ipublish"
	withIdle     = "by ipublish while the app keeps idle connections for 20 s"
)

func TestAFleetRollsFasterThanTheScriptOfFixedWaitsAlsoWhenTheAppKeepsIdleConnections(t *testing.T) {
	t.Parallel()
	c := newContest(t)
	t.Run("rolls", func(t *testing.T) {
		c.enter(t, byFixedWaits, c.script)
		c.enter(t, byEvidence, func(t *testing.T) time.Duration { return c.ours(t, 0) })
		c.enter(t, withIdle, func(t *testing.T) time.Duration { return c.ours(t, 20_000) })
	})
	for _, name := range []string{byEvidence, withIdle} {
		ratio := c.took[name].Seconds() / c.took[byFixedWaits].Seconds()
		t.Logf("%d hosts %s: %s, %.2f × the %s of the script", c.hosts, name, c.took[name].Round(10*time.Millisecond), ratio, c.took[byFixedWaits].Round(10*time.Millisecond))
		if !(ratio <= 0.75) { // nor is it when nothing was measured
			t.Errorf("%s it took %.2f × as long as by the script, want at most 0.75", name, ratio)
		}
	}
}

// script rolls by the script and says how long that took.
func (c *contest) script(t *testing.T) time.Duration {
	f := newFleet(t, fleetOptions{Hosts: c.hosts, Interval: 2 * time.Second})
	f.byScript(behaviour{Version: "v1"})
	w, l := watchFloor(t, f), startLoad(t, f.Front, c.users)
	took := f.rollByScript(slowBoot("v2"))
	l.mustBeSilent(t)
	w.mustHold(t, c.hosts-1)
	f.mustRun("v2", f.Hosts...)
	return took
}

// ours rolls by status files and says how long the whole deploy took, from the push.
func (c *contest) ours(t *testing.T, idle int64) time.Duration {
	f := newFleet(t, fleetOptions{Hosts: c.hosts, Interval: 2 * time.Second, KeepIdle: idle > 0})
	r := f.fleetRig()
	f.first(r, behaviour{Version: "v1", Idle: idle})
	w, l := watchFloor(t, f), startLoad(t, f.Front, c.users)
	v2, began := slowBoot("v2"), time.Now()
	v2.Idle = idle
	st, p := f.follows(r, r.push(v2))
	took := time.Since(began)
	mustSucceed(t, st)
	t.Log(p)
	l.mustBeSilent(t)
	w.mustHold(t, c.hosts-1)
	f.mustRun("v2", f.Hosts...)
	return took
}

func mustSucceed(t *testing.T, st deploy.State) {
	t.Helper()
	if st.Ending != deploy.Succeeded {
		t.Errorf("%s is %s %s (%v, %v), want succeeded", st.ID, st.Phase, st.Ending, st.Err, st.Stuck)
	}
}

// It measures time, so that it runs alone: before the tests that run side by side.
func TestAFleetBehindHAProxysRuntimeAPIWaitsForItsAppAndItsUsersAndNothingElse(t *testing.T) {
	f := newFleet(t, fleetOptions{Hosts: 10, Interval: 2 * time.Second})
	r := f.fleetRig(f.byRuntimeAPI)
	f.first(r, behaviour{Version: "v1"})
	w, l := watchFloor(t, f), startLoad(t, f.Front, everybody(1000))
	app := f.cycles(slowBoot("v2"))
	st, p := f.follows(r, r.push(slowBoot("v2")))
	own := app.mean(t)
	mustSucceed(t, st)
	l.mustBeSilent(t)
	w.mustHold(t, 9)
	f.mustRun("v2", f.Hosts...)
	t.Logf("%s; the app's own boot and stop take %s", p, own.Round(10*time.Millisecond))
	allowed := 2 * time.Second // on a machine that may be busy with other tests
	if os.Getenv(sizeVar) != "" {
		allowed = time.Second
	}
	p.mustTake(t, 10, own+allowed)
}
