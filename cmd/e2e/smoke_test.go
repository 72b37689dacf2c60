package e2e

import (
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestAPushGoesLiveUnderLoadAndARollbackBringsTheOldReleaseBack(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.blueGreen()["keep_old"] = "5m"
		r.env()["verify"] = object{"url": r.frontURL() + "/healthz", "interval": "200ms"}
	})
	r.serve()
	first := r.push(behaviour{Version: "v1"})
	r.api.ends(first, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v1")

	l := startLoad(t, r.frontURL(), everybody(200))
	second := r.push(behaviour{Version: "v2"})
	r.api.ends(second, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v2")

	began := time.Now()
	out := r.mustCLI("rollback", "shop", "production")
	t.Logf("rollback took %s", time.Since(began).Round(time.Millisecond))
	mustHold(t, "rollback", out, "succeeded", "serving now", "requests failed")
	mustServe(t, r.frontURL(), "v1")
	l.mustBeSilent(t)

	r.mustShowWhatHappened(first, second)
	for _, id := range []deploy.ID{first, second, second + 1} {
		r.mustTellOnce(id)
	}
}

// mustShowWhatHappened asks the commands that only look.
func (r *rig) mustShowWhatHappened(first, second deploy.ID) {
	r.t.Helper()
	mustHold(r.t, "status", r.mustCLI("status"), "shop → production", "live: ", "on blue", "warm: green", (second + 1).String())
	mustHold(r.t, "history", r.mustCLI("history", "-n", "5"), first.String()+" deploy", second.String()+" deploy", "rollback", "succeeded")
	plan := r.mustCLI("plan", "main")
	mustHold(r.t, "plan", plan, "commit point", "switch traffic to green", "proof of the release: process", "silence is measured at")
	out, _, _ := r.cli("whoami")
	mustHold(r.t, "whoami", out, "cli:")
}

// mustTellOnce wants one message in Slack, posted and then edited to the final
// state, and at most four of DingTalk's robot.
func (r *rig) mustTellOnce(id deploy.ID) {
	r.t.Helper()
	r.told(id, "succeeded")
	cards := r.cards(id)
	if len(cards) != 1 {
		r.t.Errorf("the channel shows %d messages about %s, want 1: %v", len(cards), id, cards)
	}
	if len(cards[0].History) == 0 {
		r.t.Errorf("the message about %s was not edited", id)
	}
	eventually(r.t, 30*time.Second, "DingTalk tells the end of "+id.String(), func() bool {
		said := r.dingtalkSaid(id)
		return len(said) > 0 && strings.Contains(said[len(said)-1], "succeeded")
	})
	if said := r.dingtalkSaid(id); len(said) > 4 {
		r.t.Errorf("DingTalk's robot told %s in %d messages, at most 4 are allowed: %q", id, len(said), said)
	}
}

// dingtalkSaid are the robot's messages about a deploy.
func (r *rig) dingtalkSaid(id deploy.ID) []string {
	var out []string
	for _, m := range r.dingtalk.Messages("webhook/all") {
		if strings.Contains(m.Visible(), id.String()+" ") {
			out = append(out, m.Visible())
		}
	}
	return out
}
