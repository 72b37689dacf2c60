package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

// verdictOn is what is decided about a step that failed on a host: each of the
// configured answers, in a world where one host may be left behind or none.
type verdictOn struct {
	failure string // of the host, of the release, or of the release and touched before
	answer  deploy.OnFailure
	room    int
	act     deploy.Act
	ending  deploy.Ending
	says    string
}

func TestAFailureOnAHostIsAnsweredAsConfigured(t *testing.T) {
	revert, stop, skip := deploy.OnFailureRevert, deploy.OnFailureStop, deploy.OnFailureSkip
	over, held := "max_failed_hosts is 0", "on_host_failure is stop"
	for _, c := range []verdictOn{
		// A host that cannot be worked on is no fault of the release.
		{"host, nothing touched", revert, 1, deploy.ActSkip, "", ""},
		{"host, nothing touched", stop, 1, deploy.ActSkip, "", ""},
		{"host, nothing touched", skip, 1, deploy.ActSkip, "", ""},
		{"host, nothing touched", revert, 0, deploy.ActUndo, deploy.Failed, ""},
		{"host, nothing touched", stop, 0, deploy.ActUndo, deploy.Failed, ""},
		{"host, nothing touched", skip, 0, deploy.ActUndo, deploy.Failed, ""},
		{"host, after another", revert, 1, deploy.ActSkip, "", ""},
		{"host, after another", stop, 1, deploy.ActSkip, "", ""},
		{"host, after another", skip, 1, deploy.ActSkip, "", ""},
		{"host, after another", revert, 0, deploy.ActHold, "", over},
		{"host, after another", stop, 0, deploy.ActHold, "", over},
		{"host, after another", skip, 0, deploy.ActHold, "", over},
		// What the release does wrong is judged.
		{"release, on the first host", revert, 1, deploy.ActUndo, deploy.Failed, ""},
		{"release, on the first host", stop, 1, deploy.ActHold, "", held},
		{"release, on the first host", skip, 1, deploy.ActSkip, "", ""},
		{"release, on the first host", revert, 0, deploy.ActUndo, deploy.Failed, ""},
		{"release, on the first host", stop, 0, deploy.ActHold, "", held},
		{"release, on the first host", skip, 0, deploy.ActHold, "", over},
		{"release, after another", revert, 1, deploy.ActUndo, deploy.Reverted, ""},
		{"release, after another", stop, 1, deploy.ActHold, "", held},
		{"release, after another", skip, 1, deploy.ActSkip, "", ""},
		{"release, after another", revert, 0, deploy.ActUndo, deploy.Reverted, ""},
		{"release, after another", stop, 0, deploy.ActHold, "", held},
		{"release, after another", skip, 0, deploy.ActHold, "", over},
		// What no host did: the front door, a program beside the bot.
		{"nobody's, nothing touched", skip, 1, deploy.ActUndo, deploy.Failed, ""},
		{"nobody's, after another", revert, 1, deploy.ActUndo, deploy.Reverted, ""},
		{"nobody's, after another", stop, 1, deploy.ActHold, "", held},
		{"nobody's, after another", skip, 1, deploy.ActUndo, deploy.Reverted, ""},
	} {
		name := fmt.Sprintf("%s/%s/%d may be left", c.failure, c.answer, c.room)
		t.Run(name, func(t *testing.T) {
			s := planned(t, rolls(t, "hosts 3", fmt.Sprintf("rolling floor=1 failure=%s failed=%d", c.answer, c.room), "fleet a", "want deploy b"))
			strike(s, c.failure)
			code := deploy.CodeHold
			if c.act != deploy.ActHold {
				code = s.state.Trouble.Code
			}
			decides(t, s, situation{act: c.act, ending: c.ending, code: code, says: c.says})
		})
	}
}

// strike lets the failure happen.
func strike(s *story, failure string) {
	switch failure {
	case "host, nothing touched":
		s.until(deploy.OpStage)
		s.failOn(deploy.CodeFailed, "web-2")
	case "host, after another":
		s.reach(deploy.OpDrain, "web-2")
		s.failOn(deploy.CodeUnavailable, "web-2")
	case "release, on the first host":
		s.reach(deploy.OpCheck, "web-1")
		s.failOn(deploy.CodeUnhealthy, "web-1")
	case "release, after another":
		s.reach(deploy.OpStart, "web-2")
		s.failOn(deploy.CodeFailed, "web-2")
	case "nobody's, nothing touched":
		s.until(deploy.OpBuild)
		s.fail(&deploy.Error{Code: deploy.CodeFailed, Op: "build"})
	case "nobody's, after another":
		s.reach(deploy.OpIn, "web-2")
		s.fail(&deploy.Error{Code: deploy.CodeUnhealthy, Op: "in"})
	default:
		s.t.Fatalf("nobody knows how %q happens", failure)
	}
}

