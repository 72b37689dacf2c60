package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// baking is an installation with v1 live, whose next release is watched for so
// long before it is good.
func baking(t *testing.T, v1 behaviour, bake string, changes ...func(r *rig)) *rig {
	t.Helper()
	r := newRig(t, changes...)
	r.serve()
	v1.Version = "v1"
	r.api.ends(r.push(v1), deploy.Succeeded)
	r.rewrite(func() { r.blueGreen()["bake_time"] = bake })
	return r
}

// building gives every deploy a time in which nothing is changed yet.
func building(r *rig) {
	r.app()["build"] = object{"run": []string{"sh", "-c", "sleep 1.5"}}
}

// trouble is the file whose being there makes a version fail.
const trouble = "trouble"

// verify has a front door asked as often as is allowed.
func (r *rig) verify(front string) {
	r.env()["verify"] = object{"url": strings.TrimSuffix(front, "/") + "/", "interval": "50ms"}
}

// stepOf finds the step of an operation in the plan, and what became of it.
func stepOf(t *testing.T, plan *deploy.Plan, outcomes deploy.Outcomes, op deploy.Op) (deploy.Step, deploy.Outcome) {
	t.Helper()
	for i, o := range outcomes.All() {
		if plan.Steps[i].Op == op {
			return plan.Steps[i], o
		}
	}
	t.Fatalf("there is no step %s among %+v", op, plan.Steps)
	return deploy.Step{}, deploy.Outcome{}
}

// mustRevertWhileBaking wants the deploy to have been taken back for what was
// seen before the bake time was over, and returns when traffic was back.
func (r *rig) mustRevertWhileBaking(id deploy.ID) (deploy.State, time.Time) {
	r.t.Helper()
	st := r.api.ends(id, deploy.Reverted)
	bake, seen := stepOf(r.t, st.Plan, st.Outcomes, deploy.OpBake)
	if took := seen.Ended.Sub(seen.Started); !seen.Failed || took >= bake.Hold.D() {
		r.t.Errorf("bake ended after %s of %s, failed: %v", took, bake.Hold, seen.Failed)
	}
	_, back := stepOf(r.t, st.Undo, st.UndoOutcomes, deploy.OpRoute)
	r.t.Logf("found after %s of the bake time, back %s later", seen.Ended.Sub(seen.Started).Round(time.Millisecond), back.Ended.Sub(seen.Ended).Round(time.Millisecond))
	return st, back.Ended
}

// mustTellParts wants a report to have the figures of every part of the deploy.
func mustTellParts(t *testing.T, st deploy.State, parts map[deploy.When]deploy.Quantiles) {
	t.Helper()
	for _, when := range []deploy.When{deploy.Before, deploy.During, deploy.After} {
		if q := parts[when]; q.Requests == 0 || q.P50 <= 0 || q.P99 < q.P50 {
			t.Errorf("the report says of %s the switch: %+v", when, q)
		}
	}
	if st.Report.Watched.TwoVersions <= 0 || len(st.Report.Watched.Gaps) != 0 {
		t.Errorf("the report says %s on two versions and the gaps %v", st.Report.Watched.TwoVersions, st.Report.Watched.Gaps)
	}
}

func TestOneRequestInFiftyThatFailsIsFoundInRealTrafficAndTheReportHasTheNumbers(t *testing.T) {
	t.Parallel()
	r := baking(t, behaviour{}, "30s", building)
	d := startDiary(t, r.frontURL(), 30, 100*time.Millisecond)
	id := r.push(behaviour{Version: "flawed", Flaw: flaw{Every: 50}})
	st, _ := r.mustRevertWhileBaking(id)
	d.halt()
	t.Log(d)
	mustServe(t, r.frontURL(), "v1")
	t.Logf("the channel says:\n%s", r.told(id, "reverted", "fails its users", "got no answer and", "answered 5xx by the app", "p50/p99 in ms", "two versions for", "serving now"))
	mustTellParts(t, st, st.Report.Watched.Real)
	seen := d.those(answer.bad)
	if told := st.Report.Errors5; told == 0 || told > uint64(len(seen)) || st.Report.Failures != 0 || st.Report.Measured != "proxy" {
		t.Errorf("users saw %d answers of 500, the report says %q", len(seen), st.Report.Lines())
	}
	for _, a := range seen {
		if a.status != http.StatusInternalServerError {
			t.Error(a)
		}
	}
}

func TestOneRequestInFiftyThatFailsIsFoundByTheProberAloneBehindNginx(t *testing.T) {
	t.Parallel()
	var front string
	r := baking(t, behaviour{}, "30s", building, func(r *rig) {
		front = r.byNginx(nil).URL
		r.verify(front)
	})
	id := r.push(behaviour{Version: "flawed", Flaw: flaw{Every: 50}})
	st, _ := r.mustRevertWhileBaking(id)
	mustServe(t, front, "v1")
	t.Logf("the channel says:\n%s", r.told(id, "reverted", "probes at the front door (0 allowed)", "answers 500, not 200", "probes that failed: 5xx", "p50/p99 in ms", "serving now"))
	mustTellParts(t, st, st.Report.Watched.Probes)
	if w := st.Report.Watched; st.Report.Measured != "verify" || st.Report.Failures == 0 || w.Kinds["5xx"] < st.Report.Failures || len(w.Real) != 0 {
		t.Errorf("the report says %q and %+v", st.Report.Lines(), w)
	}
}

