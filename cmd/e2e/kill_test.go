package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ipublish/bot/bottest"
	"ipublish/deploy"
)

// killer ends the server at an event of a deploy and lets it come back.
type killer struct {
	name string
	kill func(r *rig)
	back func(r *rig)
}

func killers() []killer {
	return []killer{
		{"the worker", (*rig).killWorker, (*rig).restart},
		{"worker and supervisor", (*rig).killBoth, func(*rig) {}},
	}
}

func (r *rig) killWorker() {
	if !r.server.killWorker() {
		r.t.Error("there was no worker to kill")
	}
}

func (r *rig) killBoth() {
	r.server.kill()
	r.launch()
}

// restart gives the next kill a supervisor that has seen none.
func (r *rig) restart() {
	r.server.stop()
	r.serve()
}

// restless is an installation with the shortest times, v0 live and users at work.
func restless(t *testing.T) (*rig, *load) {
	t.Helper()
	r := newRig(t, func(r *rig) {
		r.health(object{"interval": "50ms"})
		r.env()["channels"] = []string{"slack:" + channel}
	})
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v0"}), deploy.Succeeded)
	r.version = "v0"
	return r, startLoad(t, r.frontURL(), users{KeepAlive: 60, OneShot: 20, Slow: 10, SlowPath: "/slow?ms=300"})
}

func TestKillMinus9AtEveryBoundaryOfABlueGreenLosesNoRequestAndNoCommand(t *testing.T) {
	for _, k := range killers() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r, l := restless(t)
			var deploys []killed
			for n := uint64(1); ; n++ {
				d := r.deployKilledAt(n, k)
				if !d.hit {
					break // the deploy ended before its event n
				}
				deploys = append(deploys, d)
			}
			r.mustEndOnce(deploys)
			l.mustBeSilent(t)
			r.mustTellEach(deploys)
			t.Logf("%d kills of %s: %s", len(deploys), k.name, summary(deploys))
		})
	}
}

// killed is one deploy and where the server was killed in it.
type killed struct {
	id     deploy.ID
	push   bottest.Push
	at     uint64 // the event that was waited for
	hit    bool
	after  string // the newest event that was told before the kill
	ending deploy.Ending
}

// deployKilledAt pushes a version and kills the server as soon as the journal
// shows event n.
func (r *rig) deployKilledAt(n uint64, k killer) killed {
	r.t.Helper()
	version := fmt.Sprint("v", n)
	sha := r.commit(behaviour{Version: version})
	d := killed{push: bottest.Push{After: sha, Title: r.title(sha)}, at: n}
	r.mustDeliver(d.push)
	if n == 1 {
		d.hit, d.after = true, "acknowledged"
		k.kill(r)
	}
	d.id = r.api.byCommit(sha)
	st := r.api.follow(d.id, func(st deploy.State, ev deploy.Event) {
		if ev.N != n || d.hit || ev.Kind == deploy.KindEnded {
			return
		}
		d.hit, d.after = true, boundary(st, ev)
		k.kill(r)
	})
	d.ending = st.Ending
	r.server.awaitReady()
	mustServe(r.t, r.frontURL(), r.expected(st, version))
	k.back(r)
	r.mustDeliver(d.push) // the git host has seen no answer, or sends again
	return d
}

func boundary(st deploy.State, ev deploy.Event) string {
	if step, ok := st.StepAt(ev.Step); ok && (ev.Kind == deploy.KindStarted || ev.Kind == deploy.KindDone) {
		return fmt.Sprintf("%s %s", step.Op, ev.Kind)
	}
	return string(ev.Kind)
}

// expected is who serves after a deploy's end.
func (r *rig) expected(st deploy.State, version string) string {
	r.t.Helper()
	switch st.Ending {
	case deploy.Succeeded:
		r.version = version
	case deploy.Reverted, deploy.Failed:
	default:
		r.t.Errorf("%s is %s %s (%v, %v), want completed or reverted", st.ID, st.Phase, st.Ending, st.Err, st.Stuck)
	}
	return r.version
}