// decides checks what Decide says at the end of a story.
func decides(t *testing.T, s *story, c situation) {
	t.Helper()
	before := text(t, s.state)
	d := deploy.Decide(s.state)
	if d.Act != c.act || d.Ending != c.ending || d.Err != nil && d.Err.Code != c.code || d.Err == nil && c.code != "" {
		t.Errorf("decides %s %s (%v), want %s %s %s", d.Act, d.Ending, d.Err, c.act, c.ending, c.code)
	}
	if c.says != "" && (d.Err == nil || !strings.Contains(d.Err.Message, c.says)) {
		t.Errorf("says %v, want %q", d.Err, c.says)
	}
	if after := text(t, s.state); after != before {
		t.Error("the decision changed the state")
	}
}

func TestWhatAHostDidAndWhatTheReleaseDidIsToldApartByTheStepAndTheCode(t *testing.T) {
	for _, c := range []struct {
		op   deploy.Op
		code deploy.Code
		host bool
	}{
		{deploy.OpStage, deploy.CodeFailed, true}, {deploy.OpStage, deploy.CodeUnavailable, true}, {deploy.OpStage, deploy.CodeTimeout, true},
		{deploy.OpOut, deploy.CodeUnavailable, true}, {deploy.OpOut, deploy.CodeFailed, true}, {deploy.OpOut, deploy.CodeTimeout, true},
		{deploy.OpDrain, deploy.CodeUnavailable, true}, {deploy.OpStop, deploy.CodeFailed, true}, {deploy.OpStop, deploy.CodeTimeout, true},
		{deploy.OpStart, deploy.CodeUnavailable, true}, {deploy.OpStart, deploy.CodeRefused, true}, {deploy.OpStart, deploy.CodeTimeout, true},
		{deploy.OpStart, deploy.CodeFailed, false}, {deploy.OpStart, deploy.CodeInvalid, false}, {deploy.OpStart, deploy.CodeForeign, false},
		{deploy.OpCheck, deploy.CodeUnavailable, true}, {deploy.OpCheck, deploy.CodeUnhealthy, false},
		{deploy.OpHook, deploy.CodeFailed, false}, {deploy.OpHook, deploy.CodeTimeout, false}, {deploy.OpHook, deploy.CodeUnavailable, true},
		{deploy.OpIdle, deploy.CodeFailed, false},
		{deploy.OpIn, deploy.CodeTimeout, true}, {deploy.OpIn, deploy.CodeUnhealthy, false}, {deploy.OpBake, deploy.CodeUnhealthy, false},
	} {
		w := rolls(t, "hosts 3", "rolling floor=1 failure=revert failed=1 bake=30s", "hooks", "fleet a", "want deploy b")
		w.app.Hooks.SmokeTest.On, w.app.Hooks.Migrate = deploy.OnHosts, deploy.Hook{}
		s := planned(t, w)
		s.until(c.op)
		s.failOn(c.code, "web-1")
		if got := deploy.Decide(s.state).Act == deploy.ActSkip; got != c.host {
			t.Errorf("%s of %s is the host's doing: %v, want %v", c.code, c.op, got, c.host)
		}
	}
}

func TestOneBadReleaseAmongSeveralHostFailuresIsTheReleases(t *testing.T) {
	s := planned(t, rolls(t, "hosts 4", "rolling parallel=2 floor=1 failed=2", "fleet a", "want deploy b"))
	s.until(deploy.OpCheck)
	s.failOn(deploy.CodeUnhealthy, "web-1", "web-2")
	decides(t, s, situation{act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy})
	s = planned(t, rolls(t, "hosts 4", "rolling parallel=2 floor=1 failed=1", "fleet a", "want deploy b"))
	s.until(deploy.OpDrain)
	s.failOn(deploy.CodeUnavailable, "web-1", "web-2")
	decides(t, s, situation{act: deploy.ActHold, code: deploy.CodeHold, says: "max_failed_hosts is 1"})
}

func TestAMigrationThatFailsIsNeverLeftBehind(t *testing.T) {
	for _, code := range []deploy.Code{deploy.CodeFailed, deploy.CodeUnavailable} {
		s := planned(t, rolls(t, "hosts 3", "rolling floor=1 failure=skip failed=2", "hooks", "fleet a", "want deploy b"))
		s.until(deploy.OpHook)
		s.failOn(code, "web-1")
		decides(t, s, situation{act: deploy.ActUndo, ending: deploy.Failed, code: code})
	}
}

