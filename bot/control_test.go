package bot

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"ipublish/deploy"
)

func TestCancelTakesAWaitingDeployBack(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k")
	a := says(t, m, "cancel")
	contains(t, a.Text, "#1 cancelled", "had not started")
	s, _ := m.State(1)
	if s.Ending != deploy.Cancelled || a.Deploy != 1 {
		t.Errorf("got %+v, %+v", a, s)
	}
}

func TestCancelAsksARunningDeployToGoBack(t *testing.T) {
	for done := range 4 {
		m := newMemory()
		submitted(t, m, shopProd, "k").planned().done(done)
		a := says(t, m, "cancel #1")
		s, _ := m.State(1)
		if s.Cancel == nil || s.Cancel.ID != "slack:UADMIN" || s.Why != "" || a.Deploy != 1 {
			t.Errorf("after %d steps: %+v, %+v", done, a, s.Cancel)
		}
		contains(t, says(t, m, "cancel #1").Text, "going back already")
	}
}

func TestCancelIsRefusedWhereItCannotHelp(t *testing.T) {
	cases := map[string]struct {
		prepare func(d drive)
		wants   []string
	}{
		"ended":      {func(d drive) { d.ended(deploy.Superseded) }, []string{"has ended already", "superseded"}},
		"baked":      {func(d drive) { d.planned().done(4) }, []string{"only cleans up", "rollback shop production"}},
		"first ever": {func(d drive) { firstEver(d) }, []string{"no earlier one"}},
		"revival":    {func(d drive) { revival(d) }, []string{"no process of an earlier release runs any more", "wait for its end", "rollback shop production"}},
		"broken":     {func(d drive) { breakJournal(d) }, []string{"cannot be trusted", "abandon #1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			c.prepare(submitted(t, m, shopProd, "k"))
			before := len(m.events)
			a := says(t, m, "cancel #1")
			contains(t, a.Text, c.wants...)
			if a.Code != deploy.CodeRefused || len(m.events) != before {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func firstEver(d drive) { withoutOldSlot(d, deploy.Release{}) }

// revival brings a release back of which nothing ran any more.
func revival(d drive) {
	withoutOldSlot(d, deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha}})
}

func withoutOldSlot(d drive, old deploy.Release) {
	d.append(deploy.Event{Kind: deploy.KindClaimed})
	d.append(deploy.Event{Kind: deploy.KindPlanned, Plan: &deploy.Plan{Target: shopProd, Commit: 0, Baked: 1, Slot: deploy.Blue, Old: old,
		Steps: []deploy.Step{{Op: deploy.OpRoute, Slot: deploy.Blue}, {Op: deploy.OpBake}}}})
	d.done(1)
}

// breakJournal appends what no journal can hold.
func breakJournal(d drive) {
	d.append(deploy.Event{Kind: deploy.KindClaimed})
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.put(deploy.Event{Deploy: d.id, N: 3, Target: shopProd, Kind: "from_the_future"})
}

func TestTheOnlyOpenDeployNeedNotBeNumbered(t *testing.T) {
	m := newMemory()
	says := func(text string) Answer {
		return newHandler(m).Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UADMIN"}, Text: text})
	}
	if a := says("cancel"); a.Code != deploy.CodeRefused || !strings.Contains(a.Text, "nothing to cancel") {
		t.Errorf("got %+v", a)
	}
	submitted(t, m, shopProd, "k1")
	submitted(t, m, apiProd, "k2")
	a := says("cancel")
	contains(t, a.Text, "which one", "#1 (shop/production, queued)", "#2 (api/live, queued)", "cancel #1")
	if a = says("cancel api"); a.Deploy != 2 {
		t.Errorf("got %+v", a)
	}
	if a = says("cancel"); a.Deploy != 1 {
		t.Errorf("got %+v", a)
	}
	contains(t, says("cancel #77").Text, "no deploy #77", "history")
}

func TestResumeGoesOnOnlyWithWhatIsHeld(t *testing.T) {
	m := newMemory()
	d := submitted(t, m, shopProd, "k").planned()
	a := says(t, m, "resume #1")
	if a.Code != deploy.CodeRefused {
		t.Errorf("got %+v", a)
	}
	contains(t, a.Text, "neither held nor paused", "running")
	d.stuck()
	if a = says(t, m, "resume"); a.Code != "" || a.Deploy != 1 {
		t.Errorf("got %+v", a)
	}
	if s, _ := m.State(1); s.Phase != deploy.PhaseRunning {
		t.Errorf("it is %s", s.Phase)
	}
}

func TestAbandonEndsOnlyWhatIsStuckAndRecordsWhy(t *testing.T) {
	m := newMemory()
	d := submitted(t, m, shopProd, "k").planned()
	contains(t, says(t, m, `abandon #1 "by hand"`).Text, "only a stuck deploy", "cancel #1")
	d.stuck()
	if a := saysAs(t, m, "slack:UDEPLOY", `abandon #1 "by hand"`, "k9"); a.Code != deploy.CodeRefused {
		t.Errorf("a deployer may: %+v", a)
	}
	says(t, m, `abandon #1 "by hand"`)
	if s, _ := m.State(1); s.Abandon == nil || s.Why != "by hand" {
		t.Errorf("got %+v", s)
	}
}

func TestAbandonAlsoEndsAJournalThatMakesNoSense(t *testing.T) {
	m := newMemory()
	breakJournal(submitted(t, m, shopProd, "k"))
	if a := says(t, m, `abandon #1 "from a newer version"`); a.Code != "" {
		t.Errorf("got %+v", a)
	}
}

func TestACommandIsDecidedAnewWhenTheDeployMovesOn(t *testing.T) {
	m := newMemory()
	d := submitted(t, m, shopProd, "k")
	var once sync.Once
	m.onAppend = func() error {
		once.Do(func() { d.append(deploy.Event{Kind: deploy.KindClaimed}) })
		return nil
	}
	a := says(t, m, "cancel #1")
	s, _ := m.State(1)
	if s.Ended() || s.Cancel == nil || a.Code != "" {
		t.Errorf("claimed meanwhile, it was %+v: %+v", s, a)
	}
	m.onAppend = func() error { return &deploy.Error{Code: deploy.CodeConflict} }
	d2 := submitted(t, m, apiProd, "k2")
	a = says(t, m, "cancel "+d2.id.String())
	if a.Code != deploy.CodeConflict {
		t.Errorf("an endless conflict gives %+v", a)
	}
	contains(t, a.Text, "type it again")
}

func TestARollbackOfADeployThatIsNotForGoodIsItsRevert(t *testing.T) {
	for done := range 4 {
		m := newMemory()
		submitted(t, m, shopProd, "k").planned().done(done)
		a := says(t, m, "rollback")
		s, _ := m.State(1)
		if a.Deploy != 1 || s.Cancel == nil || s.Why != "rollback" || len(m.ids()) != 1 {
			t.Errorf("after %d steps: %+v", done, a)
		}
		contains(t, a.Text, "#1 is going back")
		contains(t, says(t, m, "rollback").Text, "#1 is going back already")
	}
}

func TestARollbackOfARevivalSaysWhatToWaitFor(t *testing.T) {
	m := newMemory()
	revival(submitted(t, m, shopProd, "k"))
	a := says(t, m, "rollback")
	contains(t, a.Text, "no process of an earlier release runs any more", "wait for its end")
	if a.Code != deploy.CodeRefused || len(m.ids()) != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestARollbackAlsoRevertsAStuckDeploy(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k").planned().done(3).stuck()
	if a := says(t, m, "rollback"); a.Deploy != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestARollbackAfterBakeOrOfARollbackIsARequest(t *testing.T) {
	m := newMemory()
	d := submitted(t, m, shopProd, "k").planned().done(4)
	if a := says(t, m, "rollback"); a.Deploy != 2 {
		t.Errorf("in the clean-up: %+v", a)
	}
	d.done(1).ended(deploy.Succeeded)
	drive{t, m, 2}.append(deploy.Event{Kind: deploy.KindClaimed})
	if a := says(t, m, "rollback to 1111111"); a.Deploy != 3 {
		t.Errorf("during a rollback: %+v", a)
	}
	if s, _ := m.State(3); s.Request.Release != "1111111" || s.Request.Want != deploy.WantRollback {
		t.Errorf("got %+v", s.Request)
	}
}

func TestARevertThatGoesElsewhereThanAskedSaysSo(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k").planned().done(3)
	contains(t, says(t, m, "rollback to 2222222").Text, "to 1111111", "for 2222222 type `rollback shop production to 2222222`")
}

// A redelivered rollback must neither revert a later deploy nor roll back twice.
func TestARepeatedControlCommandHasOneEffect(t *testing.T) {
	for _, text := range []string{"rollback", "cancel"} {
		m := newMemory()
		d := submitted(t, m, shopProd, "k").planned().done(3)
		first := saysAs(t, m, "slack:UADMIN", text, "same key")
		d.undo().done(1).ended(deploy.Reverted)
		next := submitted(t, m, shopProd, "k2").planned()
		second := saysAs(t, m, "slack:UADMIN", text, "same key")
		if first.Text != second.Text || second.Deploy != 1 {
			t.Errorf("%s: %+v, then %+v", text, first, second)
		}
		if s, _ := m.State(next.id); s.Cancel != nil || len(m.ids()) != 2 {
			t.Errorf("%s hit the next deploy too", text)
		}
	}
}

func TestConcurrentRepetitionsOfACommandHaveOneEffect(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k").planned().done(3)
	h := newHandler(m)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			cmd := deploy.Command{Chat: "slack", Channel: shopChannel, User: deploy.Actor{ID: "slack:UDEPLOY"}, Text: "rollback", Key: "k"}
			if a := h.Handle(context.Background(), cmd); a.Deploy != 1 {
				t.Errorf("got %+v", a)
			}
		})
	}
	wg.Wait()
	cancels := 0
	for _, e := range m.events {
		if e.Kind == deploy.KindCancel {
			cancels++
		}
	}
	if cancels != 1 || len(m.ids()) != 1 {
		t.Errorf("%d cancels, %d deploys", cancels, len(m.ids()))
	}
}

func TestACommandWithoutANumberReadsOnlyWhatRunsAndWhatEndedLast(t *testing.T) {
	m := newMemory()
	for i := range 8 {
		submitted(t, m, shopProd, fmt.Sprint(i)).ended(deploy.Superseded)
	}
	submitted(t, m, shopProd, "k").planned().done(1)
	first := saysAs(t, m, "slack:UADMIN", "cancel", "one")
	if m.journals > 2 {
		t.Errorf("%d journals were read", m.journals)
	}
	drive{t, m, 9}.ended(deploy.Failed)
	if again := saysAs(t, m, "slack:UADMIN", "cancel", "one"); again.Text != first.Text || again.Deploy != 9 {
		t.Errorf("first %+v, again %+v", first, again)
	}
}
