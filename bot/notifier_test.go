package bot

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

// telling is a notifier with its fakes, in a synctest bubble.
type telling struct {
	t        *testing.T
	m        *memory
	slack    *fakeChat
	dingtalk *fakeChat
	n        *Notifier
	log      *quietLog
	stop     func()
}

func inBubble(t *testing.T, test func(t *testing.T, f *telling)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &telling{t: t, m: newMemory(), slack: newChat(), dingtalk: newChat(), log: &quietLog{}}
		f.dingtalk.editor = false
		f.n = &Notifier{
			Config: testConfig, Chats: map[string]Chat{"slack": f.slack, "dingtalk": f.dingtalk},
			Tail: f.m, Outbox: f.m, States: f.m, Log: slog.New(slog.NewTextHandler(f.log, nil)),
		}
		f.start()
		test(t, f)
		f.stop()
	})
}

func (f *telling) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.n.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("Run ended with %v", err)
		}
		f.stop = func() {}
	}
}

// atOnce makes changes that the notifier sees together.
func (f *telling) atOnce(change func()) {
	f.stop()
	change()
	f.start()
	f.settle()
}

// settle lets everything that is due be told.
func (f *telling) settle() { time.Sleep(30 * time.Second); synctest.Wait() }

func (f *telling) pending() int {
	all, _ := f.m.Pending()
	return len(all)
}

func statuses(all []deploy.Message) []string {
	var out []string
	for _, m := range all {
		out = append(out, m.Status)
	}
	return out
}

func wantStatuses(t *testing.T, got []deploy.Message, want ...string) {
	t.Helper()
	if strings.Join(statuses(got), "|") != strings.Join(want, "|") {
		t.Errorf("told %q, want %q", statuses(got), want)
	}
}

func (c *fakeChat) failing(fail func(m deploy.Message) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func down(deploy.Message) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Message: "the chat does not answer"}
}

func TestOneCardIsEditedThroughADeploy(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		d := submitted(t, f.m, shopProd, "k")
		f.settle()
		f.atOnce(func() { d.planned() })
		f.atOnce(func() { d.done(3) })
		f.atOnce(func() { d.done(2).ended(deploy.Succeeded) })
		all := f.slack.told()
		wantStatuses(t, all, "queued", "deploying", "live, watching it", "succeeded")
		for i, m := range all {
			if m.Channel != shopChannel || (m.Ref == "") != (i == 0) || i > 0 && m.Ref != "ref-1" {
				t.Errorf("message %d: channel %q, ref %q", i, m.Channel, m.Ref)
			}
		}
		if !all[3].Final || f.pending() != 0 {
			t.Errorf("%d letters are pending after %+v", f.pending(), all[3])
		}
	})
}

func TestTheAskersChannelIsToldToo(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		newHandler(f.m).Handle(t.Context(), deploy.Command{Chat: "slack", Channel: opsChannel, User: deploy.Actor{ID: "slack:UDEPLOY"}, Text: "deploy shop/production", Key: "k"})
		f.settle()
		channels := map[string]int{}
		for _, m := range f.slack.told() {
			channels[m.Channel]++
		}
		if channels[shopChannel] != 1 || channels[opsChannel] != 1 || len(channels) != 2 {
			t.Errorf("told %v", channels)
		}
	})
}

func TestAnOutageOfAnHourEndsInOneMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		d := submitted(t, f.m, shopProd, "k")
		time.Sleep(20 * time.Minute)
		d.planned().done(3)
		time.Sleep(20 * time.Minute)
		d.done(2).ended(deploy.Succeeded)
		time.Sleep(20 * time.Minute)
		f.slack.failing(nil)
		time.Sleep(maxPause + time.Second)
		wantStatuses(t, f.slack.told(), "succeeded")
		if n := f.log.count("could not be sent"); n != 1 {
			t.Errorf("the outage was logged %d times", n)
		}
	})
}

func TestARestartGoesOnWithTheSameCard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		var d drive
		f.atOnce(func() { d = submitted(t, f.m, shopProd, "k").planned() })
		f.atOnce(func() { d.done(5).ended(deploy.Succeeded) })
		all := f.slack.told()
		wantStatuses(t, all, "deploying", "succeeded")
		if all[1].Ref != "ref-1" {
			t.Errorf("the end edits %q", all[1].Ref)
		}
	})
}

func TestAKillBetweenSendingAndRememberingTellsAtMostTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.stop()
		f.n.Outbox = &forgetful{memory: f.m}
		submitted(t, f.m, shopProd, "k").planned().done(5).ended(deploy.Succeeded)
		f.start()
		synctest.Wait()
		f.stop()
		f.n.Outbox = f.m
		f.start()
		f.settle()
		wantStatuses(t, f.slack.told(), "succeeded", "succeeded")
	})
}

// forgetful loses what was sent, as a kill does.
type forgetful struct{ *memory }

