package deploy_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// folded gives the environment after every event of a story, beginning with one.
func folded(l deploy.Live, s *story) deploy.Live {
	var st deploy.State
	for _, ev := range s.events {
		st = st.Apply(ev)
		l = deploy.FoldEnv(l, st, ev)
	}
	return l
}

// lively tells a story of the world with the evidence that drivers give.
func lively(t rapid.TB, w *world) *story {
	t.Helper()
	s := planned(t, w)
	for {
		step, ok := s.state.StepAt(s.state.Next)
		if !ok {
			return s
		}
		s.do(w.proof(step))
	}
}

// proof is what a driver sees once a step is true.
func (w *world) proof(step deploy.Step) *deploy.Evidence {
	name := "?"
	if !step.Release.IsZero() {
		name = step.Release.Commit.SHA[:1]
	}
	switch step.Op {
	case deploy.OpBuild:
		built := w.release(name)
		return &deploy.Evidence{Release: &built}
	case deploy.OpStart:
		return &deploy.Evidence{Instances: w.instances(step.Slot, name, pidOf(step.Slot))}
	case deploy.OpCheck:
		return &deploy.Evidence{Instances: passed(w.instances(step.Slot, name, pidOf(step.Slot)))}
	case deploy.OpRoute:
		return &deploy.Evidence{Traffic: &deploy.Traffic{Up: up(step), File: "/etc/nginx/shop.conf", SHA256: "file-" + name}}
	}
	return nil
}

// conclude ends a story with the report that the engine would write.
func (s *story) conclude(l deploy.Live, e deploy.Ending) deploy.Live {
	s.t.Helper()
	l = folded(l, s)
	r := deploy.Conclude(s.state, l, e, noon())
	s.add(deploy.Event{Kind: deploy.KindEnded, Ending: e, Report: &r})
	return deploy.FoldEnv(l, s.state, s.events[len(s.events)-1])
}

func TestASucceededDeployIsLiveWithTheOldSlotWarm(t *testing.T) {
	w := usual()
	l := lively(t, w).conclude(w.live, deploy.Succeeded)
	b := w.release("b")
	if l.Release != b || l.Slot != deploy.Green || l.Deploy != 9 || l.By != ann() || l.Since.IsZero() {
		t.Errorf("live: %+v", l)
	}
	if l.Warm == nil || l.Warm.Slot != deploy.Blue || l.Warm.Release != w.release("a") {
		t.Errorf("warm: %+v", l.Warm)
	}
	if l.Known != "file-b" || l.Active != 0 || l.Ends != 1 {
		t.Errorf("known %q, active %s, ends %d", l.Known, l.Active, l.Ends)
	}
	if got := l.Slots[deploy.Green]; got.Release != b || len(got.Instances) != 1 || !got.Instances[0].Passed {
		t.Errorf("green: %+v", got)
	}
	if len(l.Good) != 2 || l.Good[0].Release != b || l.Good[0].Deploy != 9 || l.Good[1].Release != w.release("a") {
		t.Errorf("good: %+v", l.Good)
	}
}

func TestADeployHoldsItsEnvironmentFromTheClaimToTheEnd(t *testing.T) {
	s := begin(t, deploy.Request{Want: deploy.WantDeploy, Commit: sha("b")})
	if l := folded(deploy.Live{}, s); l.Active != 0 || l.Target != target() || l.Seq != 101 {
		t.Errorf("requested: %+v", l)
	}
	s.add(deploy.Event{Kind: deploy.KindClaimed})
	if l := folded(deploy.Live{}, s); l.Active != 9 {
		t.Errorf("claimed: %+v", l)
	}
	s.end(deploy.Cancelled)
	if l := folded(deploy.Live{}, s); l.Active != 0 || l.Ends != 1 {
		t.Errorf("ended: %+v", l)
	}
	other := deploy.FoldEnv(deploy.Live{Active: 4}, s.state, s.events[2])
	if other.Active != 4 {
		t.Errorf("the end of #9 freed the environment of %s", other.Active)
	}
}

func TestALeaseLastsUntilItsSlotIsCleared(t *testing.T) {
	w := usual()
	w.keeps(deploy.Green, "c")
	s := planned(t, w)
	s.until(deploy.OpRetire)
	if l := folded(w.live, s); l.Warm == nil {
		t.Error("the lease ended too early")
	}
	s.start()
	if l := folded(w.live, s); l.Warm == nil {
		t.Error("nobody would stop the slot again if this attempt fails")
	}
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next})
	if l := folded(w.live, s); len(l.Slots) != 1 || l.Warm != nil {
		t.Errorf("a cleared slot is remembered: %+v, %+v", l.Slots, l.Warm)
	}
}

func TestAFlipToTheWarmSlotEndsItsLease(t *testing.T) {
	w := worlds()["flip"]
	s := planned(t, w)
	for range 2 {
		step, _ := s.state.StepAt(s.state.Next)
		s.do(w.proof(step))
	}
	l := folded(w.live, s)
	if l.Warm != nil || l.Slot != deploy.Blue || l.Release.Key() != w.release("a").Key() {
		t.Errorf("%+v", l)
	}
}