func TestADeployIsNotGoneOnWithWhereNoHostIsLeft(t *testing.T) {
	s := planned(t, rolls(t, "hosts 2", "rolling parallel=2 floor=0 failure=skip failed=2", "want deploy b"))
	s.until(deploy.OpCheck)
	s.failOn(deploy.CodeUnhealthy, "web-1", "web-2")
	decides(t, s, situation{act: deploy.ActHold, code: deploy.CodeHold})
}

func TestHostsThatWereLeftBehindBeforeCountToo(t *testing.T) {
	s := planned(t, rolls(t, "hosts 4", "rolling floor=1 failed=1", "fleet a", "host web-2 unreachable", "want deploy b"))
	s.reach(deploy.OpDrain, "web-1")
	s.failOn(deploy.CodeUnavailable, "web-1")
	decides(t, s, situation{act: deploy.ActHold, code: deploy.CodeHold, says: "max_failed_hosts is 1"})
}

func TestDecideInARollingDeploy(t *testing.T) {
	fleet := []string{"hosts 3", "rolling floor=1 failed=0 batches=1 bake=30s", "fleet a"}
	world := func(want string, more ...string) *world {
		return rolls(t, append(append(fleet[:3:3], more...), "want "+want)...)
	}
	bad := func(id deploy.HostID) func(*story) {
		return func(s *story) { s.reach(deploy.OpCheck, id); s.failOn(deploy.CodeUnhealthy, id) }
	}
	pause := func(s *story) { s.order(deploy.KindPause) }
	for _, c := range []situation{
		{name: "auto_revert is off", world: world("deploy b", "no_revert"), tell: bad("web-2"), act: deploy.ActHold, code: deploy.CodeHold, says: "auto_revert is off"},
		{name: "auto_revert is off, and a person cancelled", world: world("deploy b", "no_revert"), tell: func(s *story) { s.order(deploy.KindCancel); bad("web-2")(s) },
			act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "a rollback fails on its first host", world: rolls(t, "hosts 3", "rolling floor=1", "fleet b", "good a", "want rollback"), tell: bad("web-1"),
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "a rollback fails later", world: rolls(t, "hosts 3", "rolling floor=1", "fleet b", "good a", "want rollback"), tell: bad("web-2"),
			act: deploy.ActHold, code: deploy.CodeHold, says: "does not revert itself"},
		{name: "the first deploy replaced what nobody can start again", world: rolls(t, "hosts 2", "rolling", "host web-1 unknown", "host web-2 unknown", "want deploy b"), tell: bad("web-1"),
			act: deploy.ActHold, code: deploy.CodeHold, says: "no earlier release"},
		{name: "the first deploy on empty hosts", world: rolls(t, "hosts 2", "rolling", "want deploy b"), tell: bad("web-1"),
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "the first deploy on empty hosts, later", world: rolls(t, "hosts 2", "rolling", "want deploy b"), tell: bad("web-2"),
			act: deploy.ActUndo, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "cancelled before any host", world: world("deploy b"), tell: func(s *story) { s.do(nil); s.order(deploy.KindCancel) }, act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "cancelled before any host is back", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpCheck, "web-1"); s.order(deploy.KindCancel) },
			act: deploy.ActUndo, ending: deploy.Cancelled},
		{name: "cancelled in the middle", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpCheck, "web-2"); s.order(deploy.KindCancel) },
			act: deploy.ActUndo, ending: deploy.Reverted},
		{name: "a bad verdict between two batches", world: world("deploy b"), tell: func(s *story) { s.until(deploy.OpBake); s.failOn(deploy.CodeUnhealthy, "web-1") },
			act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "a bad verdict after the last batch", world: world("deploy b"), tell: func(s *story) {
			s.reach(deploy.OpIn, "web-3")
			s.until(deploy.OpBake)
			s.failOn(deploy.CodeUnhealthy, "web-2")
		},
			act: deploy.ActUndo, ending: deploy.Reverted, code: deploy.CodeUnhealthy},
		{name: "a failure that asks to hold", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpOut, "web-2"); s.failOn(deploy.CodeHold, "web-2") },
			act: deploy.ActHold, code: deploy.CodeHold, says: "it is hold on web-2"},
		{name: "old releases cannot be pruned on a host", world: world("deploy b"), tell: func(s *story) { s.until(deploy.OpPrune); s.failOn(deploy.CodeUnavailable, "web-2") },
			act: deploy.ActSkip, code: deploy.CodeUnavailable},
		{name: "who left the configuration is gone for good", world: world("deploy b", "gone web-9 a"), tell: func(s *story) { s.reach(deploy.OpOut, "web-9"); s.failOn(deploy.CodeUnavailable, "web-9") },
			act: deploy.ActSkip, code: deploy.CodeUnavailable},
		{name: "who left the configuration is gone for good, and nothing else is to do", world: world("deploy a", "gone web-9 a"), tell: func(s *story) { s.failOn(deploy.CodeUnavailable, "web-9") },
			act: deploy.ActSkip, code: deploy.CodeUnavailable},

		{name: "a pause while a host is out", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpDrain, "web-1"); pause(s) }, act: deploy.ActRun},
		{name: "a pause while a step is under way", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpOut, "web-1"); s.start(); pause(s) }, act: deploy.ActRun},
		{name: "a pause before the first host", world: world("deploy b"), tell: func(s *story) { pause(s); s.reach(deploy.OpOut, "web-1") }, act: deploy.ActWait},
		{name: "a pause before the next host", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpDrain, "web-1"); pause(s); s.reach(deploy.OpOut, "web-2") }, act: deploy.ActWait},
		{name: "a pause, resumed", world: world("deploy b"), tell: func(s *story) { pause(s); s.reach(deploy.OpOut, "web-1"); s.order(deploy.KindResume) }, act: deploy.ActRun},
		{name: "a pause, cancelled", world: world("deploy b"), tell: func(s *story) { s.reach(deploy.OpOut, "web-2"); pause(s); s.order(deploy.KindCancel) }, act: deploy.ActUndo, ending: deploy.Reverted},
		{name: "a pause before the switch of a blue/green deploy", tell: func(s *story) { pause(s); s.until(deploy.OpRoute) }, act: deploy.ActWait},
		{name: "a pause earlier in a blue/green deploy", tell: func(s *story) { pause(s); s.until(deploy.OpCheck) }, act: deploy.ActRun},
		{name: "a pause after the switch", tell: func(s *story) { s.until(deploy.OpBake); pause(s) }, act: deploy.ActRun},
		{name: "a pause of a way back", world: world("deploy b"), tell: func(s *story) { bad("web-2")(s); s.back(deploy.Reverted); pause(s) }, act: deploy.ActRun},

		{name: "stop fails before the host is out", world: world("stop web-1"), tell: func(s *story) { s.until(deploy.OpOut); s.failOn(deploy.CodeUnavailable, "web-1") },
			act: deploy.ActEnd, ending: deploy.Failed, code: deploy.CodeUnavailable},
		{name: "online fails its check", world: world("online web-2", "host web-2 offline"), tell: bad("web-2"), act: deploy.ActEnd, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "start fails its check", world: world("start web-2", "host web-2 offline"), tell: bad("web-2"), act: deploy.ActEnd, ending: deploy.Failed, code: deploy.CodeUnhealthy},
		{name: "restart fails on a host that is out", world: world("restart web-2"), tell: bad("web-2"), act: deploy.ActHold, code: deploy.CodeUnhealthy},
		{name: "drill fails on a host that is out", world: world("drill"), tell: bad("web-2"), act: deploy.ActHold, code: deploy.CodeUnhealthy},
		{name: "a restart is done", world: world("restart web-2"), tell: func(s *story) { s.all() }, act: deploy.ActEnd, ending: deploy.Succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.world
			if w == nil {
				w = usual()
			}
			s := planned(t, w)
			c.tell(s)
			decides(t, s, c)
		})
	}
}

