package e2e

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestAFleetsRollGoesOnAfterKillMinus9AtEveryBoundaryAndForgetsNoHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	r := f.fleetRig(func(r *rig) { r.env()["channels"] = []string{"slack:" + channel} })
	f.first(r, behaviour{Version: "v1"})
	l := startLoad(t, f.Front, users{KeepAlive: 60, OneShot: 20, Slow: 10, SlowPath: "/slow?ms=300"})
	w := watchFloor(t, f)
	st, at := r.rollKilledEverywhere("v2")
	f.endsWhole(r, st, "v2")
	l.mustBeSilent(t)
	w.mustHold(t, 3)
	t.Logf("%d kills after %s", len(at), strings.Join(at, ", "))
}

func TestAFleetsRevertGoesOnAfterKillMinus9AtEveryBoundaryAndForgetsNoHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	r := f.fleetRig(func(r *rig) {
		r.env()["channels"] = []string{"slack:" + channel}
		r.health(object{"healthy_deadline": "3s"})
	})
	f.first(r, behaviour{Version: "v1"})
	f.host(3).sicken("v2")
	l := startLoad(t, f.Front, users{KeepAlive: 60, OneShot: 20, Slow: 10, SlowPath: "/slow?ms=300"})
	w := watchFloor(t, f)
	st, at := r.rollKilled("v2", func(st deploy.State) bool { return st.Undo != nil })
	if st.Ending != deploy.Reverted {
		t.Errorf("%s is %s %s (%v, %v), want reverted", st.ID, st.Phase, st.Ending, st.Err, st.Stuck)
	}
	f.endsWhole(r, st, "v2")
	l.mustBeSilent(t)
	w.mustHold(t, 3)
	t.Logf("%d kills after %s", len(at), strings.Join(at, ", "))
}

func (r *rig) rollKilledEverywhere(version string) (deploy.State, []string) {
	r.t.Helper()
	return r.rollKilled(version, func(deploy.State) bool { return true })
}

// rollKilled pushes a version and kills worker and supervisor once at every
// boundary of the deploy's journal that is within reach; it tells where.
func (r *rig) rollKilled(version string, within func(deploy.State) bool) (deploy.State, []string) {
	r.t.Helper()
	id := r.push(behaviour{Version: version})
	killed := map[string]bool{}
	var at []string
	st := r.api.watch(id, func(st deploy.State, ev deploy.Event) {
		where := hostBoundary(st, ev)
		if st.Ended() || killed[where] || !within(st) || ev.Kind == deploy.KindNoted {
			return
		}
		killed[where] = true
		at = append(at, where)
		r.killBoth()
		r.server.awaitReady()
	}, func(st deploy.State) bool { return st.Ended() || st.Phase == deploy.PhaseStuck })
	return st, at
}

// hostBoundary is a boundary of the journal with the hosts that it is about.
func hostBoundary(st deploy.State, ev deploy.Event) string {
	where := boundary(st, ev)
	if step, ok := st.StepAt(ev.Step); ok && (ev.Kind == deploy.KindStarted || ev.Kind == deploy.KindDone) {
		where += fmt.Sprint(" ", step.Hosts)
	}
	if st.Undo != nil {
		where = "undo: " + where
	}
	return where
}

// endsWhole wants the deploy to have succeeded or to be taken back, the very same
// version everywhere, and everybody in traffic.
func (f *fleet) endsWhole(r *rig, st deploy.State, version string) {
	f.t.Helper()
	switch st.Ending {
	case deploy.Succeeded:
	case deploy.Reverted, deploy.Failed:
		version = "v1"
	default:
		f.t.Errorf("%s is %s %s (%v, %v), want completed or reverted", st.ID, st.Phase, st.Ending, st.Err, st.Stuck)
	}
	f.mustRun(version, f.Hosts...)
	f.SLB.awaitUp(len(f.Hosts))
	f.mustReportWhoIsOut(r)
}