// held is what both versions suffer from, and how a person ends it once it is over.
type held struct {
	name   string
	every  uint64 // answers
	bake   string // time
	way    string // command
	ending deploy.Ending
	serves string
}

func TestANewReleaseIsHeldAndNotBlamedForWhatTheOldOneSuffersFromAsWell(t *testing.T) {
	t.Parallel()
	for _, h := range []held{
		{"every request fails", 1, "4s", "resume", deploy.Succeeded, "v2"},
		{"one request in fifty fails", 50, "30s", "cancel", deploy.Reverted, "v1"},
	} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			suffers := flaw{Every: h.every, While: trouble}
			r := baking(t, behaviour{Flaw: suffers}, h.bake, func(r *rig) { r.verify(r.frontURL()) })
			r.mustHoldFor(h, suffers)
		})
	}
}

// mustHoldFor has what both versions need fail after the switch, and wants
// nobody to be routed back until a person says so.
func (r *rig) mustHoldFor(h held, suffers flaw) {
	t := r.t
	d := startDiary(t, r.frontURL(), 10, 100*time.Millisecond)
	id := r.push(behaviour{Version: "v2", Flaw: suffers})
	var switched time.Time
	st := r.api.follow(id, atStep(deploy.OpBake, func() {
		switched = time.Now()
		r.touch(trouble)
	}))
	if st.Phase != deploy.PhaseStuck || st.Undo != nil {
		t.Fatalf("%s is %s %s (%v), want held", id, st.Phase, st.Ending, st.Err)
	}
	t.Logf("the channel says:\n%s", r.told(id, "held, a person is needed", "the old release on blue fails as well", "so going back would not help", "resume "+id.String(), "serving now"))
	r.remove(trouble)
	mustServe(t, r.frontURL(), "v2")
	for _, a := range d.those(from("v1")) {
		if a.began.After(switched) {
			t.Fatalf("after the switch v1 answered: %s", a)
		}
	}
	r.api.command(h.way+" "+id.String(), "")
	r.api.ends(id, h.ending)
	mustServe(t, r.frontURL(), h.serves)
}

// A second is what a person needs to notice: the proxy tells the engine of every
// answer of 5xx at once.
func TestABurstOf5xxWhileItBakesIsRoutedBackWithinASecondWithoutAProber(t *testing.T) {
	r := baking(t, behaviour{}, "30s")
	d := startDiary(t, r.frontURL(), 30, 100*time.Millisecond)
	id := r.push(behaviour{Version: "v2", Flaw: flaw{Every: 1, While: trouble}})
	switched := d.await(t, endLimit, "v2 answers", time.Now(), by("v2")).ended
	passes(t, switched, time.Second)
	r.touch(trouble)
	_, back := r.mustRevertWhileBaking(id)
	d.halt()
	t.Log(d)
	mustServe(t, r.frontURL(), "v1")
	bad := d.those(answer.bad)
	if len(bad) == 0 {
		t.Fatal("nobody saw an answer of 500")
	}
	first, last := bad[0], bad[len(bad)-1]
	d.within(t, "from the first 500 to the route back", first.ended, back)
	d.within(t, "from the first 500 to the last", first.ended, last.ended)
	for _, a := range bad {
		if a.began.After(back) || !from("v2")(a) {
			t.Error(a)
		}
	}
	t.Logf("the channel says:\n%s", r.told(id, "reverted", "fails its users", "an answer of 5xx", "answered 5xx by the app", "serving now"))
}

// passes waits until so much time has passed since a moment.
func passes(t *testing.T, since time.Time, d time.Duration) {
	t.Helper()
	eventually(t, d+endLimit, d.String()+" pass", func() bool { return time.Since(since) >= d })
}

// With a prober as well as without one: nobody waits for the front door to mend
// itself while every user is failed.
func TestAReleaseThatFailsFromItsFirstRequestOnIsRoutedBackWithinASecond(t *testing.T) {
	for name, verify := range map[string]func(r *rig){
		"by real traffic": func(*rig) {}, "with a prober": func(r *rig) { r.verify(r.frontURL()) },
	} {
		t.Run(name, func(t *testing.T) {
			r := baking(t, behaviour{}, "30s", verify)
			d := startDiary(t, r.frontURL(), 30, 100*time.Millisecond)
			r.api.ends(r.push(behaviour{Version: "v2", Flaw: flaw{Every: 1}}), deploy.Reverted)
			d.halt()
			t.Log(d)
			bad := d.those(answer.bad)
			if len(bad) == 0 {
				t.Fatal("nobody saw an answer of 500")
			}
			d.within(t, "from the first 500 to the last", bad[0].ended, bad[len(bad)-1].ended)
		})
	}
}
