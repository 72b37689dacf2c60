package deploy_test

import (
	"strings"
	"testing"

	"ipublish/deploy"
)

// situation is a story and what Decide has to say at its end.
type situation struct {
	name   string
	world  *world // nil: the usual one
	tell   func(s *story)
	act    deploy.Act
	ending deploy.Ending
	code   deploy.Code
	says   string // part of the reason
}

func TestDecideIsThePolicyOfARunningDeploy(t *testing.T) {
	for _, c := range append(append(onTheWay(), goingWrong()...), heldForPeople()...) {
		t.Run(c.name, func(t *testing.T) {
			w := c.world
			if w == nil {
				w = usual()
			}
			s := planned(t, w)
			c.tell(s)
			before := text(t, s.state)
			d := deploy.Decide(s.state)
			if d.Act != c.act || d.Ending != c.ending || d.Err != nil && d.Err.Code != c.code || d.Err == nil && c.code != "" {
				t.Fatalf("decides %+v, want %s %s %s", d, c.act, c.ending, c.code)
			}
			if c.says != "" && (d.Err == nil || !strings.Contains(d.Err.Message, c.says)) {
				t.Fatalf("says %v, want %q", d.Err, c.says)
			}
			if after := text(t, s.state); after != before {
				t.Fatal("the decision changed the state")
			}
		})
	}
}

func onTheWay() []situation {
	cancel := func(s *story) { s.order(deploy.KindCancel) }
	return []situation{
		{name: "a fresh plan", tell: func(*story) {}, act: deploy.ActRun},
		{name: "started and not done, as after a crash", tell: func(s *story) { s.start() }, act: deploy.ActRun},
		{name: "between two steps", tell: func(s *story) { s.do(nil) }, act: deploy.ActRun},
		{name: "baking", tell: func(s *story) { s.until(deploy.OpBake); s.start() }, act: deploy.ActRun},
		{name: "all done", tell: func(s *story) { s.all() }, act: deploy.ActEnd, ending: deploy.Succeeded},
		{name: "ended", tell: func(s *story) { s.all(); s.end(deploy.Succeeded) }, act: deploy.ActExit},
		{name: "cancelled before anything", tell: cancel, act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "cancelled before the switch", tell: func(s *story) { s.until(deploy.OpRoute); cancel(s) }, act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "cancelled within the switch", tell: func(s *story) { s.until(deploy.OpRoute); s.start(); cancel(s) }, act: deploy.ActUndo, ending: deploy.Reverted},
		{name: "cancelled while baking", tell: func(s *story) { s.until(deploy.OpBake); cancel(s) }, act: deploy.ActUndo, ending: deploy.Reverted},
		{name: "cancelled after bake", tell: func(s *story) { s.until(deploy.OpDrain); cancel(s) }, act: deploy.ActRun},
		{name: "the first deploy cancelled while baking", world: newWorld(), tell: func(s *story) { s.until(deploy.OpBake); cancel(s) },
			act: deploy.ActHold, code: deploy.CodeHold, says: "no earlier release"},
		{name: "the first deploy cancelled before the switch", world: newWorld(), tell: func(s *story) { s.until(deploy.OpRoute); cancel(s) },
			act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "abandoned", tell: func(s *story) { s.order(deploy.KindAbandon) }, act: deploy.ActAbandon, ending: deploy.Abandoned},
		{name: "abandoned while undoing", tell: func(s *story) { s.fail(unhealthy(deploy.OpFetch)); s.back(deploy.Failed); s.order(deploy.KindAbandon) },
			act: deploy.ActAbandon, ending: deploy.Abandoned},
	}
}

func goingWrong() []situation {
	rollback := worlds()["flip"]
	stubborn := usual()
	stubborn.env.AutoRevert = false
	bake := func(s *story) { s.until(deploy.OpBake); s.fail(unhealthy(deploy.OpBake)) }
	return []situation{
		{name: "a failed step before the switch", tell: func(s *story) { s.until(deploy.OpCheck); s.fail(unhealthy(deploy.OpCheck)) },
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "a failed switch", tell: func(s *story) { s.until(deploy.OpRoute); s.fail(&deploy.Error{Code: deploy.CodeFailed, Op: "route"}) },
			act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeFailed},
		{name: "a bad verdict while baking", tell: bake, act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "a bad verdict, auto_revert is off", world: stubborn, tell: bake, act: deploy.ActHold, code: deploy.CodeHold, says: "auto_revert is off"},
		{name: "a bad verdict, auto_revert is off, a person cancelled", world: stubborn, tell: func(s *story) { s.order(deploy.KindCancel); bake(s) },
			act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "auto_revert is off, before the switch", world: stubborn, tell: func(s *story) { s.fail(unhealthy(deploy.OpFetch)) },
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "the first deploy's bad verdict", world: newWorld(), tell: bake, act: deploy.ActHold, code: deploy.CodeHold, says: "no earlier release"},
		{name: "the first deploy fails before the switch", world: newWorld(), tell: func(s *story) { s.fail(unhealthy(deploy.OpFetch)) },
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "a rollback goes wrong", world: rollback, tell: bake, act: deploy.ActHold, code: deploy.CodeHold, says: "does not revert itself"},
		{name: "a rollback fails before the switch", world: rollback, tell: func(s *story) { s.fail(unhealthy(deploy.OpCheck)) },
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "a failure that asks to hold", tell: func(s *story) { s.fail(&deploy.Error{Code: deploy.CodeHold, Message: "both fail"}) },
			act: deploy.ActHold, code: deploy.CodeHold, says: "both fail"},
		{name: "a retire fails", world: retiring(), tell: func(s *story) { s.fail(&deploy.Error{Code: deploy.CodeUnavailable, Op: "stop"}) },
			act: deploy.ActEnd, ending: deploy.Failed, code: deploy.CodeUnavailable},
		{name: "the first deploy's switch fails", world: newWorld(), tell: func(s *story) { s.until(deploy.OpRoute); s.fail(&deploy.Error{Code: deploy.CodeFailed, Op: "route"}) },
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeFailed},
		{name: "the switch fails where nothing of the old release was left", world: rebooted(), tell: func(s *story) { s.until(deploy.OpRoute); s.fail(&deploy.Error{Code: deploy.CodeFailed, Op: "route"}) },
			act: deploy.ActHold, code: deploy.CodeHold, says: "no earlier release"},
		{name: "a failure after bake", tell: func(s *story) { s.until(deploy.OpDrain); s.fail(&deploy.Error{Code: deploy.CodeTimeout, Op: "drain"}) },
			act: deploy.ActHold, code: deploy.CodeTimeout},
	}
}

