package bot

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

func TestStatusTellsWhatIsLiveRunningAndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		contains(t, says(t, m, "status").Text, "shop → production", "live: nothing yet")
		d := submitted(t, m, shopProd, "k").planned().done(5)
		d.append(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &deploy.Report{
			Warm: &deploy.Lease{Slot: deploy.Blue, Release: deploy.Release{Commit: deploy.Commit{SHA: "1111111aa", Title: "Old\x1b[2J"}}, Until: time.Now().Add(time.Hour)}}})
		time.Sleep(3 * time.Hour / 4)
		d2 := submitted(t, m, shopProd, "k2").planned()
		d2.append(deploy.Event{Kind: deploy.KindStarted, Step: 0})
		submitted(t, m, shopProd, "k3")
		text := says(t, m, "status").Text
		contains(t, text, "live: 4f2a91c Fix the basket on green since 2000-01-01 00:00 UTC (45 min) by Ann, #1",
			"warm: blue keeps 1111111 Old[2J until 2000-01-01 01:00 UTC", "now: #2 deploy main 4f2a91c Fix the basket by Ann deploying, step 1 of 5: fetch",
			"queue 1: #3 deploy main")
		d2.stuck()
		contains(t, says(t, m, "status").Text, "held, a person is needed", "somebody edited the file", "`resume #2`", "`cancel #2`", "abandon #2")
		time.Sleep(time.Hour)
		if text := says(t, m, "status").Text; strings.Contains(text, "warm") {
			t.Errorf("an expired lease is told: %s", text)
		}
	})
}

func TestHistoryListsTheNewestFirst(t *testing.T) {
	m := newMemory()
	contains(t, says(t, m, "history").Text, "no deploy yet")
	for i := range 4 {
		submitted(t, m, shopProd, fmt.Sprint(i)).ended(deploy.Superseded)
	}
	submitted(t, m, apiProd, "api")
	lines := strings.Split(says(t, m, "history -n 3").Text, "\n")
	if len(lines) != 3 {
		t.Fatalf("got %q", lines)
	}
	contains(t, lines[0], "#4", "superseded", "shop/production", "by Ann")
	all := newHandler(m).Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UNOBODY"}, Text: "history"})
	contains(t, strings.Split(all.Text, "\n")[0], "#5", "api/live", "queued")
}

func TestAPlanIsMadeLaterAndChangesNothing(t *testing.T) {
	m := newMemory()
	s, _ := submitted(t, newMemory(), shopProd, "k").planned().m.State(1)
	m.plan = *s.Plan
	a := saysAs(t, m, "slack:UNOBODY", "plan feature/x", "k")
	contains(t, a.Text, "planning shop → production feature/x")
	if a.Later == nil || m.planCalls != 0 {
		t.Fatal("it was planned at once")
	}
	contains(t, a.Later(t.Context()).Text, "deploy 4f2a91c Fix the basket to green", "1. fetch", "3. switch traffic to green", "commit point", "5. stop blue")
	m.planErr = &deploy.Error{Code: deploy.CodeForeign, Message: "port 8081 is taken by java (pid 42)"}
	if late := a.Later(t.Context()); late.Code != deploy.CodeForeign || !strings.Contains(late.Text, "pid 42") {
		t.Errorf("got %+v", late)
	}
	if m.submits != 0 {
		t.Error("a plan was submitted")
	}
}

// patchy is a store in which single records are damaged.
type patchy struct{ *memory }

func damagedBesides(err error) error {
	return errors.Join(err, &deploy.Error{Code: deploy.CodeDamaged, Message: "the checksum is wrong"})
}

func (p patchy) History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error) {
	all, err := p.memory.History(t, before, limit)
	return all, damagedBesides(err)
}

func (p patchy) Waiting(t deploy.Target) ([]deploy.State, error) {
	all, err := p.memory.Waiting(t)
	return all, damagedBesides(err)
}

func TestADamagedRecordHidesNoOther(t *testing.T) {
	m := newMemory()
	submitted(t, m, shopProd, "k")
	h := newHandler(m)
	h.Records, h.Queue = patchy{m}, patchy{m}
	for _, c := range [][2]string{{"status", "queue 1: #1"}, {"history", "#1 deploy main"}, {"cancel", "#1 cancelled"}} {
		text, want := c[0], c[1]
		a := h.Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UADMIN"}, Text: text + " shop/production", Key: text})
		if a.Code != "" || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %+v", text, a)
		}
		if text == "status" && !strings.Contains(a.Text, damagedLine) {
			t.Errorf("%s does not tell of the damage: %q", text, a.Text)
		}
	}
}
