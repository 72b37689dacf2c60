package bot

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

// announced calls Announce in the background and gives its result.
func announced(f *telling, ctx context.Context, channel string) <-chan error {
	out := make(chan error, 1)
	go func() { out <- f.n.Announce(ctx, channel, []string{"first", "second"}) }()
	return out
}

func TestAnAnnouncementIsOneMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		if err := f.n.Announce(t.Context(), shopChannel, []string{"first", "second"}); err != nil {
			t.Fatal(err)
		}
		all := f.slack.told()
		if len(all) != 1 || all[0].Channel != shopChannel || strings.Join(all[0].Lines, "|") != "first|second" || !all[0].Final {
			t.Errorf("told %+v", all)
		}
	})
}

func TestAnAnnouncementOutlastsAnOutageAndIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		done := announced(f, t.Context(), shopChannel)
		time.Sleep(30 * time.Minute)
		f.slack.failing(nil)
		time.Sleep(maxPause)
		synctest.Wait()
		if err := <-done; err != nil || len(f.slack.told()) != 1 {
			t.Errorf("%v, told %d times", err, len(f.slack.told()))
		}
		if n := f.log.count("could not be sent"); n != 1 {
			t.Errorf("the outage was logged %d times", n)
		}
	})
}

func TestAnAnnouncementWaitsAsLongAsThePlatformAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		var calls atomic.Int64
		f.slack.failing(func(deploy.Message) error {
			if calls.Add(1) > 3 {
				return nil
			}
			return &deploy.Error{Code: deploy.CodeUnavailable, Err: &Throttled{After: 7 * time.Minute}}
		})
		began := time.Now()
		if err := f.n.Announce(t.Context(), shopChannel, []string{"x"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 21*time.Minute || calls.Load() != 4 {
			t.Errorf("%d calls in %s", calls.Load(), took)
		}
	})
}

func TestAnAnnouncementIsGivenUpAfterAnHour(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		began := time.Now()
		err := f.n.Announce(t.Context(), shopChannel, []string{"x"})
		if deploy.CodeOf(err) != deploy.CodeUnavailable || time.Since(began) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestAnAnnouncementEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.slack.failing(down)
		ctx, cancel := context.WithCancel(t.Context())
		done := announced(f, ctx, shopChannel)
		time.Sleep(time.Minute)
		cancel()
		began := time.Now()
		if err := <-done; err == nil || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestAnAnnouncementToAnUnknownChatIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		err := f.n.Announce(t.Context(), "teams:19:x", []string{"x"})
		if deploy.CodeOf(err) != deploy.CodeNotFound || !strings.Contains(deploy.MessageOf(err), "teams:19:x") {
			t.Errorf("%v", err)
		}
	})
}

func missedIn(env, title string) Missed {
	return Missed{
		Target: deploy.Target{App: "shop", Env: env}, Branch: "main",
		Tip: deploy.Commit{SHA: strings.Repeat("4f2a91c0", 5), Title: title}, Live: deploy.Commit{SHA: strings.Repeat("b", 40)},
	}
}

func TestMissedPushesAreToldWithWhatToType(t *testing.T) {
	got := MissedLines([]Missed{missedIn("production", "Fix the basket"), missedIn("staging", "Fix the basket")})
	want := []string{
		"2 pushes were missed while ipublish was away:",
		"shop → production: main is at 4f2a91c Fix the basket, bbbbbbb is live: `deploy shop main to production`",
		"shop → staging: main is at 4f2a91c Fix the basket, bbbbbbb is live: `deploy shop main to staging`",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s", strings.Join(got, "\n"))
	}
	if one := MissedLines([]Missed{missedIn("production", "")}); one[0] != "1 push was missed while ipublish was away:" || len(one) != 2 {
		t.Errorf("told %q", one)
	}
}

func TestAHostileTitleOfAMissedPushStaysOneShortLine(t *testing.T) {
	lines := MissedLines([]Missed{missedIn("production", "nice\n\u202eevil\x1b[2J"+strings.Repeat("x", 10000))})
	if len(lines) != 2 || strings.ContainsAny(lines[1], "\n\x1b\u202e") || len([]rune(lines[1])) > 200 {
		t.Errorf("told %q", lines)
	}
}

func TestManyMissedPushesAreToldInFewLines(t *testing.T) {
	var all []Missed
	for i := range 25 {
		all = append(all, missedIn(fmt.Sprint("e", i), "x"))
	}
	lines := MissedLines(all)
	if len(lines) != 12 || !strings.HasPrefix(lines[0], "25 pushes") || lines[11] != "and 15 more: `status` shows what is live" {
		t.Errorf("told %q", lines)
	}
}
