package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// ledgerOf is the traffic ledger: "web-1 by #9, web-2 by #6 (ann's word)".
func ledgerOf(l deploy.Live) string {
	var out []string
	for _, id := range l.Hosts.IDs() {
		o := l.Hosts.Get(id).Out
		if o == nil {
			continue
		}
		line := string(id) + " by " + o.Deploy.String()
		if o.Person {
			line += " (" + o.By.Name + "'s word)"
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

func TestTheLedgerIsWrittenBeforeAHostLeavesTrafficAndClearedWhenItIsBack(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpOut, "web-1")
	if got := ledgerOf(folded(w.live, s)); got != "" {
		t.Errorf("before: %s", got)
	}
	step, _ := s.state.StepAt(s.state.Next)
	s.add(deploy.Event{Kind: deploy.KindStarted, Step: s.state.Next, Evidence: w.seenBefore(step)})
	l := folded(w.live, s)
	out := l.Hosts.Get("web-1").Out
	if ledgerOf(l) != "web-1 by #9" || out.By != ann() || !out.At.Equal(s.events[len(s.events)-1].At) || out.Weight != 7 {
		t.Fatalf("about to leave: %s: %+v", ledgerOf(l), out)
	}
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next, Evidence: w.seenAfter(step)})
	for _, op := range []deploy.Op{deploy.OpDrain, deploy.OpStop, deploy.OpStart, deploy.OpCheck, deploy.OpIn} {
		s.proveUntil(w, op, "web-1")
		if got := ledgerOf(folded(w.live, s)); got != "web-1 by #9" {
			t.Errorf("before %s: %q", op, got)
		}
	}
	s.start()
	if got := ledgerOf(folded(w.live, s)); got != "web-1 by #9" {
		t.Errorf("about to be put in: %q", got)
	}
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next})
	if got := ledgerOf(folded(w.live, s)); got != "" {
		t.Errorf("back in traffic: %q", got)
	}
}

func TestAPersonsWordOutlastsADeployAndADeploysEntryThatOfALaterOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		world  []string
		leaves string // the ledger once web-2 was taken out again
		ends   string // and at the end
	}{
		{"a deploy over an offline host", []string{"hosts 3", "rolling floor=1", "fleet a", "host web-2 offline", "want deploy b"}, "web-2 by #6 (ann's word)", "web-2 by #6 (ann's word)"},
		{"a deploy over a host that a deploy left", []string{"hosts 3", "rolling floor=1", "fleet a", "host web-2 out", "want deploy b"}, "web-2 by #7", ""},
		{"a restart of an offline host", []string{"hosts 3", "rolling floor=1", "fleet a", "host web-2 offline", "want restart web-2"}, "web-2 by #6 (ann's word)", "web-2 by #6 (ann's word)"},
		{"offline of a host that a deploy left", []string{"hosts 3", "rolling floor=1", "fleet a", "host web-2 out", "want offline web-2"}, "web-2 by #9 (ann's word)", "web-2 by #9 (ann's word)"},
		{"offline again", []string{"hosts 3", "rolling floor=1", "fleet a", "host web-2 offline", "want offline web-2"}, "web-2 by #6 (ann's word)", "web-2 by #6 (ann's word)"},
		{"offline of a host in traffic", []string{"hosts 3", "rolling floor=1", "fleet a", "want offline web-2"}, "web-2 by #9 (ann's word)", "web-2 by #9 (ann's word)"},
		{"stop", []string{"hosts 3", "rolling floor=1", "fleet a", "want stop web-2"}, "web-2 by #9 (ann's word)", "web-2 by #9 (ann's word)"},
		{"a drill", []string{"hosts 3", "rolling floor=1", "fleet a", "want drill without=web-1 without=web-3"}, "web-2 by #9", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rolls(t, c.world...)
			s := planned(t, w)
			s.proveUntil(w, deploy.OpOut, "web-2")
			s.prove(w)
			if got := ledgerOf(folded(w.live, s)); got != c.leaves {
				t.Errorf("out: %q, want %q", got, c.leaves)
			}
			s.proveAll(w)
			if got := ledgerOf(s.conclude(w.live, deploy.Succeeded)); got != c.ends {
				t.Errorf("at the end: %q, want %q", got, c.ends)
			}
		})
	}
}

