package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/deploy"
)

// busy is an installation with v1 live, and v2 on its way and held before its
// switch by its smoke test until release is called.
func busy(t *testing.T) (r *rig, live deploy.ID, release func()) {
	var gate string
	r = newRig(t, func(r *rig) {
		gate = filepath.Join(r.dir, "gate")
		r.blueGreen()["keep_old"] = "5m"
		r.app()["hooks"] = object{"smoke_test": object{"run": []string{"sh", "-c", `while [ -e "$0" ]; do sleep 0.05; done`, gate}, "on": "bot", "timeout": "2m"}}
	})
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	write(t, gate, "")
	live = r.push(behaviour{Version: "v2"})
	r.atHook(live)
	return r, live, func() {
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
	}
}

// atHook waits until the deploy runs a hook.
func (r *rig) atHook(id deploy.ID) {
	r.t.Helper()
	eventually(r.t, 60*time.Second, id.String()+" is at its hook", func() bool {
		st, ok := r.api.state(id)
		step, has := st.StepAt(st.Next)
		return ok && has && step.Op == deploy.OpHook && st.Open
	})
}

// ran lists the deploys after one that were planned.
func (r *rig) ran(after deploy.ID) []deploy.ID {
	var out []deploy.ID
	for id := after + 1; ; id++ {
		st, ok := r.api.state(id)
		if !ok {
			return out
		}
		if st.Plan != nil {
			out = append(out, id)
		}
	}
}

func TestFiftyPushesInABurstDuringADeployAreAtMostTwoMoreDeploysAndTheLastCommitIsLive(t *testing.T) {
	t.Parallel()
	r, live, release := busy(t)
	var shas []string
	for i := range 50 {
		shas = append(shas, r.commit(behaviour{Version: fmt.Sprintf("burst-%d", i)}))
	}
	var all sync.WaitGroup
	for _, sha := range shas {
		all.Go(func() {
			if status, err := r.deliver(bottest.Push{After: sha, Title: r.title(sha)}); err != nil || status != http.StatusAccepted {
				t.Errorf("the push is answered %d, %v", status, err)
			}
		})
	}
	all.Wait()
	release()
	r.api.ends(live, deploy.Succeeded)
	eventually(t, 2*time.Minute, "the last commit is live", func() bool {
		l := r.api.live()
		return l.Release.Commit.SHA == shas[len(shas)-1] && l.Active == 0
	})
	if more := r.ran(live); len(more) > 2 {
		t.Errorf("%d more deploys ran: %v", len(more), more)
	}
	mustServe(t, r.frontURL(), "burst-49")
}

func TestARollbackDuringADeployIsItsRevertAndThePushesAfterItWait(t *testing.T) {
	t.Parallel()
	r, live, release := busy(t)
	answer := r.api.command("rollback shop production", "test:rollback-during")
	if answer.Deploy != live {
		t.Errorf("the rollback is %s, want the live deploy's number %s: %s", answer.Deploy, live, answer.Text)
	}
	release()
	if st := r.api.ends(live, deploy.Cancelled, deploy.Reverted); st.Ending == deploy.Reverted {
		t.Errorf("%s had no traffic yet and ended as %s", live, st.Ending)
	}
	waiting := r.push(behaviour{Version: "v3"})
	r.told(waiting, "waits:", "unlock shop production")
	mustServe(t, r.frontURL(), "v1")
	r.mustCLI("unlock", "shop", "production")
	r.api.ends(waiting, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v3")
}

func TestAfterAUsersRollbackPushesWaitUntilTheUnlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.blueGreen()["keep_old"] = "5m" })
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	r.api.ends(r.push(behaviour{Version: "v2"}), deploy.Succeeded)
	r.mustCLI("rollback", "shop", "production")
	waiting := r.push(behaviour{Version: "v3"})
	r.told(waiting, "waits:", "rolled back", "unlock shop production")
	mustHold(t, "locks", r.mustCLI("locks"), "shop", "rolled back")
	mustServe(t, r.frontURL(), "v1")
	r.mustCLI("unlock", "shop", "production")
	r.api.ends(waiting, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v3")
}

func TestALockHoldsDeploysUntilItsTimeIsOverAndAdminsPassIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	r.mustCLI("lock", "shop", "production", "the database moves", "for", "20s")
	mustHold(t, "locks", r.mustCLI("locks"), "the database moves")
	waiting := r.push(behaviour{Version: "v2"})
	r.told(waiting, "waits: locked by", "the database moves")
	out := r.mustCLI("deploy", "shop", "main", "--force", "it is the fix")
	mustHold(t, "deploy", out, "succeeded")
	mustServe(t, r.frontURL(), "v2")
	eventually(t, 90*time.Second, "the lock is over", func() bool { return r.api.live().Lock == nil })
	r.api.ends(waiting, deploy.Succeeded)
}

func TestAnOlderCommitThatArrivesLateNeverWins(t *testing.T) {
	t.Parallel()
	r, live, release := busy(t)
	older, newer := r.commit(behaviour{Version: "older"}), r.commit(behaviour{Version: "newer"})
	second := r.pushed(newer)
	late := r.pushed(older)
	release()
	r.api.ends(live, deploy.Succeeded)
	r.api.ends(second, deploy.Superseded, deploy.Succeeded)
	r.api.ends(late, deploy.Superseded)
	eventually(t, time.Minute, "the newest commit is live", func() bool {
		l := r.api.live()
		return l.Release.Commit.SHA == newer && l.Active == 0
	})
	for _, id := range r.ran(live) {
		if st, _ := r.api.state(id); st.Commit.SHA == older {
			t.Errorf("%s deployed the older commit", id)
		}
	}
}

func TestARightThatIsWithdrawnWhileADeployWaitsIsGoneWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	r, live, release := busy(t)
	answer := r.slackSays("deploy shop main", "U024BE7LH")
	_, number, ok := strings.Cut(answer, "#")
	id, err := deploy.ParseID(strings.FieldsFunc(number, func(c rune) bool { return c < '0' || c > '9' })[0])
	if !ok || err != nil {
		t.Fatalf("the answer is %q", answer)
	}
	r.rewrite(func() { r.config["roles"] = object{"admin": []string{"slack:U0ADMIN00"}} })
	release()
	r.api.ends(live, deploy.Succeeded)
	r.api.ends(id, deploy.Rejected)
	r.told(id, "needs the role deployer")
	mustServe(t, r.frontURL(), "v2")
}

// slackSays sends a slash command of a person and returns the answer.
func (r *rig) slackSays(text, user string) string {
	r.t.Helper()
	res, err := http.DefaultClient.Do(r.slack.Command(r.hookless("/slack/commands"), bottest.SlackCommand{Text: text, User: user}))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%q is answered %d, %v", text, res.StatusCode, err)
	}
	return string(body)
}
