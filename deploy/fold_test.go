package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// stages are journals that each end at another place of a deploy's life.
func stages() map[string]func(*testing.T) *story {
	return map[string]func(*testing.T) *story{
		"nothing": func(t *testing.T) *story { return &story{t: t} },
		"queued":  func(t *testing.T) *story { return begin(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main"}) },
		"claimed": func(t *testing.T) *story {
			s := begin(t, deploy.Request{Want: deploy.WantDeploy, Commit: sha("b")})
			s.add(deploy.Event{Kind: deploy.KindClaimed})
			return s
		},
		"planned": func(t *testing.T) *story { return planned(t, usual()) },
		"started": func(t *testing.T) *story { s := planned(t, usual()); s.start(); return s },
		"failed":  func(t *testing.T) *story { s := planned(t, usual()); s.fail(unhealthy(deploy.OpFetch)); return s },
		"baking":  func(t *testing.T) *story { s := planned(t, usual()); s.until(deploy.OpBake); return s },
		"undoing": func(t *testing.T) *story {
			s := planned(t, usual())
			s.until(deploy.OpBake)
			s.fail(unhealthy(deploy.OpBake))
			s.back(deploy.Reverted)
			return s
		},
		"held": func(t *testing.T) *story {
			s := planned(t, usual())
			s.fail(unhealthy(deploy.OpFetch))
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: unhealthy(deploy.OpFetch)})
			return s
		},
		"run out": func(t *testing.T) *story { s := planned(t, usual()); s.all(); return s },
		"ended":   func(t *testing.T) *story { s := planned(t, usual()); s.all(); s.end(deploy.Succeeded); return s },
	}
}

// candidates are one event of every kind, complete in itself.
func candidates(s *story) map[deploy.Kind]deploy.Event {
	by, plan := ann(), deploy.Plan{Commit: -1, Baked: -1}
	return map[deploy.Kind]deploy.Event{
		deploy.KindRequested: {Request: &deploy.Request{App: "shop", Env: "production", Want: deploy.WantDeploy}},
		deploy.KindResolved:  {Commit: &deploy.Commit{SHA: sha("b")}},
		deploy.KindClaimed:   {},
		deploy.KindPlanned:   {Plan: &plan},
		deploy.KindStarted:   {Step: s.state.Next},
		deploy.KindDone:      {Step: s.state.Next},
		deploy.KindFailed:    {Step: s.state.Next, Err: unhealthy(deploy.OpCheck)},
		deploy.KindNoted:     {Text: "half of it"},
		deploy.KindWatched:   {Evidence: &deploy.Evidence{Watch: []deploy.Window{{From: noon(), To: noon()}}}},
		deploy.KindCancel:    {By: &by},
		deploy.KindPause:     {By: &by},
		deploy.KindResume:    {By: &by},
		deploy.KindSkipped:   {Step: s.state.Next, Hosts: []deploy.HostID{"web-1"}},
		deploy.KindAbandon:   {By: &by},
		deploy.KindRevert:    {Plan: &plan, Ending: deploy.Reverted},
		deploy.KindStuck:     {Err: unhealthy(deploy.OpCheck)},
		deploy.KindEnded:     {Ending: deploy.Failed},
	}
}

// legal says which kinds may follow at which stage; every other one breaks the journal.
func legal() map[string]string {
	return map[string]string{
		"nothing": "requested",
		"queued":  "resolved claimed noted ended",
		"claimed": "planned noted cancel_requested pause_requested resume_requested abandon_requested stuck ended",
		"planned": "started noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"started": "started done failed noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"failed":  "hosts_skipped noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"baking":  "started noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"undoing": "started noted watched cancel_requested pause_requested resume_requested abandon_requested stuck ended",
		"held":    "hosts_skipped noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"run out": "noted watched cancel_requested pause_requested resume_requested abandon_requested revert_decided stuck ended",
		"ended":   "",
	}
}

