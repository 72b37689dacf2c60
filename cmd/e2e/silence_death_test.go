package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
)

// killSlot is kill -9 of the process in a slot; it returns when that began and when
// the process was gone.
func (r *rig) killSlot(s deploy.Slot) (began, gone time.Time) {
	r.t.Helper()
	pid := r.pid(s)
	began = time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, startLimit, "the process is gone", func() bool { return !alive(pid) })
	return began, time.Now()
}

// What a process that dies has in flight is lost with it; nothing else is, and
// nobody has to be woken.
func TestAReleaseThatDiesThreeSecondsAfterItsSwitchCostsOneRequestAConnectionAndNobodyIsWoken(t *testing.T) {
	const teardown = 50 * time.Millisecond // of a killed process's sockets, on a busy machine
	r := baking(t, behaviour{}, "30s")
	d := startDiary(t, r.frontURL()+"/slow?ms=5", 100, 100*time.Millisecond)
	id := r.push(behaviour{Version: "dies"})
	switched := d.await(t, endLimit, "the new release answers", time.Now(), by("dies")).ended
	passes(t, switched, 3*time.Second)
	began, gone := r.killSlot(deploy.Green)
	first := d.await(t, endLimit, "the old release answers", gone, by("v1"))
	st, back := r.mustRevertWhileBaking(id)
	d.halt()
	t.Log(d)
	mustServe(t, r.frontURL(), "v1")
	d.within(t, "from the death to the old release's next answer", began, first.ended)
	d.within(t, "from the death to the route back", began, back)
	if late := d.those(func(a answer) bool { return a.began.After(began.Add(time.Second)) && !by("v1")(a) }); len(late) > 0 {
		t.Errorf("a second after the death: %s", late[0])
	}
	lost := map[int]int{}
	for _, a := range d.those(answer.bad) {
		t.Log(a)
		if lost[a.user]++; lost[a.user] > 1 || a.began.After(gone.Add(teardown)) || a.ended.Before(began) {
			t.Errorf("it was not in flight to the process that died between %s and %s", began.Format("15:04:05.000"), gone.Format("15:04:05.000"))
		}
	}
	r.mustNotWake(id, st)
}

// mustNotWake wants a revert to be told, and nobody to be asked for anything.
func (r *rig) mustNotWake(id deploy.ID, st deploy.State) {
	t := r.t
	said := r.told(id, "reverted", "on green", "serving now")
	t.Logf("the channel says:\n%s", said)
	for _, m := range r.slack.Messages(channel) {
		for _, v := range append(m.History, m.SlackVersion) {
			mustLack(t, "the channel", v.Visible(), "a person is needed")
		}
	}
	r.api.watch(id, func(st deploy.State, ev deploy.Event) {
		if ev.Kind == deploy.KindStuck {
			t.Errorf("%s was held: %v", id, ev.Err)
		}
	}, deploy.State.Ended)
	if st.Report.Slot != deploy.Blue || st.Report.Errors5 != 0 {
		t.Errorf("the report says %+v", st.Report)
	}
}

func TestABotThatIsKilledWhileAReleaseBakesBeginsItsWatchAnewAndSaysThatNobodyWatched(t *testing.T) {
	t.Parallel()
	r := baking(t, behaviour{}, "3s", func(r *rig) { r.verify(r.frontURL()) })
	l := startLoad(t, r.frontURL(), users{KeepAlive: 100, OneShot: 20, Slow: 5, SlowPath: "/slow?ms=1000"})
	id := r.push(behaviour{Version: "v2"})
	var first, anew, done deploy.Event
	var killed time.Time
	st := r.api.follow(id, func(st deploy.State, ev deploy.Event) {
		step, ok := st.StepAt(ev.Step)
		if !ok || step.Op != deploy.OpBake {
			return
		}
		switch {
		case ev.Kind == deploy.KindStarted && first.Kind == "":
			first = ev
			passes(t, ev.At, 1500*time.Millisecond)
			killed = time.Now()
			r.server.kill()
			r.serve()
		case ev.Kind == deploy.KindStarted:
			anew = ev
		case ev.Kind == deploy.KindDone:
			done = ev
		}
	})
	if st.Ending != deploy.Succeeded {
		t.Fatalf("%s is %s %s (%v)", id, st.Phase, st.Ending, st.Err)
	}
	if whole := done.At.Sub(anew.At); !anew.At.After(killed) || whole < 3*time.Second {
		t.Errorf("the bot was killed at %s, its watch began anew at %s and lasted %s", killed, anew.At, whole)
	}
	gaps := st.Report.Watched.Gaps
	if len(gaps) != 1 || gaps[0].From.After(killed) || gaps[0].To.Before(killed) || gaps[0].To.After(anew.At) {
		t.Errorf("the bot was killed at %s and watched again at %s, the report says %v", killed, anew.At, gaps)
	}
	t.Logf("the channel says:\n%s", r.told(id, "succeeded", "nobody watched for", "because the bot was away", "p50/p99 in ms", "serving now"))
	mustServe(t, r.frontURL(), "v2")
	l.mustBeSilent(t)
	if st.Report.Failures != 0 {
		t.Errorf("the report says %q", st.Report.Lines())
	}
	if cards := r.cards(id); len(cards) > 2 {
		t.Errorf("the channel shows %d messages about %s", len(cards), id)
	}
}

// mustLack wants none of the texts in what was said.
func mustLack(t *testing.T, what, said string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(said, u) {
			t.Errorf("%s says %q:\n%s", what, u, said)
		}
	}
}
