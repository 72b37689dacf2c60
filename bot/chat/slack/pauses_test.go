package slack

import (
	"testing"
	"time"

	"ipublish/bot"
)

func TestPausesGrowFromOneSecondToOneMinuteAndAreJittered(t *testing.T) {
	pace := steady()
	var p pauses
	most := time.Second
	for range 20 {
		if wait := p.after(ending{}, pace); wait < most/2 || wait > most {
			t.Errorf("waits %s, want between %s and %s", wait, most/2, most)
		}
		most = min(2*most, time.Minute)
	}
	different := map[time.Duration]bool{}
	for range 20 {
		different[p.after(ending{}, pace)] = true
	}
	if len(different) < 2 {
		t.Error("every pause is the same: a crowd would return at once")
	}
}

func TestAConnectionThatStoodAMinuteIsOpenedAgainAtOnceAndStartsPausesAnew(t *testing.T) {
	pace := steady()
	var p pauses
	for range 8 {
		p.after(ending{stood: 59 * time.Second}, pace)
	}
	if wait := p.after(ending{stood: time.Minute}, pace); wait != 0 {
		t.Errorf("after a stable minute it waits %s", wait)
	}
	if wait := p.after(ending{}, pace); wait > time.Second {
		t.Errorf("the first failure after a stable minute waits %s", wait)
	}
}

func TestSlacksRetryAfterIsWaitedForHoweverLong(t *testing.T) {
	e := ending{err: unopened("unavailable", &bot.Throttled{After: 5 * time.Minute}, "wait")}
	var p pauses
	if wait := p.after(e, steady()); wait != 5*time.Minute {
		t.Errorf("waits %s", wait)
	}
}

func TestWhatIsTypedBesideAMentionIsWhatThePersonMeant(t *testing.T) {
	for in, want := range map[string]string{
		"<@U0IPUBLISH> deploy main":                              "deploy main",
		"<@U0IPUBLISH|ipublish>  deploy main ":                   "deploy main",
		"please, <@U0IPUBLISH> deploy":                           "please,   deploy",
		"<@U0IPUBLISH>":                                          "",
		"<@U0IPUBLISH> lock \"by <@U0ADA>\"":                     "lock \"by <@U0ADA>\"",
		"<@U0ADA> ask <@U0IPUBLISH> status":                      "<@U0ADA> ask   status",
		"<@U0IPUBLISH> deploy <http://release.io|release.io>":    "deploy release.io",
		"<@U0IPUBLISH> deploy <https://a.example/b>":             "deploy https://a.example/b",
		"<@U0IPUBLISH> deploy a&amp;b &lt;!channel&gt; &amp;lt;": "deploy a&b <!channel> &lt;",
	} {
		if got := typed(in, "U0IPUBLISH"); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := typed("<@U0ADA> status", ""); got != "status" {
		t.Errorf("without the bot's id: %q", got)
	}
}