func TestEveryKindIsTakenWhereItIsLegalAndBreaksTheJournalElsewhere(t *testing.T) {
	for name, stage := range stages() {
		s := stage(t)
		allowed := strings.Fields(legal()[name])
		for kind, ev := range candidates(s) {
			ev.Kind = kind
			before := text(t, s.state)
			next := s.state.Apply(s.event(ev))
			if want := contains(allowed, string(kind)); (next.Broken == nil) != want {
				t.Errorf("%s after %s: legal %v, want %v (%v)", kind, name, next.Broken == nil, want, next.Broken)
			}
			if after := text(t, s.state); after != before {
				t.Errorf("%s after %s changed the state that it was applied to:\n%s\n%s", kind, name, before, after)
			}
		}
	}
}

func contains(list []string, word string) bool {
	for _, l := range list {
		if l == word {
			return true
		}
	}
	return false
}

func text(t rapid.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A record that is not whole, or not of this binary's making, is not guessed at.
func TestWhatThisBinaryDoesNotUnderstandHoldsTheDeployWithAReason(t *testing.T) {
	by := ann()
	strange := func(op deploy.Op) *deploy.Plan {
		return &deploy.Plan{Steps: []deploy.Step{{Op: op}}, Commit: -1, Baked: -1}
	}
	for _, c := range []struct {
		name, stage string
		ev          deploy.Event
		change      func(*deploy.Event)
		why         string
	}{
		{name: "an unknown kind", stage: "planned", ev: deploy.Event{Kind: "paused"}, why: "kind of the record is unknown"},
		{name: "a newer form", stage: "planned", ev: deploy.Event{Kind: deploy.KindNoted}, change: func(e *deploy.Event) { e.V = 2 }, why: "has form 2, this binary reads form 1"},
		{name: "an older form", stage: "planned", ev: deploy.Event{Kind: deploy.KindNoted}, change: func(e *deploy.Event) { e.V = 0 }, why: "has form 0"},
		{name: "a gap", stage: "planned", ev: deploy.Event{Kind: deploy.KindNoted}, change: func(e *deploy.Event) { e.N++ }, why: "event 5 follows event 3: records are missing"},
		{name: "a repeated number", stage: "planned", ev: deploy.Event{Kind: deploy.KindNoted}, change: func(e *deploy.Event) { e.N-- }, why: "event 3 follows event 3"},
		{name: "a journal without its beginning", stage: "nothing", ev: deploy.Event{Kind: deploy.KindRequested, Request: &deploy.Request{}}, change: func(e *deploy.Event) { e.N = 2 }, why: "records are missing"},
		{name: "a request without content", stage: "nothing", ev: deploy.Event{Kind: deploy.KindRequested}, why: "with its content"},
		{name: "a resolution without commit", stage: "queued", ev: deploy.Event{Kind: deploy.KindResolved}, why: "only a waiting request is resolved"},
		{name: "a plan that is not there", stage: "claimed", ev: deploy.Event{Kind: deploy.KindPlanned}, why: "a plan stands once"},
		{name: "a plan with an unknown operation", stage: "claimed", ev: deploy.Event{Kind: deploy.KindPlanned, Plan: strange("polish")}, why: "only with known operations"},
		{name: "a plan whose commit point lies outside", stage: "claimed", ev: deploy.Event{Kind: deploy.KindPlanned, Plan: &deploy.Plan{Commit: 0, Baked: -1}}, why: "a plan stands once"},
		{name: "a plan that is baked outside", stage: "claimed", ev: deploy.Event{Kind: deploy.KindPlanned, Plan: &deploy.Plan{Commit: -1, Baked: 0}}, why: "a plan stands once"},
		{name: "a step out of turn", stage: "planned", ev: deploy.Event{Kind: deploy.KindStarted, Step: 1}, why: "only the next step"},
		{name: "a step before the first", stage: "planned", ev: deploy.Event{Kind: deploy.KindStarted, Step: -1}, why: "only the next step"},
		{name: "a step after the last", stage: "run out", ev: deploy.Event{Kind: deploy.KindStarted, Step: 9}, why: "only the next step"},
		{name: "an outcome of another step", stage: "started", ev: deploy.Event{Kind: deploy.KindDone, Step: 1}, why: "only the started step"},
		{name: "an undo with an unknown operation", stage: "planned", ev: deploy.Event{Kind: deploy.KindRevert, Plan: strange("polish")}, why: "undone at most once"},
		{name: "a cancel by nobody", stage: "planned", ev: deploy.Event{Kind: deploy.KindCancel}, why: "by somebody"},
		{name: "an abandon by nobody", stage: "planned", ev: deploy.Event{Kind: deploy.KindAbandon}, why: "by somebody"},
		{name: "a pause by nobody", stage: "planned", ev: deploy.Event{Kind: deploy.KindPause}, why: "by somebody"},
		{name: "a pause of what only waits", stage: "queued", ev: deploy.Event{Kind: deploy.KindPause, By: &by}, why: "only a claimed deploy"},
		{name: "nobody is left behind", stage: "failed", ev: deploy.Event{Kind: deploy.KindSkipped}, why: "goes on without the hosts that failed"},
		{name: "a host is left behind where nothing failed", stage: "started", ev: deploy.Event{Kind: deploy.KindSkipped, Hosts: []deploy.HostID{"web-1"}}, why: "goes on without the hosts that failed"},
		{name: "a hold without reason", stage: "planned", ev: deploy.Event{Kind: deploy.KindStuck}, why: "held for a reason"},
		{name: "an unknown ending", stage: "run out", ev: deploy.Event{Kind: deploy.KindEnded, Ending: "won"}, why: "the ending is unknown"},
		{name: "a cancel after the end", stage: "ended", ev: deploy.Event{Kind: deploy.KindCancel, By: &by}, why: "had ended already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stages()[c.stage](t)
			ev := s.event(c.ev)
			if c.change != nil {
				c.change(&ev)
			}
			held(t, s.state.Apply(ev), c.why)
		})
	}
}

