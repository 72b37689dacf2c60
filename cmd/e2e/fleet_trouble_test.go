package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

// fault is something that goes wrong with web-3 of four while v2 replaces v1.
type fault struct {
	name    string
	rolling object         // keys of the strategy; default: one host may be left behind
	early   func(f *fleet) // how the machine is from the beginning
	before  func(f *fleet) // what happens before the push
	at      deploy.Op      // when the journal says that this began on web-3,
	during  func(f *fleet) // this happens, once
	bytes   int            // of ballast in the release
	phase   deploy.Phase   // stuck, if the deploy is to be held
	ending  deploy.Ending
	says    []string       // the channel, besides web-3
	v2      []string       // who runs v2 at the end; the others, but web-3, run v1
	least   int            // machines in service at every moment; default 3
	noisy   bool           // the fault itself costs requests
	heal    func(f *fleet) // what mends it; then v3 is to be everywhere
}

// leaveOneBehind is what most faults are met with: the floor leaves room for the
// machine that is lost and for the one that is being replaced.
func leaveOneBehind() object { return object{"min_healthy": 2, "max_failed_hosts": 1} }

func faults() []fault {
	others := []string{"web-1", "web-2", "web-4"}
	return []fault{
		{name: "refuses ssh", before: func(f *fleet) { f.host(3).refuseSSH() },
			ending: deploy.Succeeded, says: []string{"cannot be reached"}, v2: others, heal: func(f *fleet) { f.host(3).admitSSH() }},
		{name: "refuses ssh and none may be left behind", before: func(f *fleet) { f.host(3).refuseSSH() },
			rolling: object{"min_healthy": 2, "max_failed_hosts": 0}, ending: deploy.Failed, says: []string{"cannot be reached"}},
		{name: "is a TCP peer that stays silent", before: func(f *fleet) { f.host(3).silenceSSH() },
			ending: deploy.Succeeded, says: []string{"web-3 is left behind"}, v2: others},
		{name: "has another host key", before: func(f *fleet) { f.host(3).changeHostKey() },
			ending: deploy.Succeeded, says: []string{"the key of", "changed"}, v2: others},
		{name: "has a full disk", early: func(f *fleet) { f.host(3).smallDisk("releases", "1m") }, bytes: 8 << 20,
			ending: deploy.Succeeded, says: []string{"o space left on device"}, v2: others},
		{name: "has a read-only status folder", before: func(f *fleet) { f.host(3).protect("status") },
			ending: deploy.Succeeded, says: []string{"ead-only file system"}, v2: others},
		{name: "fails its check", before: func(f *fleet) { f.host(3).sicken("v2") },
			ending: deploy.Reverted, says: []string{"answers 500"}, rolling: object{"min_healthy": 3}, heal: func(*fleet) {}},
		{name: "fails its check and the deploy stops there", before: func(f *fleet) { f.host(3).sicken("v2") },
			rolling: object{"min_healthy": 3, "on_host_failure": "stop"}, phase: deploy.PhaseStuck, says: []string{"answers 500", "a person is needed"}, v2: []string{"web-1", "web-2"}},
		{name: "fails its check and is left behind", before: func(f *fleet) { f.host(3).sicken("v2") },
			rolling: object{"min_healthy": 2, "max_failed_hosts": 1, "on_host_failure": "skip"}, ending: deploy.Succeeded, least: 2,
			says: []string{"answers 500", "left behind"}, v2: others, heal: func(*fleet) {}},
		{name: "loses its link in the middle of the upload", bytes: 8 << 20, before: func(f *fleet) { f.net.slow(f.host(3).index, "10mbit") },
			at: deploy.OpStage, during: cutWhileUploading, ending: deploy.Succeeded, says: []string{"web-3 is left behind"}, v2: others, least: 2, noisy: true},
		{name: "loses its link after restart was sent", at: deploy.OpStart, during: cutAfterStart, ending: deploy.Succeeded, says: []string{"web-3 is left behind"}, v2: others, least: 2},
		{name: "is partitioned while out of traffic", at: deploy.OpStop, during: func(f *fleet) { f.net.cut(f.host(3).index) }, ending: deploy.Succeeded,
			says: []string{"web-3 is left behind"}, v2: others, least: 2,
			heal: func(f *fleet) { f.net.mend(f.host(3).index) }},
	}
}

func TestAFleetKeepsItsFloorWhateverHappensToOneOfItsHostsAndSaysWhich(t *testing.T) {
	t.Parallel()
	for _, one := range faults() {
		t.Run("web-3 "+one.name, func(t *testing.T) {
			t.Parallel()
			one.run(t)
		})
	}
}

