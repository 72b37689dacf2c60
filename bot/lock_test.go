package bot

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

// locked leaves an environment locked.
func locked(t *testing.T, m *memory, target deploy.Target) drive {
	t.Helper()
	return asked(t, m, deploy.Request{App: target.App, Env: target.Env, Want: deploy.WantLock, Reason: "migration", By: deploy.Actor{ID: "slack:UDEPLOY", Name: "Ann"}})
}

// asked submits a request that is carried out at once.
func asked(t *testing.T, m *memory, r deploy.Request) drive {
	t.Helper()
	r.Key, r.At = fmt.Sprintf("%s %d", r.Want, len(m.events)), time.Now().UTC()
	id, _, err := m.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	d := drive{t, m, id}
	d.settled()
	return d
}

// settled ends a request as the claim does with locks and unlocks.
func (d drive) settled() {
	d.t.Helper()
	d.append(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded})
}

// rolledBack leaves an environment to which a person rolled back.
func rolledBack(t *testing.T, m *memory, target deploy.Target) drive {
	t.Helper()
	return asked(t, m, deploy.Request{App: target.App, Env: target.Env, Want: deploy.WantRollback, By: deploy.Actor{ID: "slack:UDEPLOY", Name: "Bob"}})
}

func lacks(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("%q tells %q", text, w)
		}
	}
}

func TestALockSaysWhyAndUntilWhenAndHowToEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := saysAs(t, m, "slack:UDEPLOY", `lock "database migration" for 2h`, "k")
		if want := "#1 locks shop → production until 2000-01-01 02:00 UTC: database migration\n`unlock shop production` ends it"; a.Text != want || a.Deploy != 1 || a.Code != "" {
			t.Errorf("got %+v, want %q", a, want)
		}
		s, _ := m.State(1)
		if r := s.Request; r.Want != deploy.WantLock || r.Reason != "database migration" || r.For.D() != 2*time.Hour || r.By.ID != "slack:UDEPLOY" || r.Origin != shopChannel || r.Key != "k" {
			t.Errorf("the request is %+v", r)
		}
		time.Sleep(time.Hour)
		if again := saysAs(t, m, "slack:UDEPLOY", `lock "database migration" for 2h`, "k"); again.Text != a.Text || len(m.ids()) != 1 {
			t.Errorf("delivered again it is %+v", again)
		}
		open := saysAs(t, m, "slack:UDEPLOY", "lock api incident", "k2")
		if want := "#2 locks api → live: incident\n`unlock api live` ends it"; open.Text != want {
			t.Errorf("got %q, want %q", open.Text, want)
		}
	})
}

func TestASecondLockReplacesTheFirstAndSaysWhose(t *testing.T) {
	m := newMemory()
	locked(t, m, shopProd)
	a := says(t, m, `lock "the disk is full"`)
	contains(t, a.Text, "#2 locks shop → production: the disk is full", "it replaces the lock of Ann, #1: migration")
	contains(t, says(t, m, `lock "a third"`).Text, "it replaces the lock of Ann, #2: the disk is full")
	drive{t, m, 2}.settled()
	drive{t, m, 3}.settled()
	text := says(t, m, "locks").Text
	contains(t, text, "#3: a third")
	lacks(t, text, "migration", "disk")
	m = newMemory()
	locked(t, m, shopStag)
	lacks(t, says(t, m, `lock "why"`).Text, "replaces")
}

func TestUnlockEndsALockAndAPauseAndSaysWhatItWas(t *testing.T) {
	m := newMemory()
	locked(t, m, shopProd)
	rolledBack(t, m, shopProd)
	a := saysAs(t, m, "slack:UDEPLOY", "unlock", "k")
	contains(t, a.Text, "#3 unlocks shop → production: what waits goes on", "\nit was locked by Ann with #1: migration\nit was paused: Bob had rolled back with #2")
	drive{t, m, 3}.settled()
	l, _ := m.Live(shopProd)
	if s, _ := m.State(3); l.Lock != nil || l.Paused != nil || s.Request.Want != deploy.WantUnlock || s.Request.Lock != 0 {
		t.Errorf("left %+v", l)
	}
	again := saysAs(t, m, "slack:UDEPLOY", "unlock", "k")
	contains(t, again.Text, "#3 unlocks shop → production")
	if again.Deploy != 3 || len(m.ids()) != 3 {
		t.Errorf("delivered again it is %+v", again)
	}
}