func TestARevertLeavesAndMarksTheReleaseAndARouteBackIsNoNewRelease(t *testing.T) {
	w := usual()
	s := planned(t, w)
	for step, _ := s.state.StepAt(s.state.Next); step.Op != deploy.OpBake; step, _ = s.state.StepAt(s.state.Next) {
		s.do(w.proof(step))
	}
	if l := folded(w.live, s); l.Slot != deploy.Green {
		t.Fatalf("after the switch: %+v", l)
	}
	s.fail(unhealthy(deploy.OpBake))
	s.back(deploy.Reverted)
	for step, ok := s.state.StepAt(0); ok; step, ok = s.state.StepAt(s.state.Next) {
		s.do(w.proof(step))
	}
	l := s.conclude(w.live, deploy.Reverted)
	if l.Slot != deploy.Blue || l.Release != w.release("a") || l.Warm != nil {
		t.Errorf("after the revert: %+v", l)
	}
	if !l.IsBad(w.release("b")) || !l.IsLeft(w.release("b")) || l.IsBad(w.release("a")) || l.IsLeft(w.release("a")) {
		t.Errorf("bad %v, left %v", l.Bad, l.Left)
	}
	if len(l.Slots) != 1 || l.Known != "file-a" {
		t.Errorf("slots %+v, known %q", l.Slots, l.Known)
	}
}

func TestASuccessForgivesTheRelease(t *testing.T) {
	w := usual()
	w.live.Bad, w.live.Left = []string{w.release("b").Key(), "other"}, []string{w.release("b").Key()}
	w.want(deploy.Request{Want: deploy.WantDeploy, Commit: sha("b"), Force: "it is fixed", By: ann()})
	l := lively(t, w).conclude(w.live, deploy.Succeeded)
	if l.IsBad(w.release("b")) || l.IsLeft(w.release("b")) || len(l.Bad) != 1 {
		t.Errorf("bad %v, left %v", l.Bad, l.Left)
	}
}

func TestAnAcceptedFileIsTheKnownOne(t *testing.T) {
	w := usual()
	w.live.Known = "file-1"
	w.want(deploy.Request{Want: deploy.WantAccept, By: ann()})
	s := planned(t, w)
	s.do(&deploy.Evidence{Traffic: &deploy.Traffic{File: "/etc/nginx/shop.conf", SHA256: "file-2"}})
	l := s.conclude(w.live, deploy.Succeeded)
	if l.Known != "file-2" || l.Slot != deploy.Blue || len(l.Good) != 1 || l.Good[0].Deploy == 9 && l.Deploy != 5 {
		t.Errorf("%+v", l)
	}
}

func TestAnAcceptTakesTheSlotThatHasTrafficAsTheLiveOne(t *testing.T) {
	for name, c := range map[string]struct {
		up   []string
		slot deploy.Slot
		live string
	}{
		"as before":  {[]string{"10.0.0.1:8080"}, deploy.Blue, "a"},
		"moved":      {[]string{"10.0.0.1:8081"}, deploy.Green, "b"},
		"both":       {[]string{"10.0.0.1:8080", "10.0.0.1:8081"}, deploy.Blue, "a"},
		"a stranger": {[]string{"10.9.9.9:80"}, deploy.Blue, "a"},
		"not told":   {nil, deploy.Blue, "a"},
	} {
		w := usual()
		w.keeps(deploy.Green, "b")
		w.want(deploy.Request{Want: deploy.WantAccept, By: ann()})
		s := planned(t, w)
		s.do(&deploy.Evidence{Traffic: &deploy.Traffic{Up: c.up, File: "/etc/nginx/shop.conf", SHA256: "file-2"}})
		l := folded(w.live, s)
		if l.Slot != c.slot || l.Release.Key() != w.release(c.live).Key() || l.Warm == nil || l.Warm.Slot != c.slot.Other() {
			t.Errorf("%s: %s is live on %s, warm %+v", name, l.Release.Commit.Short(), l.Slot, l.Warm)
		}
	}
}

func TestAnAbandonedDeployLeavesWhatWasObserved(t *testing.T) {
	w := usual()
	s := planned(t, w)
	seen := deploy.Report{
		Observed: true, Serving: w.release("c"), Slot: deploy.Green,
		Slots: map[deploy.Slot]deploy.SlotState{deploy.Green: {Release: w.release("c")}},
	}
	s.order(deploy.KindAbandon)
	s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Abandoned, Report: &seen})
	w.live.Warm = &deploy.Lease{Slot: deploy.Green}
	l := folded(w.live, s)
	if l.Slot != deploy.Green || l.Release != w.release("c") || len(l.Slots) != 1 || l.Warm != nil {
		t.Errorf("%+v", l)
	}
}

func TestTheEnvironmentRemembersFiftyReleasesNewestFirst(t *testing.T) {
	l := deploy.Live{}
	app := newWorld().app
	for i := range 60 {
		rel := deploy.NewRelease(app, deploy.Commit{SHA: fmt.Sprintf("%040x", i+1)})
		st := deploy.State{ID: deploy.ID(i + 1), Plan: &deploy.Plan{Release: rel, Steps: make([]deploy.Step, 1)}}
		report := deploy.Report{Failed: []deploy.Release{rel}, Left: []deploy.Release{rel}}
		l = deploy.FoldEnv(l, st, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Failed, Report: &report})
		l = deploy.FoldEnv(l, st, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Failed, Report: &report})
		l = deploy.FoldEnv(l, deploy.State{Plan: st.Plan}, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Deploy: st.ID, At: noon().Add(time.Duration(i)), Report: &deploy.Report{}})
		if l.IsBad(rel) || l.IsLeft(rel) {
			t.Fatal("a release that succeeded is still marked")
		}
		l = deploy.FoldEnv(l, st, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Failed, Report: &report})
	}
	if len(l.Good) != 50 || len(l.Bad) != 50 || len(l.Left) != 50 {
		t.Fatalf("%d good, %d bad, %d left", len(l.Good), len(l.Bad), len(l.Left))
	}
	if l.Good[0].Deploy != 60 || l.Good[49].Deploy != 11 || l.Bad[0] == l.Bad[1] {
		t.Errorf("good from %s to %s", l.Good[0].Deploy, l.Good[49].Deploy)
	}
}