func (x fault) run(t *testing.T) {
	f, r := x.stage(t)
	w := watchFloor(t, f)
	l := startLoad(t, f.Front, users{KeepAlive: 50, OneShot: 10, Slow: 3, SlowPath: "/slow?ms=500"})
	x.judge(f, r, x.deploy(f, r))
	if x.heal != nil {
		x.mustHeal(f, r)
	}
	if x.noisy {
		l.halt()
		t.Log(l)
	} else {
		l.mustBeSilent(t)
	}
	least := x.least
	if least == 0 {
		least = 3
	}
	w.mustHold(t, least)
}

// stage is a fleet with v1 live, configured for the fault, which may have happened.
func (x fault) stage(t *testing.T) (*fleet, *rig) {
	f := newFleet(t, fleetOptions{})
	if x.early != nil {
		x.early(f)
	}
	r := f.fleetRig(func(r *rig) { r.health(object{"healthy_deadline": "4s", "timeout": "1s"}) })
	f.first(r, behaviour{Version: "v1"})
	keys := x.rolling
	if keys == nil {
		keys = leaveOneBehind()
	}
	r.rewrite(func() { maps.Copy(r.rolling(), keys) })
	if x.before != nil {
		x.before(f)
	}
	return f, r
}

// deploy pushes v2, during which the fault may happen, until it ends or is held.
func (x fault) deploy(f *fleet, r *rig) deploy.State {
	f.t.Helper()
	happened := false
	st := r.api.follow(r.pushed(r.repo.Commit("Release v2\n", x.files())), func(st deploy.State, ev deploy.Event) {
		if x.during != nil && !happened && begins(st, ev, x.at, "web-3") {
			happened = true
			x.during(f)
		}
	})
	if x.during != nil && !happened {
		f.t.Errorf("%s never began on web-3", x.at)
	}
	return st
}

// mustHeal mends the host and wants the next deploy to bring it back.
func (x fault) mustHeal(f *fleet, r *rig) {
	f.t.Helper()
	x.heal(f)
	f.host(3).awaitPort(22)
	next := r.push(behaviour{Version: "v3"})
	r.api.ends(next, deploy.Succeeded)
	if said := r.told(next, "succeeded"); strings.Contains(said, "left behind") {
		f.t.Errorf("web-3 is mended and left behind:\n%s", said)
	}
	f.mustRun("v3", f.Hosts...)
	f.SLB.awaitUp(len(f.Hosts))
}

// files are v2 with its ballast.
func (x fault) files() gittest.Files {
	files := behaviour{Version: "v2"}.files()
	if x.bytes > 0 {
		files["ballast"] = gittest.Text(noise(x.bytes))
	}
	return files
}

// judge compares how the deploy ended, what was told and what runs.
func (x fault) judge(f *fleet, r *rig, st deploy.State) {
	f.t.Helper()
	want := string(x.phase) + string(x.ending)
	if got := string(st.Ending); st.Ending == "" && string(st.Phase) != want || st.Ending != "" && got != want {
		f.t.Errorf("%s is %s %s (%v, %v), want %s", st.ID, st.Phase, st.Ending, st.Err, st.Stuck, want)
	}
	f.t.Logf("the channel says:\n%s", r.told(st.ID, append([]string{"web-3"}, x.says...)...))
	at := map[string]bool{}
	for _, name := range x.v2 {
		at[name] = true
	}
	for _, m := range f.without("web-3") {
		if at[m.Name] {
			f.mustRun("v2", m)
		} else {
			f.mustRun("v1", m)
		}
	}
	f.mustReportWhoIsOut(r)
}

// cutAfterStart takes web-3's link once v2 was started there, before it was checked.
func cutAfterStart(f *fleet) {
	eventually(f.t, 20*time.Second, "v2 is started on web-3", func() bool { return f.host(3).started() == "v2" })
	f.net.cut(f.host(3).index)
}

// cutWhileUploading takes web-3's link when a part of the release is there.
func cutWhileUploading(f *fleet) {
	m := f.host(3)
	eventually(f.t, 20*time.Second, "a part of the release is on web-3", func() bool { return m.size("releases") > 256<<10 })
	f.net.cut(m.index)
}

// begins: the event is the start of the operation's step on the host.
func begins(st deploy.State, ev deploy.Event, op deploy.Op, host string) bool {
	step, ok := st.StepAt(ev.Step)
	return ok && ev.Kind == deploy.KindStarted && step.Op == op && strings.Contains(fmt.Sprint(step.Hosts), host)
}
