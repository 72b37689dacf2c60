package bot

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

func TestThrottlingIsHonoured(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		began := time.Now()
		var calls atomic.Int64
		f.slack.failing(func(deploy.Message) error {
			if calls.Add(1) == 1 {
				return &deploy.Error{Code: deploy.CodeUnavailable, Err: &Throttled{After: 47 * time.Second}}
			}
			return nil
		})
		submitted(t, f.m, shopProd, "k").planned()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(f.slack.at) != 1 || calls.Load() != 2 {
			t.Fatalf("%d calls, %d messages", calls.Load(), len(f.slack.at))
		}
		if waited := f.slack.at[0].Sub(began); waited < 47*time.Second || waited > 48*time.Second {
			t.Errorf("it waited %s", waited)
		}
	})
}

func TestUpdatesOfAChannelKeepTheirDistance(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		d := submitted(t, f.m, shopProd, "k").planned()
		for i := range 200 {
			d.append(deploy.Event{Kind: deploy.KindNoted, Text: fmt.Sprint("line ", i)})
			time.Sleep(50 * time.Millisecond)
		}
		d.done(5).ended(deploy.Succeeded)
		f.settle()
		all := f.slack.told()
		for i := 1; i < len(all); i++ {
			if gap := f.slack.at[i].Sub(f.slack.at[i-1]); gap < spacing {
				t.Errorf("message %d follows after %s", i, gap)
			}
		}
		if len(all) < 5 || len(all) > 12 || all[len(all)-1].Status != "succeeded" {
			t.Errorf("%d messages, %q", len(all), statuses(all))
		}
	})
}

func TestEndsAreToldFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		for i := range 5 {
			submitted(t, f.m, shopProd, fmt.Sprint(i))
		}
		drive{t, f.m, 4}.ended(deploy.Cancelled)
		time.Sleep(time.Minute)
		f.slack.failing(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		all := f.slack.told()
		if len(all) != 5 || all[0].Deploy != 4 {
			t.Errorf("told %d messages, first of %s", len(all), all[0].Deploy)
		}
	})
}

func TestASlowChannelHoldsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		release := make(chan struct{})
		f.slack.failing(func(m deploy.Message) error {
			if m.Channel == shopChannel {
				<-release
			}
			return nil
		})
		submitted(t, f.m, shopProd, "k1")
		submitted(t, f.m, apiProd, "k2")
		submitted(t, f.m, shopStag, "k3")
		time.Sleep(10 * time.Second)
		for _, m := range f.slack.told() {
			if m.Channel != opsChannel {
				t.Errorf("told %+v", m)
			}
		}
		if n := len(f.slack.told()); n != 2 {
			t.Errorf("%d messages", n)
		}
		close(release)
		time.Sleep(10 * time.Second)
		if n := len(f.slack.told()); n != 3 {
			t.Errorf("%d messages after the release", n)
		}
	})
}

func TestAMessageThatIsNotTakenHoldsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(func(m deploy.Message) error {
			if m.Deploy == 1 {
				return &deploy.Error{Code: deploy.CodeInvalid, Message: "the platform refuses this text"}
			}
			return nil
		})
		submitted(t, f.m, shopProd, "k1")
		submitted(t, f.m, shopProd, "k2")
		f.settle()
		all := f.slack.told()
		if len(all) != 1 || all[0].Deploy != 2 {
			t.Errorf("told %+v", all)
		}
	})
}

func TestTheTimingOfOldMessagesIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.stop()
		d := newDispatcher(f.n)
		ctx, cancel := context.WithCancel(t.Context())
		wake, done := make(chan struct{}, 1), make(chan error, 1)
		go func() { done <- d.run(ctx, wake) }()
		for i := range 50 {
			channel := fmt.Sprintf("slack:C%d", i)
			submitted(t, f.m, shopProd, fmt.Sprint(i)).ended(deploy.Cancelled)
			_ = f.m.Enqueue(reader, uint64(i), []deploy.Letter{{Deploy: deploy.ID(i + 1), Channel: channel, WantN: 2, Final: true}})
		}
		nudge(wake)
		f.settle()
		time.Sleep(remembered)
		nudge(wake)
		synctest.Wait()
		cancel()
		<-done
		if len(f.slack.told()) != 50 || len(d.timings) != 0 || len(d.lanes) != 0 {
			t.Errorf("%d told, %d timings, %d lanes are kept", len(f.slack.told()), len(d.timings), len(d.lanes))
		}
	})
}