func TestOnlineAndStartEndAPersonsWord(t *testing.T) {
	for _, want := range []string{"online", "start"} {
		w := rolls(t, "hosts 3", "rolling floor=1", "fleet a", "host web-2 offline", "want "+want+" web-2")
		s := planned(t, w)
		s.proveUntil(w, deploy.OpIn, "web-2")
		if got := ledgerOf(folded(w.live, s)); got != "web-2 by #6 (ann's word)" {
			t.Errorf("%s, not in yet: %q", want, got)
		}
		s.proveAll(w)
		if got := ledgerOf(folded(w.live, s)); got != "" {
			t.Errorf("%s: %q", want, got)
		}
	}
}

func TestTheWeightThatABalancerGaveIsRememberedUntilTheHostIsBack(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling floor=1", "fleet a", "want offline web-2")
	left := deploy.Outage{Deploy: 7, By: ann(), At: noon(), Weight: 50}
	w.ledger("web-2", &left)
	s := planned(t, w)
	s.proveAll(w)
	if got := folded(w.live, s).Hosts.Get("web-2").Out; got.Weight != 50 || !got.Person || got.Deploy != 9 {
		t.Errorf("%+v: what the balancer gave it while it was out is not its weight", got)
	}
	if left.Person {
		t.Error("the entry that was there before has changed")
	}
}

func TestAHostThatIsLeftBehindKeepsItsEntryAndItsRecord(t *testing.T) {
	w := rolls(t, "hosts 3", "rolling parallel=2 floor=1 failed=1", "fleet a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpStop, "web-2")
	s.failOn(deploy.CodeUnavailable, "web-2")
	s.skip()
	s.proveAll(w)
	l := s.conclude(w.live, deploy.Succeeded)
	if got := ledgerOf(l); got != "web-2 by #9" {
		t.Errorf("the ledger is %q", got)
	}
	if h := l.Hosts.Get("web-2"); h.Release.Key() != w.release("a").Key() || !h.Instance.Passed {
		t.Errorf("what nobody could look at is known as %+v", h)
	}
	if h := l.Hosts.Get("web-1"); h.Release != w.release("b") || h.Out != nil {
		t.Errorf("web-1: %+v", h)
	}
}

func TestAHostsRecordFollowsWhatRunsThere(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "host web-2 empty", "want deploy b")
	s := planned(t, w)
	at := func(op deploy.Op) deploy.HostState {
		t.Helper()
		s.proveUntil(w, op, "web-1")
		s.prove(w)
		return folded(w.live, s).Hosts.Get("web-1")
	}
	if h := at(deploy.OpStop); h.Release != w.release("a") || h.Instance.Running() {
		t.Errorf("stopped: %+v", h)
	}
	if h := at(deploy.OpStart); h.Release != w.release("b") || !h.Instance.Running() || h.Instance.Passed {
		t.Errorf("started: %+v", h)
	}
	h := at(deploy.OpCheck)
	if !h.Instance.Passed || h.Instance.Status != 200 || h.Host.Address != "10.0.0.1" {
		t.Errorf("checked: %+v", h)
	}
	if h.Instance.Log != "" {
		t.Errorf("the app's output is remembered: %q", h.Instance.Log)
	}
	if w.live.Hosts.Has("web-2") || w.live.Hosts.Get("web-1").Release != w.release("a") {
		t.Error("the environment that was folded first has changed")
	}
}

func TestARollingReleaseIsLiveAfterItsLastBatch(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling bake=30s", "fleet a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpIn, "web-2")
	s.start()
	if l := folded(w.live, s); l.Release != w.release("a") || l.Deploy != 5 {
		t.Errorf("before the commit point: %+v", l)
	}
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next})
	l := folded(w.live, s)
	if l.Release != w.release("b") || l.Slot != deploy.Main || l.Deploy != 9 || l.By != ann() || !l.Since.Equal(s.events[len(s.events)-1].At) {
		t.Errorf("after it: %+v", l)
	}
	if len(l.Good) != 1 {
		t.Errorf("good before its bake: %+v", l.Good)
	}
	s.proveAll(w)
	l = s.conclude(w.live, deploy.Succeeded)
	if len(l.Good) != 2 || l.Good[0].Release != w.release("b") || l.Warm != nil || len(l.Slots) != 0 {
		t.Errorf("at the end: good %+v, warm %+v, slots %+v", l.Good, l.Warm, l.Slots)
	}
}

