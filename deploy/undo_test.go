package deploy_test

import (
	"fmt"
	"slices"
	"testing"

	"ipublish/deploy"
)

// worlds are those in which undoing differs.
func worlds() map[string]*world {
	first := newWorld()
	two := newWorld()
	two.hosts(2)
	two.serves(deploy.Blue, "a")
	at := newWorld()
	at.env.BlueGreen.KeepOld = 0
	at.serves(deploy.Blue, "a")
	flip := newWorld()
	flip.serves(deploy.Green, "b")
	flip.live.Good = append(flip.live.Good, deploy.Past{Release: flip.release("a")})
	flip.keeps(deploy.Blue, "a")
	flip.want(deploy.Request{Want: deploy.WantRollback, By: ann()})
	verified := usual()
	verified.env.Verify = &deploy.Verify{URL: "http://shop.example.com/"}
	return map[string]*world{"first": first, "usual": usual(), "two hosts": two, "stop at once": at, "flip": flip, "with verify": verified}
}

// A crash, a failure or a cancel can come before, within and after every step:
// the way back is right at each of them.
func TestTheWayBackFromEveryPointNeverTouchesTheOldSlot(t *testing.T) {
	for name, w := range worlds() {
		for i := range len(w.mustPlan(t).Steps) {
			for _, how := range []string{"started", "failed", "done"} {
				t.Run(fmt.Sprintf("%s/step %d %s", name, i+1, how), func(t *testing.T) {
					s := planned(t, w)
					for range i {
						s.do(nil)
					}
					step, _ := s.state.StepAt(s.state.Next)
					switch how {
					case "started":
						s.start()
					case "failed":
						s.fail(unhealthy(step.Op))
					case "done":
						s.do(nil)
					}
					wayBack(t, s.state)
				})
			}
		}
	}
}

// wayBack checks the undo plan of a state against what its journal says was begun.
func wayBack(t *testing.T, st deploy.State) {
	t.Helper()
	undo := deploy.Undo(st)
	var ops []deploy.Op
	for i, s := range undo.Steps {
		ops = append(ops, s.Op)
		if s.Limit <= 0 {
			t.Errorf("step %d (%s) has no limit", i, s.Op)
		}
		if s.Op == deploy.OpStop && (s.Slot != st.Plan.Slot || s.Home == "" || s.Port == 0 || s.Stop == 0) {
			t.Errorf("stops %q (port %d, home %q)", s.Slot, s.Port, s.Home)
		}
		if s.Op == deploy.OpRetire || s.Op == deploy.OpStart {
			t.Errorf("step %d is %s", i, s.Op)
		}
		if s.Op == deploy.OpRoute {
			onlyOld(t, st, s)
		}
	}
	if undo.Commit != -1 || undo.Baked != -1 {
		t.Errorf("the way back has marks: %d, %d", undo.Commit, undo.Baked)
	}
	if want := wanted(st); !slices.Equal(ops, want) {
		t.Errorf("the way back is %v, want %v", ops, want)
	}
	if deploy.Moved(st) != begun(st, deploy.OpRoute) {
		t.Errorf("moved is %v", deploy.Moved(st))
	}
}

// wanted is the way back as DESIGN has it: the old slot is proven ready, gets
// traffic, the new one is drained and then stopped, each only where it is due.
func wanted(st deploy.State) []deploy.Op {
	var ops []deploy.Op
	moved := begun(st, deploy.OpRoute) && st.Plan.OldSlot != ""
	if moved {
		ops = append(ops, deploy.OpCheck, deploy.OpRoute, deploy.OpDrain)
	}
	if moved || begun(st, deploy.OpStart) {
		ops = append(ops, deploy.OpStop)
	}
	return ops
}

func begun(st deploy.State, op deploy.Op) bool {
	for i, s := range st.Plan.Steps {
		if s.Op == op && st.Outcomes.At(i).Attempts > 0 {
			return true
		}
	}
	return false
}

func onlyOld(t *testing.T, st deploy.State, s deploy.Step) {
	t.Helper()
	if s.Slot != st.Plan.OldSlot || s.Release.Key() != st.Plan.Old.Key() || len(up(s)) != len(st.Plan.Settings.Hosts) {
		t.Errorf("routes %s to %q: %v", s.Release.Key(), s.Slot, up(s))
	}
	for _, e := range s.Targets {
		if e.Up != (e.Slot == st.Plan.OldSlot) || e.Spare {
			t.Errorf("%s is up %v, spare %v", e.Addr, e.Up, e.Spare)
		}
	}
}