func (r *rig) mustDeliver(p bottest.Push) {
	r.t.Helper()
	if status, err := r.deliver(p); err != nil || status != http.StatusAccepted {
		r.t.Fatalf("the push is answered %d, %v; want 202", status, err)
	}
}

// mustEndOnce wants every acknowledged push to be one deploy with one ending,
// and no deploy besides.
func (r *rig) mustEndOnce(deploys []killed) {
	r.t.Helper()
	newest := r.api.newest
	if _, more := r.api.state(newest + 1); more {
		r.t.Errorf("there is a deploy %s that nobody asked for", newest+1)
	}
	commits := map[string]deploy.ID{}
	for id := deploy.ID(1); id <= newest; id++ {
		st := r.api.follow(id, nil)
		if !st.Ended() || st.Broken != nil {
			r.t.Errorf("%s is %s: %v", id, st.Phase, st.Broken)
		}
		if other, twice := commits[st.Request.Commit]; twice {
			r.t.Errorf("%s and %s are of the same push", other, id)
		}
		commits[st.Request.Commit] = id
	}
	for _, d := range deploys {
		if commits[d.push.After] != d.id {
			r.t.Errorf("the push of %s was acknowledged as %s and is %s", d.push.After, d.id, commits[d.push.After])
		}
	}
}

// mustTellEach wants the channel to know every end, and at most one message
// twice for each kill.
func (r *rig) mustTellEach(deploys []killed) {
	r.t.Helper()
	for _, d := range deploys {
		r.told(d.id, string(d.ending))
		if n := len(r.cards(d.id)); n > 2 {
			r.t.Errorf("the channel shows %d messages about %s", n, d.id)
		}
	}
}

// A release that turns sick while it bakes is taken back; the kills fall from
// the verdict on.
func TestKillMinus9AtEveryBoundaryOfARevertStillGoesBackAndLosesNoRequest(t *testing.T) {
	r, l := restless(t)
	r.rewrite(func() { r.blueGreen()["bake_time"] = "20s" })
	var kinds []string
	for n := uint64(0); ; n++ {
		d, st := r.revertKilledAt(n)
		if st.Ending != deploy.Reverted {
			t.Fatalf("%s is %s %s (%v, %v), want reverted", d.id, st.Phase, st.Ending, st.Err, st.Stuck)
		}
		if !d.hit {
			break
		}
		kinds = append(kinds, d.after)
	}
	r.mustEndOnce(nil)
	l.mustBeSilent(t)
	t.Logf("%d kills after %s", len(kinds), strings.Join(kinds, ", "))
}

// revertKilledAt pushes a release that turns sick, and kills the server at the
// n-th event after the bake step's failure.
func (r *rig) revertKilledAt(n uint64) (killed, deploy.State) {
	r.t.Helper()
	sha := r.commit(behaviour{Version: fmt.Sprint("sick", n), SickAfter: 900})
	d := killed{push: bottest.Push{After: sha, Title: r.title(sha)}}
	r.mustDeliver(d.push)
	d.id = r.api.byCommit(sha)
	st := r.api.follow(d.id, func(st deploy.State, ev deploy.Event) {
		if ev.Kind == deploy.KindFailed {
			d.at = ev.N + n
		}
		if ev.N != d.at || d.hit || ev.Kind == deploy.KindEnded {
			return
		}
		d.hit, d.after = true, boundary(st, ev)
		r.killBoth()
	})
	r.server.awaitReady()
	mustServe(r.t, r.frontURL(), r.version)
	return d, st
}

// summary tells where the kills fell and how the deploys ended.
func summary(deploys []killed) string {
	endings := map[deploy.Ending]int{}
	var at []string
	for _, d := range deploys {
		endings[d.ending]++
		at = append(at, d.after)
	}
	return fmt.Sprintf("%v; after %s", endings, strings.Join(at, ", "))
}