func TestAWayBackGoesOnWithoutHostsThatDidNotServeOrCannotBeReached(t *testing.T) {
	for _, c := range []struct {
		name string
		code deploy.Code
		host deploy.HostID
		act  deploy.Act
	}{
		{"a host that served is not reached", deploy.CodeUnavailable, "web-1", deploy.ActSkip},
		{"it takes too long", deploy.CodeTimeout, "web-1", deploy.ActSkip},
		{"its key changed", deploy.CodeRefused, "web-1", deploy.ActSkip},
		{"the old release fails its check there", deploy.CodeUnhealthy, "web-1", deploy.ActHold},
		{"the old release does not start there", deploy.CodeFailed, "web-1", deploy.ActHold},
		{"a host that was sick before is sick again", deploy.CodeUnhealthy, "web-3", deploy.ActSkip},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := planned(t, rolls(t, "hosts 3", "rolling floor=1", "fleet a", "host web-3 sick", "want deploy b"))
			s.reach(deploy.OpCheck, "web-2")
			s.failOn(deploy.CodeUnhealthy, "web-2")
			s.back(deploy.Reverted)
			s.reach(deploy.OpCheck, c.host)
			s.failOn(c.code, c.host)
			if d := deploy.Decide(s.state); d.Act != c.act || d.Err == nil || d.Err.Code != c.code {
				t.Fatalf("decides %+v, want %s", d, c.act)
			}
			if c.act == deploy.ActSkip {
				s.skip()
				s.all()
				decides(t, s, situation{act: deploy.ActEnd, ending: deploy.Reverted, code: deploy.CodeUnhealthy})
			}
		})
	}
}