func TestARevertAfterTheCommitPointMakesTheOldReleaseLiveAgain(t *testing.T) {
	for _, committed := range []bool{false, true} {
		w := rolls(t, "hosts 2", "rolling bake=30s", "fleet a", "want deploy b")
		s := planned(t, w)
		s.proveUntil(w, deploy.OpIn, "web-2")
		if committed {
			s.prove(w)
		}
		s.failOn(deploy.CodeUnhealthy, "web-2")
		s.back(deploy.Reverted)
		s.proveAll(w)
		l := s.conclude(w.live, deploy.Reverted)
		if l.Release != w.release("a") || l.Deploy != 5 || !l.Since.Equal(noon().Add(-time.Hour)) || ledgerOf(l) != "" {
			t.Errorf("committed %v: live %s by %s since %s, out: %s", committed, l.Release.Commit.Short(), l.Deploy, l.Since, ledgerOf(l))
		}
		if !l.IsLeft(w.release("b")) || !l.IsBad(w.release("b")) && committed {
			t.Errorf("committed %v: left %v, bad %v", committed, l.Left, l.Bad)
		}
		for _, id := range []deploy.HostID{"web-1", "web-2"} {
			if h := l.Hosts.Get(id); h.Release != w.release("a") || !h.Instance.Passed {
				t.Errorf("committed %v: %s has %+v", committed, id, h)
			}
		}
	}
}

func TestVerbsMakeNothingLiveAndNothingGood(t *testing.T) {
	for _, lines := range [][]string{
		{"fleet a", "want restart"}, {"fleet a", "want drill"}, {"fleet a", "want stop web-1"}, {"fleet a", "want offline web-1"},
		{"fleet a", "host web-1 offline", "want online web-1"}, {"host web-1 unknown", "host web-2 unknown", "want drill"},
	} {
		w := rolls(t, append([]string{"hosts 2", "rolling floor=0"}, lines...)...)
		s := planned(t, w)
		s.proveAll(w)
		l := s.conclude(w.live, deploy.Succeeded)
		if l.Release != w.live.Release || l.Deploy != w.live.Deploy || len(l.Good) != len(w.live.Good) || len(l.Bad)+len(l.Left) != 0 {
			t.Errorf("%v: live %+v by %s, good %v", lines, l.Release, l.Deploy, l.Good)
		}
	}
}

func TestAHostThatLeftTheConfigurationIsForgottenOnceItIsStopped(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "gone web-9 a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpStop, "web-9")
	if l := folded(w.live, s); !l.Hosts.Has("web-9") || ledgerOf(l) != "web-9 by #9" {
		t.Errorf("before it is stopped: %v, %s", l.Hosts.IDs(), ledgerOf(l))
	}
	s.prove(w)
	if got := folded(w.live, s).Hosts.IDs(); !slices.Equal(got, []deploy.HostID{"web-1", "web-2"}) {
		t.Errorf("known are %v", got)
	}
	if !w.live.Hosts.Has("web-9") {
		t.Error("the environment that was folded first has changed")
	}
}

func TestAHostThatLeftTheConfigurationAndIsNotReachedIsToldAndForgotten(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "gone web-9 a", "want deploy a")
	s := planned(t, w)
	s.failOn(deploy.CodeUnavailable, "web-9")
	s.skip()
	if got := folded(w.live, s).Hosts.IDs(); !slices.Equal(got, []deploy.HostID{"web-1", "web-2"}) {
		t.Errorf("known are %v", got)
	}
	s.proveAll(w)
	s.conclude(w.live, deploy.Succeeded)
	if notes := strings.Join(s.state.Report.Notes, "; "); !strings.Contains(notes, "web-9 is left behind: it is unavailable on web-9") {
		t.Errorf("told is %q", notes)
	}
}

func TestAHostThatWasNotSeenToLeaveIsUnprovenUntilItIs(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpOut, "web-1")
	s.start()
	if out := folded(w.live, s).Hosts.Get("web-1").Out; out == nil || !out.Unproven {
		t.Errorf("about to leave: %+v", out)
	}
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next})
	if out := folded(w.live, s).Hosts.Get("web-1").Out; out == nil || out.Unproven || out.Deploy != 9 {
		t.Errorf("seen to leave: %+v", out)
	}
}

