package e2e

import (
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestACommitIsDeployedByThePollWhereNoGitHostCanReachUs(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		delete(r.config, "githooks")
		r.app()["poll"] = "10s"
	})
	r.commit(behaviour{Version: "v1"})
	r.serve()
	r.polled(1, "v1")
	second := r.commit(behaviour{Version: "v2"})
	st := r.polled(2, "v2")
	if req := st.Request; !req.Auto || req.By.ID != "push:poll" || req.Commit != second || req.Ref != "main" {
		t.Errorf("it was asked for by %+v", req)
	}
	r.told(st.ID, "succeeded")

	r.server.stop()
	r.commit(behaviour{Version: "v3"})
	r.serve()
	r.polled(3, "v3")
	if _, ok := r.api.state(4); ok {
		t.Error("a tip was deployed twice")
	}
}

// polled waits until the poll, which comes after at most 11 seconds, made a
// deploy, and wants the version to serve at its end.
func (r *rig) polled(id deploy.ID, version string) deploy.State {
	r.t.Helper()
	eventually(r.t, 40*time.Second, "the poll asks for "+id.String(), func() bool {
		_, ok := r.api.state(id)
		return ok
	})
	st := r.api.ends(id, deploy.Succeeded)
	mustServe(r.t, r.frontURL(), version)
	return st
}

func TestAPushThatWasMissedIsToldOnceAndDeployedOnlyByAPerson(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	r.awaitCompared(1)
	r.server.stop()

	sha := r.commit(behaviour{Version: "v2"})
	r.serve()
	r.awaitCompared(2)
	r.server.stop()
	r.serve()
	r.awaitCompared(3)
	slack, dingtalk := r.missedTold()
	if len(slack) != 1 || len(dingtalk) != 1 {
		t.Fatalf("Slack was told %q, DingTalk %q; want once each", slack, dingtalk)
	}
	mustHold(t, "Slack", slack[0], "shop → production: main is at "+deploy.Short(sha)+" Release v2", " is live: `deploy shop main to production`")

	if st, ok := r.api.state(2); ok {
		t.Errorf("%s was deployed by nobody: %+v", st.ID, st.Request)
	}
	mustServe(t, r.frontURL(), "v1")
	r.mustCLI("deploy", "shop", "main", "to", "production")
	mustServe(t, r.frontURL(), "v2")
}

// missedTold is what the channels show of missed pushes.
func (r *rig) missedTold() (slack, dingtalk []string) {
	for _, m := range r.slack.Messages(channel) {
		if strings.Contains(m.Visible(), "missed") {
			slack = append(slack, m.Visible())
		}
	}
	for _, m := range r.dingtalk.Messages("webhook/all") {
		if strings.Contains(m.Visible(), "missed") {
			dingtalk = append(dingtalk, m.Visible())
		}
	}
	return slack, dingtalk
}

// awaitCompared waits until the server's n-th start has looked for missed pushes
// and told of them.
func (r *rig) awaitCompared(n int) {
	r.t.Helper()
	eventually(r.t, 40*time.Second, "the branches were looked at", func() bool {
		return strings.Count(read(r.t, r.log()), "branches were compared with what is deployed") >= n
	})
}