// retiring is a world in which the lease of the warm slot ran out.
func retiring() *world {
	w := worlds()["flip"]
	w.want(deploy.Request{Want: deploy.WantRetire, By: deploy.SystemActor()})
	return w
}

// rebooted is a world in which the live release is not running any more.
func rebooted() *world {
	w := usual()
	w.obs.Slots[deploy.Blue] = nil
	return w
}

func heldForPeople() []situation {
	stuck := func(s *story) { s.add(deploy.Event{Kind: deploy.KindStuck, Err: unhealthy(deploy.OpFetch)}) }
	reverting := func(s *story) {
		s.until(deploy.OpBake)
		s.fail(unhealthy(deploy.OpBake))
		s.back(deploy.Reverted)
	}
	return []situation{
		{name: "the way back, step by step", tell: reverting, act: deploy.ActRun},
		{name: "the way back, done", tell: func(s *story) { reverting(s); s.all() }, act: deploy.ActEnd, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "the way back fails", tell: func(s *story) { reverting(s); s.fail(unhealthy(deploy.OpCheck)) }, act: deploy.ActHold, code: deploy.CodeUnhealthy},
		{name: "the way back is not cancelled", tell: func(s *story) { reverting(s); s.order(deploy.KindCancel) }, act: deploy.ActRun},
		{name: "held", tell: stuck, act: deploy.ActWait},
		{name: "held, then resumed", tell: func(s *story) { stuck(s); s.order(deploy.KindResume) }, act: deploy.ActRun},
		{name: "held, then cancelled", tell: func(s *story) { s.start(); stuck(s); s.order(deploy.KindCancel) }, act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "held while baking, then cancelled", tell: func(s *story) { s.until(deploy.OpBake); stuck(s); s.order(deploy.KindCancel) },
			act: deploy.ActUndo, ending: deploy.Reverted},
		{name: "the first deploy held while baking, then cancelled", world: newWorld(), tell: func(s *story) { s.until(deploy.OpBake); stuck(s); s.order(deploy.KindCancel) },
			act: deploy.ActWait},
		{name: "an order that could not be followed, then resumed", world: newWorld(), tell: func(s *story) {
			s.until(deploy.OpBake)
			s.order(deploy.KindCancel)
			stuck(s)
			s.order(deploy.KindResume)
		}, act: deploy.ActRun},
		{name: "held after bake, then cancelled", tell: func(s *story) { s.until(deploy.OpDrain); stuck(s); s.order(deploy.KindCancel) }, act: deploy.ActWait},
		{name: "held on the way back, then cancelled", tell: func(s *story) { reverting(s); s.fail(unhealthy(deploy.OpCheck)); stuck(s); s.order(deploy.KindCancel) },
			act: deploy.ActWait},
		{name: "held on the way back, then resumed", tell: func(s *story) { reverting(s); s.fail(unhealthy(deploy.OpCheck)); stuck(s); s.order(deploy.KindResume) },
			act: deploy.ActRun},
		{name: "held, then abandoned", tell: func(s *story) { stuck(s); s.order(deploy.KindAbandon) }, act: deploy.ActAbandon, ending: deploy.Abandoned},
	}
}

func TestDecideBeforeThereIsAPlan(t *testing.T) {
	s := stages()["claimed"](t)
	if d := deploy.Decide(s.state); d.Act != deploy.ActPlan {
		t.Errorf("claimed: %+v", d)
	}
	s.add(deploy.Event{Kind: deploy.KindStuck, Err: unhealthy(deploy.OpCheck)})
	if d := deploy.Decide(s.state); d.Act != deploy.ActWait {
		t.Errorf("held: %+v", d)
	}
	s.order(deploy.KindCancel)
	if d := deploy.Decide(s.state); d.Act != deploy.ActEnd || d.Ending != deploy.Cancelled {
		t.Errorf("held and cancelled: %+v", d)
	}
	s = stages()["claimed"](t)
	s.order(deploy.KindCancel)
	if d := deploy.Decide(s.state); d.Act != deploy.ActEnd || d.Ending != deploy.Cancelled {
		t.Errorf("cancelled: %+v", d)
	}
}

func TestAPlanWithoutStepsEndsAtOnce(t *testing.T) {
	w := usual()
	w.want(deploy.Request{Want: deploy.WantDeploy, Commit: sha("a"), By: ann()})
	s := planned(t, w)
	if d := deploy.Decide(s.state); d.Act != deploy.ActEnd || d.Ending != deploy.Succeeded {
		t.Errorf("%+v", d)
	}
}