func held(t *testing.T, st deploy.State, why string) {
	t.Helper()
	if st.Phase != deploy.PhaseStuck || st.Broken == nil || st.Stuck != st.Broken {
		t.Fatalf("phase %s, broken %v, stuck %v", st.Phase, st.Broken, st.Stuck)
	}
	if st.Broken.Code != deploy.CodeDamaged || !strings.Contains(st.Broken.Message, why) || !strings.Contains(st.Broken.Message, "abandon #9") {
		t.Fatalf("%s: %q, want %q and the way out", st.Broken.Code, st.Broken.Message, why)
	}
	if d := deploy.Decide(st); d.Act != deploy.ActWait {
		t.Fatalf("decides to %s", d.Act)
	}
}

func TestABrokenJournalTakesNothingButItsWayOut(t *testing.T) {
	s := planned(t, usual())
	broken := s.state.Apply(s.event(deploy.Event{Kind: "paused"}))
	for kind, ev := range candidates(s) {
		ev.Kind, ev.Step = kind, broken.Next
		next := broken.Apply(s.event(ev))
		if next.Broken == nil || next.Ended() != (kind == deploy.KindEnded) || next.Open || next.Cancel != nil || next.Undo != nil {
			t.Errorf("%s made a broken deploy %s, broken %v", kind, next.Phase, next.Broken)
		}
	}
	if next := broken.Apply(s.event(deploy.Event{Kind: deploy.KindEnded, Ending: "won"})); next.Ended() {
		t.Error("an unknown ending ended it")
	}
	by := ann()
	given := broken.Apply(s.event(deploy.Event{Kind: deploy.KindAbandon, By: &by}))
	if d := deploy.Decide(given); d.Act != deploy.ActAbandon || d.Ending != deploy.Abandoned {
		t.Fatalf("abandoned, it decides to %+v", d)
	}
	ended := given.Apply(s.event(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Abandoned, Report: &deploy.Report{Observed: true}}))
	if !ended.Ended() || ended.Ending != deploy.Abandoned || ended.Report == nil {
		t.Fatalf("after its end: phase %s, ending %s", ended.Phase, ended.Ending)
	}
	if d := deploy.Decide(ended); d.Act != deploy.ActExit {
		t.Fatalf("ended, it decides to %+v", d)
	}
}