func TestWithoutALockUnlockSaysSoAndAsksForNothing(t *testing.T) {
	m := newMemory()
	locked(t, m, shopStag)
	a := says(t, m, "unlock")
	if want := "shop → production is not locked: there is nothing to unlock"; a.Text != want || a.Code != "" || a.Deploy != 0 || len(m.ids()) != 1 {
		t.Errorf("got %+v", a)
	}
}

// A lock is in force from its acknowledgement on, even before the claim ended it.
func TestALockThatIsJustTakenInCountsAlready(t *testing.T) {
	m := newMemory()
	says(t, m, `lock "why"`)
	contains(t, says(t, m, "deploy main").Text, "waits: locked by Ann (why)")
	contains(t, says(t, m, "locks").Text, "locked by Ann", "#1: why", "1 deploy waits")
	contains(t, says(t, m, "unlock").Text, "#3 unlocks")
	contains(t, says(t, m, "unlock").Text, "nothing to unlock")
	contains(t, says(t, m, "locks").Text, "nothing is locked")
	lacks(t, says(t, m, "deploy feature/x").Text, "waits")
}

func TestADeployIntoALockSaysThatItWaitsAndHowToPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		lacks(t, says(t, m, "deploy main").Text, "waits", "force")
		drive{t, m, 1}.ended(deploy.Superseded)
		says(t, m, `lock "the <!channel> migration" for 2h`)
		drive{t, m, 2}.settled()
		a := says(t, m, "deploy main")
		contains(t, a.Text, "#3 queued", "waits: locked by Ann (the <!channel> migration) until 2000-01-01 02:00 UTC or `unlock shop production`", "an admin passes the lock with `--force \"why\"`")
		forced := says(t, m, `deploy main --force "the fix"`)
		contains(t, forced.Text, "--force passes the lock of Ann: the <!channel> migration")
		lacks(t, forced.Text, "waits")
		for _, verb := range []string{"rollback", "accept", "adopt"} {
			lacks(t, says(t, m, verb).Text, "waits", "lock")
		}
	})
}

func TestADeployThatRunsIsNotSaidToWait(t *testing.T) {
	m := newMemory()
	saysAs(t, m, "slack:UADMIN", "deploy main", "k")
	drive{t, m, 1}.planned()
	locked(t, m, shopProd)
	lacks(t, saysAs(t, m, "slack:UADMIN", "deploy main", "k").Text, "waits")
}

func TestAfterARollbackADeployOfAPersonGoesOnAndIsToldOfThePause(t *testing.T) {
	m := newMemory()
	rolledBack(t, m, shopProd)
	a := says(t, m, "deploy main")
	contains(t, a.Text, "#2 queued", "automatic deploys stay paused until `unlock shop production`")
	lacks(t, a.Text, "waits")
}

func TestAPlanShowsWhatStandsInTheWayBesides(t *testing.T) {
	m := newMemory()
	locked(t, m, shopProd)
	rolledBack(t, m, shopProd)
	contains(t, says(t, m, "plan").Later(t.Context()).Text, "nothing to do", "waits: locked by Ann (migration)", "--force", "automatic deploys stay paused until `unlock shop production`")
	forced := says(t, m, `plan --force "why"`).Later(t.Context()).Text
	contains(t, forced, "--force passes the lock of Ann: migration")
	lacks(t, forced, "waits")
	lacks(t, says(t, m, "plan api").Later(t.Context()).Text, "lock", "paused")
}

