package e2e

import (
	"slices"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestAFleetsSickHostIsFixedByTheDeployInsteadOfBlockingIt(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	r := f.fleetRig()
	f.first(r, behaviour{Version: "v1"})
	f.host(2).sicken("v1")
	l := startLoad(t, f.Front, users{KeepAlive: 50, OneShot: 10, Slow: 3, SlowPath: "/slow?ms=500"})
	w := watchFloor(t, f)
	id := r.push(behaviour{Version: "v2"})
	st := r.api.ends(id, deploy.Succeeded)
	l.mustBeSilent(t)
	w.mustHold(t, 3) // web-2 is the one that is missing
	f.mustRun("v2", f.Hosts...)
	if first := st.Plan.Fleet[0].Host; first != "web-2" {
		t.Errorf("%s is replaced first, want web-2, which costs nothing", first)
	}
	f.SLB.awaitUp(len(f.Hosts))
}

func TestAFleetsHostThatAPersonTookOutStaysOutOverARestartAndADeployUntilOnline(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	r := f.fleetRig(func(r *rig) { r.rolling()["min_healthy"] = 2 })
	f.first(r, behaviour{Version: "v1"})
	l := startLoad(t, f.Front, users{KeepAlive: 50, OneShot: 10, Slow: 3, SlowPath: "/slow?ms=500"})
	w := watchFloor(t, f)
	r.mustCLI("offline", "web-3", "shop", "production")
	f.mustBeOut("web-3")
	mustHold(t, "status", r.mustCLI("status"), "web-3", "out")

	r.server.kill()
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v2"}), deploy.Succeeded)
	f.mustBeOut("web-3")
	f.mustRun("v2", f.Hosts...)
	f.mustReportWhoIsOut(r)

	r.mustCLI("online", "web-3", "shop", "production")
	f.SLB.awaitUp(len(f.Hosts))
	l.mustBeSilent(t)
	w.mustHold(t, 2)
	out, bad, exit := r.cli("offline", "web-1", "web-2", "web-3", "shop", "production")
	if exit != 3 {
		t.Errorf("offline of three of four with min_healthy 2 exits %d, want 3:\n%s%s", exit, out, bad)
	}
	mustHold(t, "the refusal", out+bad, "min_healthy")
}

// mustBeOut wants the SLB to send nothing to one machine and requests to all
// others.
func (f *fleet) mustBeOut(name string) {
	f.t.Helper()
	eventually(f.t, 10*time.Second, name+" alone is out", func() bool {
		up := f.SLB.up()
		return len(up) == len(f.Hosts)-1 && !slices.Contains(up, name)
	})
}