func TestTheFoldKnowsWhereADeployStands(t *testing.T) {
	for name, want := range map[string]deploy.Phase{
		"queued": deploy.PhaseQueued, "claimed": deploy.PhaseRunning, "planned": deploy.PhaseRunning, "started": deploy.PhaseRunning,
		"failed": deploy.PhaseRunning, "baking": deploy.PhaseBaking, "undoing": deploy.PhaseReverting, "held": deploy.PhaseStuck,
		"run out": deploy.PhaseFinishing, "ended": deploy.PhaseEnded,
	} {
		st := stages()[name](t).state
		if st.Phase != want || st.Ended() != (want == deploy.PhaseEnded) || st.Active() != (want != deploy.PhaseEnded && want != deploy.PhaseQueued) {
			t.Errorf("%s: phase %s, ended %v, active %v", name, st.Phase, st.Ended(), st.Active())
		}
	}
}

func TestOfAStepThatRanTwiceTheFirstLookBeforeIsTheUndoValue(t *testing.T) {
	s := planned(t, usual())
	note := func(text string) *deploy.Evidence { return &deploy.Evidence{Note: text} }
	s.add(deploy.Event{Kind: deploy.KindStarted, Evidence: note("before")})
	s.add(deploy.Event{Kind: deploy.KindStarted, Evidence: note("after the crash")})
	s.add(deploy.Event{Kind: deploy.KindDone, Evidence: note("proof")})
	o := s.state.Outcomes.At(0)
	if o.Attempts != 2 || !o.Done || o.Before.Note != "before" || o.After.Note != "proof" {
		t.Fatalf("%+v", o)
	}
	if !o.Started.Equal(s.events[3].At) || !o.Ended.Equal(s.events[5].At) || s.state.Next != 1 || s.state.Open {
		t.Fatalf("%+v, next %d, open %v", o, s.state.Next, s.state.Open)
	}
}

func TestAResumeLetsTheHeldStepRunAgainAndForgetsNothing(t *testing.T) {
	s := stages()["held"](t)
	first := s.state.Err
	s.order(deploy.KindResume)
	if s.state.Stuck != nil || s.state.Trouble != nil || s.state.Err != first || s.state.Phase != deploy.PhaseRunning {
		t.Fatalf("%+v", s.state)
	}
	s.do(nil)
	if !s.state.Outcomes.At(0).Done || s.state.Outcomes.At(0).Failed || s.state.Outcomes.At(0).Attempts != 2 {
		t.Fatalf("%+v", s.state.Outcomes.At(0))
	}
}

func TestATypedRefBecomesItsCommitAndAPushStaysWhatWasPushed(t *testing.T) {
	tip := &deploy.Commit{SHA: sha("c"), Title: "Tip", Ref: "main"}
	typed := begin(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main"})
	typed.add(deploy.Event{Kind: deploy.KindResolved, Commit: tip})
	if typed.state.Commit != *tip || typed.state.ResolvedSeq != typed.events[1].Seq {
		t.Errorf("typed: %+v", typed.state)
	}
	pushed := begin(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main", Commit: sha("b"), Title: "Pushed", Auto: true})
	pushed.add(deploy.Event{Kind: deploy.KindResolved, Commit: tip})
	if pushed.state.Commit.SHA != sha("b") || pushed.state.Commit.Title != "Pushed" || pushed.state.Resolved != *tip {
		t.Errorf("pushed: %+v", pushed.state)
	}
}

func TestAnArtifactThatWasBuiltCompletesItsReleaseAndNoOther(t *testing.T) {
	w := usual()
	s := planned(t, w)
	s.until(deploy.OpBuild)
	built := w.release("b")
	s.do(&deploy.Evidence{Release: &built})
	if got := s.state.Artifact(s.state.Plan.Release); got != built {
		t.Errorf("the release is %+v", got)
	}
	if got := s.state.Artifact(w.release("a")); got != w.release("a") {
		t.Errorf("another release became %+v", got)
	}
}