func TestTheOldSlotIsCheckedAsWhatItIs(t *testing.T) {
	w := usual()
	s := planned(t, w)
	s.until(deploy.OpBake)
	s.fail(unhealthy(deploy.OpBake))
	check := deploy.Undo(s.state).Steps[0]
	want := w.live.Slots[deploy.Blue].Release.Key()
	if check.Slot != deploy.Blue || check.Port != 8080 || check.Release.Key() != want || check.Hold != 0 || len(check.Targets) != 0 {
		t.Errorf("checks %+v", check)
	}
	if check.Home != "/srv/ipublish/shop/production/blue" || check.Dir != "/srv/ipublish/shop/production/releases/"+want {
		t.Errorf("checks in %s, home %s", check.Dir, check.Home)
	}
}

func TestTheNewSlotGetsThePlansDrainTimeOnTheWayBack(t *testing.T) {
	s := planned(t, usual())
	s.until(deploy.OpBake)
	s.fail(unhealthy(deploy.OpBake))
	drain := deploy.Undo(s.state).Steps[2]
	if drain.Op != deploy.OpDrain || drain.Slot != deploy.Green || drain.Port != 8081 || drain.Hold != seconds(30) || drain.Limit <= drain.Hold {
		t.Errorf("drains %+v", drain)
	}
	onlyOld(t, s.state, deploy.Undo(s.state).Steps[1])
}

func TestWithoutAPlanThereIsNothingToUndo(t *testing.T) {
	s := stages()["claimed"](t)
	if p := deploy.Undo(s.state); len(p.Steps) != 0 || p.Commit != -1 || p.Baked != -1 || deploy.Moved(s.state) {
		t.Errorf("%+v", p)
	}
}

func TestASwitchThatWasLookedAtAndNotSeenMovedNothing(t *testing.T) {
	for name, c := range map[string]struct {
		up    []string // seen after the failure; none: nobody could look
		moved bool
	}{
		"nobody could look":   {nil, true},
		"the old slot serves": {[]string{"10.0.0.1:8080"}, false},
		"the new slot serves": {[]string{"10.0.0.1:8081"}, true},
		"both have traffic":   {[]string{"10.0.0.1:8080", "10.0.0.1:8081"}, true},
		"something else does": {[]string{"10.9.9.9:80"}, false},
	} {
		s := planned(t, usual())
		s.until(deploy.OpRoute)
		s.start()
		var seen *deploy.Evidence
		if c.up != nil {
			seen = &deploy.Evidence{Traffic: &deploy.Traffic{Up: c.up}}
		}
		s.add(deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Evidence: seen, Err: &deploy.Error{Code: deploy.CodeFailed, Op: "route"}})
		if got := deploy.Moved(s.state); got != c.moved {
			t.Errorf("%s: moved %v", name, got)
		}
		if d := deploy.Decide(s.state); d.Act != deploy.ActUndo || (d.Ending == deploy.Reverted) != c.moved {
			t.Errorf("%s: decides %+v", name, d)
		}
		wayBackRoutes(t, name, s.state)
	}
}

// wayBackRoutes: whatever was seen, a begun switch is made undone for certain.
func wayBackRoutes(t *testing.T, name string, st deploy.State) {
	t.Helper()
	if !slices.Equal(wanted(st), []deploy.Op{deploy.OpCheck, deploy.OpRoute, deploy.OpDrain, deploy.OpStop}) {
		t.Fatalf("%s: the test's own expectation is %v", name, wanted(st))
	}
	var ops []deploy.Op
	for _, s := range deploy.Undo(st).Steps {
		ops = append(ops, s.Op)
	}
	if !slices.Equal(ops, wanted(st)) {
		t.Errorf("%s: the way back is %v", name, ops)
	}
}

func TestASwitchThatAnEditedFileForbadeIsNotTriedBackwards(t *testing.T) {
	for _, seen := range []string{"10.0.0.1:8080", "10.0.0.1:8081"} {
		s := planned(t, usual())
		s.until(deploy.OpRoute)
		s.start()
		s.add(deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Err: &deploy.Error{Code: deploy.CodeDrift, Op: "route"},
			Evidence: &deploy.Evidence{Traffic: &deploy.Traffic{Up: []string{seen}}}})
		var ops []deploy.Op
		for _, step := range deploy.Undo(s.state).Steps {
			ops = append(ops, step.Op)
		}
		want := []deploy.Op{deploy.OpStop}
		if seen == "10.0.0.1:8081" {
			want = []deploy.Op{deploy.OpCheck, deploy.OpRoute, deploy.OpDrain, deploy.OpStop}
		}
		if !slices.Equal(ops, want) {
			t.Errorf("with %s in traffic the way back is %v, want %v", seen, ops, want)
		}
	}
}
