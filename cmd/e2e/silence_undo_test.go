package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/deploy"
)

// kept is an installation whose old releases stay warm, with v1 live.
func kept(t *testing.T, changes ...func(r *rig)) *rig {
	t.Helper()
	return baking(t, behaviour{}, "300ms", append(changes, func(r *rig) { r.blueGreen()["keep_old"] = "5m" })...)
}

// deployed deploys a version by command, which a rollback does not hold back.
func (r *rig) deployed(b behaviour) {
	r.t.Helper()
	r.api.ends(r.api.command("deploy shop "+r.commit(b), "").Deploy, deploy.Succeeded)
}

func TestARollbackWithinKeepOldReachesUsersWithinASecond(t *testing.T) {
	r := kept(t)
	d := startDiary(t, r.frontURL(), 20, 100*time.Millisecond)
	for i := range 3 {
		version := fmt.Sprint("v", i+2)
		r.deployed(behaviour{Version: version})
		r.rollsBack(d, version)
	}
	d.halt()
	t.Log(d)
	for _, a := range d.those(answer.bad) {
		t.Error(a)
	}
}

// A front door that fails is what people roll back for.
func TestARollbackWithinKeepOldReachesUsersWithinASecondAlsoWhereTheFrontDoorFails(t *testing.T) {
	r := kept(t, func(r *rig) { r.verify(r.frontURL()) })
	d := startDiary(t, r.frontURL(), 20, 100*time.Millisecond)
	for i := range 3 {
		version := fmt.Sprint("v", i+2)
		r.deployed(behaviour{Version: version, Flaw: flaw{Every: 1, While: trouble}})
		r.touch(trouble)
		d.await(t, endLimit, "users see 500", time.Now(), func(a answer) bool { return a.status == http.StatusInternalServerError })
		r.rollsBack(d, version)
		r.remove(trouble)
	}
	d.halt()
	t.Log(d)
}

// rollsBack goes back from a version to v1, by one flip.
func (r *rig) rollsBack(d *diary, from string) {
	t := r.t
	asked := time.Now()
	id := r.api.command("rollback shop production", "").Deploy
	acknowledged := time.Now()
	first := d.await(t, endLimit, "v1 answers", asked, by("v1"))
	d.within(t, "from the rollback's acknowledgement to the first request on the old release", acknowledged, first.ended)
	st := r.api.ends(id, deploy.Succeeded)
	if slices.ContainsFunc(st.Plan.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpStart || s.Op == deploy.OpStage }) {
		t.Errorf("the way back from %s is more than a flip: %+v", from, st.Plan.Steps)
	}
	mustServe(t, r.frontURL(), "v1")
}

func TestALiveReleaseThatDiesAfterItsBakeIsAnAlarmThatNamesTheWayBack(t *testing.T) {
	t.Parallel()
	r := kept(t)
	d := startDiary(t, r.frontURL(), 10, 100*time.Millisecond)
	r.api.ends(r.push(behaviour{Version: "v2"}), deploy.Succeeded)
	live := r.api.live()
	if live.Warm == nil {
		t.Fatalf("nothing is kept warm: %+v", live)
	}
	began, _ := r.killSlot(deploy.Green)
	d.await(t, endLimit, "users notice", began, answer.bad)
	eventually(t, 30*time.Second, "the channel is alarmed", func() bool { return len(r.alarms()) > 0 })
	alarm := r.alarms()[0]
	t.Logf("%s after the death the channel says:\n%s", alarm.At.Sub(began).Round(time.Millisecond), alarm.Visible())
	mustHold(t, "the alarm", alarm.Visible(), "shop → production", "look at it", live.Release.Commit.Short()+" on green, live since #2: ",
		fmt.Sprintf("`rollback shop production` goes back (instant until %s)", live.Warm.Until.UTC().Format("15:04 UTC")))
	passes(t, alarm.At, 3*time.Second)
	out := r.mustCLI("rollback", "shop", "production")
	mustHold(t, "rollback", out, "succeeded", "serving now")
	mustServe(t, r.frontURL(), "v1")
	if all := r.alarms(); len(all) != 1 {
		t.Errorf("the channel was alarmed %d times: %v", len(all), all)
	}
}

// alarms are what the channel shows of releases that fail after their bake.
func (r *rig) alarms() []bottest.SlackMessage {
	var out []bottest.SlackMessage
	for _, m := range r.slack.Messages(channel) {
		if strings.Contains(firstLine(m.Visible()), "· alarm") {
			out = append(out, m)
		}
	}
	return out
}

func TestKeepOldOutlivesAKilledBotGivesItsSlotToTheNextDeployAndEndsInTime(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	r := kept(t)
	v1 := r.pid(deploy.Blue)
	r.api.ends(r.push(behaviour{Version: "v2"}), deploy.Succeeded)
	r.server.kill()
	if !alive(v1) {
		t.Error("the warm release ended with the bot")
	}
	r.serve()
	if warm := r.api.live().Warm; warm == nil || warm.Slot != deploy.Blue {
		t.Fatalf("after the restart %+v is warm", warm)
	}

	v2 := r.pid(deploy.Green)
	r.rewrite(func() { r.blueGreen()["keep_old"] = lease.String() })
	st := r.api.ends(r.push(behaviour{Version: "v3"}), deploy.Succeeded)
	warm := st.Report.Warm
	if alive(v1) || st.Report.Slot != deploy.Blue || warm == nil || warm.Slot != deploy.Green {
		t.Fatalf("v1 lives: %v; the next deploy ended with %+v", alive(v1), st.Report)
	}
	r.server.kill()
	r.serve()
	eventually(t, lease+endLimit, "the lease's end stops v2", func() bool { return !alive(v2) })
	if early := time.Until(warm.Until); early > 0 {
		t.Errorf("v2 was stopped %s before the end of its lease", early)
	}
	t.Logf("v2 was gone %s after the end of its lease", time.Since(warm.Until).Round(time.Millisecond))
	eventually(t, endLimit, "nothing is warm any more", func() bool { l := r.api.live(); return l.Warm == nil && l.Active == 0 })
	mustServe(t, r.frontURL(), "v3")
}

// pid is the process in a slot.
func (r *rig) pid(s deploy.Slot) int {
	r.t.Helper()
	instances := r.api.live().Slots[s].Instances
	if len(instances) != 1 {
		r.t.Fatalf("in %s run %+v", s, instances)
	}
	return instances[0].PID
}
