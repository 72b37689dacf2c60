package e2e

import (
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"ipublish/deploy"
)

// bad is a release that must not stay, and how the channel tells of it.
type bad struct {
	name   string
	app    behaviour
	ending deploy.Ending
	told   []string
	before func(r *rig) func(deploy.State, deploy.Event)
}

func TestABadReleaseNeverKeepsTrafficAndTheChannelSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.health(object{"healthy_deadline": "6s"})
		r.blueGreen()["bake_time"] = "4s"
	})
	r.serve()
	good := r.push(behaviour{Version: "v1"})
	r.api.ends(good, deploy.Succeeded)
	l := startLoad(t, r.frontURL(), users{KeepAlive: 100, OneShot: 20, Slow: 10, SlowPath: "/slow?ms=1000"})
	for _, b := range badReleases() {
		t.Run(b.name, func(t *testing.T) { r.in(t).mustRefuse(l, b) })
	}
	l.mustBeSilent(t)
	if live := r.api.live(); live.Slot != deploy.Blue || len(live.Good) != 1 || live.Good[0].Deploy != good {
		t.Errorf("live is %+v", live)
	}
}

func badReleases() []bad {
	return []bad{
		{name: "never boots", app: behaviour{Version: "exits", Exit: true}, ending: deploy.Failed,
			told: []string{"failed", "the process ended while starting", lastWords, "serving now"}},
		{name: "answers 500", app: behaviour{Version: "sick", Status: 500}, ending: deploy.Failed,
			told: []string{"failed", "did not become healthy within", "GET /healthz answers 500", lastWords, "serving now"}},
		{name: "a foreign process answers in its place", app: behaviour{Version: "deaf", Deaf: true}, ending: deploy.Failed,
			told: []string{"failed", "is held by process", "which ipublish did not start", "serving now"}, before: foreignAnswers},
		{name: "fails while it bakes", app: behaviour{Version: "fades", SickAfter: 1500}, ending: deploy.Reverted,
			told: []string{"reverted", "failed its check too often", "GET /healthz answers 500", lastWords, "serving now"}},
	}
}

// mustRefuse deploys a bad release and wants v1 to serve afterwards, and the
// very release not to be taken again by a push.
func (r *rig) mustRefuse(l *load, b bad) {
	t := r.t
	var tell func(deploy.State, deploy.Event)
	if b.before != nil {
		tell = b.before(r)
	}
	sha := r.commit(b.app)
	id := r.pushed(sha)
	st := r.api.follow(id, tell)
	if st.Ending != b.ending {
		t.Fatalf("%s is %s %s (%v), want %s", id, st.Phase, st.Ending, st.Err, b.ending)
	}
	mustServe(t, r.frontURL(), "v1")
	said := r.told(id, b.told...)
	t.Logf("the channel says:\n%s", said)
	if n := l.answered(b.app.Version); (n > 0) != (b.ending == deploy.Reverted) {
		t.Errorf("%d requests were answered by %s", n, b.app.Version)
	}
	out, bad, exit := r.cli("deploy", deploy.Short(sha))
	if exit != 3 {
		t.Errorf("the failed release again exits %d, want 3:\n%s%s", exit, out, bad)
	}
}

// What is in flight to a process that dies is lost with it; nothing else is, for
// a refused connect has sent nothing and goes to the old release.
func TestAReleaseThatDiesWhileItBakesCostsOnlyWhatItHadInFlight(t *testing.T) {
	const teardown = 50 * time.Millisecond // of a killed process's sockets, on a busy machine
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	r.rewrite(func() { r.blueGreen()["bake_time"] = "20s" })
	l := startLoad(t, r.frontURL(), users{KeepAlive: 100, OneShot: 50, Slow: 10, SlowPath: "/slow?ms=1000"})
	id := r.push(behaviour{Version: "dies", DiesAfter: 2500})
	r.api.ends(id, deploy.Reverted)
	l.halt()
	t.Log(l)
	t.Logf("the channel says:\n%s", r.told(id, "reverted", "on green", lastWords, "serving now"))
	mustServe(t, r.frontURL(), "v1")
	if l.answered("dies") == 0 {
		t.Error("the release had no traffic before it died")
	}
	for _, f := range l.failed() {
		t.Log(f)
		if began := f.At.Add(-f.Took); began.Sub(l.failed()[0].At) > teardown {
			t.Errorf("a request was lost that began after the process had died, at %s", began.Format("15:04:05.000"))
		}
	}
}

// foreignAnswers takes the idle slot's port with a server of the test's own as
// soon as the release was started.
func foreignAnswers(r *rig) func(deploy.State, deploy.Event) {
	return atStep(deploy.OpCheck, func() { r.occupy(deploy.Green) })
}

// occupy listens on a slot's port and answers 200 to everything, until the
// test's end.
func (r *rig) occupy(s deploy.Slot) {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(r.port(s)))
	if err != nil {
		r.t.Error(err)
		return
	}
	answers := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	go func() { _ = answers.Serve(l) }() // ends when it is closed
	r.t.Cleanup(func() { _ = answers.Close() })
}

func TestAFirstReleaseThatGoesBadIsHeldUntilAPersonGivesItUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.blueGreen()["bake_time"] = "4s" })
	r.serve()
	id := r.push(behaviour{Version: "fades", SickAfter: 1500})
	if st := r.api.follow(id, nil); st.Phase != deploy.PhaseStuck {
		t.Fatalf("%s is %s %s, want held", id, st.Phase, st.Ending)
	}
	r.told(id, "a person is needed", "there is no earlier release to go back to", "serving now", "abandon "+id.String())
	fix := r.push(behaviour{Version: "fixed"})
	mustHold(t, "status", r.mustCLI("status"), "held, a person is needed", "queue 1: "+fix.String())
	r.api.command("abandon "+id.String()+" \"a fix is queued\"", "e2e:abandon")
	r.api.ends(id, deploy.Abandoned)
	r.api.ends(fix, deploy.Succeeded)
	mustServe(t, r.frontURL(), "fixed")
}