func TestLocksListsWhoWhySinceWhenUntilWhenAndHowManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		h := newHandler(m)
		locks := func() string {
			return h.Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UNOBODY"}, Text: "locks"}).Text
		}
		if got := locks(); got != "nothing is locked" {
			t.Errorf("got %q", got)
		}
		says(t, m, `lock "migration" for 2h`)
		drive{t, m, 1}.settled()
		rolledBack(t, m, apiProd)
		time.Sleep(time.Hour)
		push := deploy.Request{App: "api", Env: "live", Want: deploy.WantDeploy, Commit: sha, Auto: true, By: deploy.Actor{ID: "push:github"}}
		for i, r := range []deploy.Request{push, {App: "api", Env: "live", Want: deploy.WantDeploy}, {App: "shop", Env: "production", Want: deploy.WantDeploy}, {App: "shop", Env: "production", Want: deploy.WantDeploy, Auto: true},
			{App: "shop", Env: "production", Want: deploy.WantDeploy, Force: "why"}, {App: "shop", Env: "production", Want: deploy.WantRollback}} {
			r.Key = fmt.Sprint(i)
			if _, _, err := m.Submit(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		want := "shop → production\n" +
			"  locked by Ann since 2000-01-01 00:00 UTC (1 h) until 2000-01-01 02:00 UTC, #1: migration\n" +
			"  2 deploys wait\n\n" +
			"api → live\n" +
			"  paused since 2000-01-01 00:00 UTC (1 h): Bob rolled back with #2, so nothing is deployed automatically until `unlock api live`\n" +
			"  1 deploy waits"
		if got := locks(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestStatusAndHistoryTellOfLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		says(t, m, `lock "migration" for 2h`)
		contains(t, says(t, m, "history").Text, "queued · #1 lock by Ann until 2000-01-01 02:00 UTC: migration")
		drive{t, m, 1}.settled()
		rolledBack(t, m, shopProd)
		contains(t, says(t, m, "status").Text, "\n  locked by Ann since 2000-01-01 00:00 UTC (just now) until 2000-01-01 02:00 UTC, #1: migration\n  paused since", "until `unlock shop production`")
		asked(t, m, deploy.Request{App: "shop", Env: "production", Want: deploy.WantUnlock, Lock: 1, By: deploy.SystemActor()})
		says(t, m, `lock "for good"`)
		drive{t, m, 4}.settled()
		lines := strings.Split(says(t, m, "history").Text, "\n")
		for i, want := range []string{"locked · #4 lock by Ann: for good", "unlocked · #3 unlock by ipublish, the time of #1 is over", "succeeded · #2 rollback by Bob", "locked · #1 lock by Ann until 2000-01-01 02:00 UTC: migration"} {
			contains(t, lines[i], want)
		}
	})
}

func TestWhoCancelsALockIsToldToUnlock(t *testing.T) {
	m := newMemory()
	d := locked(t, m, shopProd)
	a := says(t, m, "cancel "+d.id.String())
	contains(t, a.Text, "#1 is a lock: `unlock shop production` ends it")
	if a.Code != deploy.CodeRefused {
		t.Errorf("got %+v", a)
	}
}

func TestAnAdoptionIsQueuedAndMayBeCancelled(t *testing.T) {
	m := newMemory()
	a := says(t, m, "adopt")
	contains(t, a.Text, "#1 queued: adopt what runs in shop → production", "`cancel #1` takes it back")
	if s, _ := m.State(1); s.Request.Want != deploy.WantAdopt || s.Request.Ref != "" {
		t.Errorf("the request is %+v", s.Request)
	}
}

func TestAHostileReasonIsBoundedAndPlain(t *testing.T) {
	fits := strings.Repeat("é", maxReason)
	for reason, want := range map[string]string{
		"<!channel>\n@all\r\n\x1b]0;x\x07\u202e [x](http://y)": "<!channel> @all ]0;x [x](http://y)",
		"`unlock shop production`":                             "'unlock shop production'",
		fits:                                                   fits,
	} {
		m := newMemory()
		a := says(t, m, "lock "+Join([]string{reason}))
		s, err := m.State(1)
		if err != nil || s.Request.Reason != want || hasControl(strings.ReplaceAll(a.Text, "\n", "")) || strings.Count(a.Text, "\n") != 1 {
			t.Errorf("%q became %q: %+v, %v", reason, s.Request.Reason, a, err)
		}
	}
	for _, reason := range []string{fits + "x", strings.Repeat("x", 10_000)} {
		m := newMemory()
		if a := says(t, m, "lock "+Join([]string{reason})); a.Code != deploy.CodeInvalid || len(m.events) != 0 || len(a.Text) > 500 {
			t.Errorf("%.20q of %d bytes: %+v", reason, len(reason), a)
		}
	}
}

func TestOneDamagedRecordHidesNoLock(t *testing.T) {
	m := newMemory()
	locked(t, m, shopProd)
	h := newHandler(m)
	h.Records, h.Queue = patchy{m}, patchy{m}
	for text, want := range map[string]string{"locks": "locked by Ann", "unlock": "unlocks shop → production", `lock "why"`: "it replaces the lock of Ann"} {
		a := h.Handle(t.Context(), deploy.Command{Chat: "slack", Channel: shopChannel, User: deploy.Actor{ID: "slack:UADMIN"}, Text: text})
		if a.Code != "" || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %+v", text, a)
		}
		if strings.HasPrefix(text, "locks") != strings.Contains(a.Text, damagedLine) {
			t.Errorf("%s tells of the damage: %q", text, a.Text)
		}
		m = newMemory()
		locked(t, m, shopProd)
		h.Intake, h.Records, h.Queue = m, patchy{m}, patchy{m}
	}
}