func (forgetful) Sent(deploy.Letter) error { return errors.New("killed") }

func TestARevertIsAMessageOfItsOwnAndFailuresHaveDetailsInTheThread(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		var d drive
		f.atOnce(func() { d = submitted(t, f.m, shopProd, "k").planned().done(3) })
		f.atOnce(func() { d.undo() })
		f.atOnce(func() { d.done(1).ended(deploy.Reverted) })
		all := f.slack.told()
		wantStatuses(t, all, "live, watching it", "reverting", "reverting", "reverted", "reverted")
		own, card, end, details := all[1], all[2], all[3], all[4]
		if own.Ref != "" || own.Thread != "" || own.Steps != nil {
			t.Errorf("the revert's message is %+v", own)
		}
		if card.Ref != "ref-1" || end.Ref != "ref-1" {
			t.Errorf("the card is %q, then %q", card.Ref, end.Ref)
		}
		if details.Thread != "ref-1" || details.Ref != "" || details.Log != "boom" || len(details.Lines) == 0 {
			t.Errorf("the details are %+v", details)
		}
	})
}

func TestAHeldDeployIsToldEachTimeInTheThread(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		d := submitted(t, f.m, shopProd, "k").planned().done(1)
		f.settle()
		d.stuck()
		f.settle()
		d.append(deploy.Event{Kind: deploy.KindResume, By: &deploy.Actor{ID: "slack:UADMIN"}})
		f.settle()
		d.stuck()
		f.settle()
		threads := 0
		for _, m := range f.slack.told() {
			if m.Thread == "ref-1" {
				threads++
			}
		}
		if threads != 2 || f.pending() != 0 {
			t.Errorf("%d messages in the thread, %d letters pending, %q", threads, f.pending(), statuses(f.slack.told()))
		}
	})
}

func notesChannel(f *telling) {
	cfg := testConfig()
	cfg.Apps[0].Environments[0].Channels = []string{noteChannel}
	f.n.Config = func() Config { return cfg }
}

func TestAChatThatCannotEditGetsAtMostFourMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		notesChannel(f)
		d := submitted(t, f.m, shopProd, "k")
		f.settle()
		d.planned()
		for range 3 {
			d.done(1)
			d.append(deploy.Event{Kind: deploy.KindNoted, Text: "going on"})
			f.settle()
		}
		d.undo()
		f.settle()
		d.done(1)
		f.settle()
		d.ended(deploy.Reverted)
		f.settle()
		wantStatuses(t, f.dingtalk.told(), "deploying", "live, watching it", "reverting", "reverted")
		if f.pending() != 0 {
			t.Errorf("%d letters are pending", f.pending())
		}
	})
}

func TestAChatThatCannotEditIsNotToldOfPushesThatWereOvertaken(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		notesChannel(f)
		f.atOnce(func() {
			submitted(t, f.m, shopProd, "k1").ended(deploy.Superseded)
			submitted(t, f.m, shopProd, "k2").ended(deploy.Rejected)
		})
		wantStatuses(t, f.dingtalk.told(), "rejected")
	})
}

func TestHousekeepingIsToldOnlyWhenItGoesWrong(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		retire := func(key string) drive {
			id, _, err := f.m.Submit(t.Context(), deploy.Request{App: "shop", Env: "production", Want: deploy.WantRetire, By: deploy.SystemActor(), Key: key})
			if err != nil {
				t.Fatal(err)
			}
			return drive{t, f.m, id}
		}
		f.atOnce(func() { retire("k1").planned().done(5).ended(deploy.Succeeded) })
		if n := len(f.slack.told()); n != 0 {
			t.Errorf("%d messages", n)
		}
		f.atOnce(func() { retire("k2").planned().stuck() })
		if all := f.slack.told(); len(all) != 2 || all[0].Tone != deploy.ToneHold {
			t.Errorf("told %q", statuses(all))
		}
	})
}

func TestAnEndIsTriedForADayAndThenGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		var calls atomic.Int64
		f.slack.failing(func(m deploy.Message) error { calls.Add(1); return down(m) })
		submitted(t, f.m, shopProd, "k").ended(deploy.Cancelled)
		time.Sleep(23 * time.Hour)
		if f.pending() != 1 || calls.Load() < 23*60 {
			t.Errorf("after 23 hours %d letters, %d calls", f.pending(), calls.Load())
		}
		time.Sleep(2 * time.Hour)
		if f.pending() != 0 || f.log.count("given up") != 1 {
			t.Errorf("after 25 hours %d letters", f.pending())
		}
	})
}

func TestALetterForAChatThatIsNotConfiguredAnyMoreIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		submitted(t, f.m, shopProd, "k")
		f.settle()
		f.stop()
		f.n.Chats = map[string]Chat{}
		f.start()
		f.settle()
		if f.pending() != 0 {
			t.Errorf("%d letters are pending", f.pending())
		}
	})
}