func TestAHostThatIsSeenToHaveStayedHasNoEntry(t *testing.T) {
	for seen, want := range map[string]string{"10.0.0.1:9001": "", "10.0.0.2:9001": "web-1 by #9", "": "web-1 by #9"} {
		w := rolls(t, "hosts 2", "rolling", "fleet a", "want deploy b")
		s := planned(t, w)
		s.proveUntil(w, deploy.OpOut, "web-1")
		s.start()
		ev := deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Err: &deploy.Error{Code: deploy.CodeHold, Op: "out"}}
		if seen != "" {
			ev.Evidence = &deploy.Evidence{Traffic: &deploy.Traffic{Up: []string{seen}}}
		}
		s.add(ev)
		if got := ledgerOf(folded(w.live, s)); got != want {
			t.Errorf("with %q in traffic the ledger is %q, want %q", seen, got, want)
		}
	}
	w := rolls(t, "hosts 3", "rolling floor=1", "fleet a", "host web-1 offline", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpOut, "web-1")
	s.start()
	s.add(deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Err: &deploy.Error{Code: deploy.CodeHold, Op: "out"},
		Evidence: &deploy.Evidence{Traffic: &deploy.Traffic{Up: []string{"10.0.0.1:9001"}}}})
	if got := ledgerOf(folded(w.live, s)); got != "web-1 by #6 (ann's word)" {
		t.Errorf("a person's word is %q", got)
	}
}

func TestAHostThatWasNeverMoreThanTakenOutCanBeDismissedLater(t *testing.T) {
	w := rolls(t, "hosts 3", "rolling floor=1 failed=1", "fleet a", "host web-3 empty", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpOut, "web-3")
	s.failOn(deploy.CodeUnavailable, "web-3")
	s.skip()
	s.proveAll(w)
	w.live = s.conclude(w.live, deploy.Succeeded)
	later := rolls(t, "hosts 2", "rolling", "want deploy c")
	later.live, later.obs.Hosts = w.live, w.obs.Hosts
	gone := later.mustPlan(t).Settings.Gone
	if len(gone) != 1 || gone[0].ID != "web-3" || gone[0].Address != "10.0.0.3" {
		t.Errorf("to be dismissed: %+v", gone)
	}
}

func TestAnAbandonedRollRecordsTheHostsThatWereSeen(t *testing.T) {
	w := rolls(t, "hosts 2", "rolling", "fleet a", "want deploy b")
	s := planned(t, w)
	s.proveUntil(w, deploy.OpCheck, "web-1")
	s.order(deploy.KindAbandon)
	seen := deploy.Report{Observed: true, Serving: w.release("a"), Slot: deploy.Main, Hosts: map[deploy.HostID]deploy.HostState{
		"web-1": {Release: w.release("b"), Out: &deploy.Outage{Deploy: 9, By: ann(), At: noon()}},
	}}
	s.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Abandoned, Report: &seen})
	l := folded(w.live, s)
	if l.Release != w.release("a") || l.Hosts.Get("web-1").Release != w.release("b") || ledgerOf(l) != "web-1 by #9" {
		t.Errorf("%+v, out: %s", l.Release, ledgerOf(l))
	}
	if h := l.Hosts.Get("web-2"); h.Release != w.release("a") {
		t.Errorf("what the report does not name has changed: %+v", h)
	}
	if got := s.state.Touches(s.events[len(s.events)-1]); !slices.Equal(got, []deploy.HostID{"web-1"}) {
		t.Errorf("touches %v", got)
	}
}

// What Touches names is all that an event may change of the hosts: the store
// writes no other record.
func TestNoEventChangesAHostThatItDoesNotTouch(t *testing.T) {
	w := rolls(t, "hosts 4", "rolling parallel=2 floor=2 batches=1 bake=30s", "fleet a", "host web-2 sick", "host web-4 offline", "gone web-9 a", "want deploy b")
	w.env.Rolling.MinHealthy = 1
	s := planned(t, w)
	s.proveAll(w)
	s.conclude(w.live, deploy.Succeeded)
	var st deploy.State
	l := w.live
	for _, ev := range s.events {
		st = st.Apply(ev)
		next := deploy.FoldEnv(l, st, ev)
		for _, id := range append(l.Hosts.IDs(), next.Hosts.IDs()...) {
			if text(t, l.Hosts.Get(id)) != text(t, next.Hosts.Get(id)) && !slices.Contains(st.Touches(ev), id) {
				t.Errorf("event %d (%s) changes %s and touches %v", ev.N, ev.Kind, id, st.Touches(ev))
			}
		}
		l = next
	}
}
