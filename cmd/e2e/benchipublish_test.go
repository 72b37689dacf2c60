package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ipublish/deploy"
)

// ipublished is the product, with all that the others leave out: fetch and
// build, journal and notices, proofs and verified bytes on disk, out, drain and in.
type ipublished struct {
	fleet *fleet
	rig   *rig
}

// newIpublishWay has a balancer of programs that take a moment: what waits for
// a real one is no part of the comparison.
func newIpublishWay(t *testing.T, n int) *way {
	f := newBenchFleet(t, n)
	r := f.fleetRig(func(r *rig) {
		marks := filepath.Join(r.dir, "out")
		if err := os.Mkdir(marks, 0o755); err != nil {
			t.Fatal(err)
		}
		mark := filepath.Join(marks, "{host}")
		r.env()["balancer"] = object{"script": object{
			"out":    []string{"touch", mark},
			"in":     []string{"rm", "-f", mark},
			"status": []string{"sh", "-c", `if [ -e "$1" ]; then echo down; else echo up; fi`, "status", mark},
		}}
	})
	p := &ipublished{fleet: f, rig: r}
	normal := maps.Clone(r.rolling())
	r.rewrite(func() { maps.Copy(r.rolling(), object{"min_healthy": 0, "max_parallel": n}) })
	p.roll(newBenchVersion("v1"))
	r.rewrite(func() { r.env()["strategy"] = object{"rolling": normal} })
	return &way{name: "ipublish, from its plan on", fleet: f, roll: p.roll}
}

// roll counts from the plan to the end: what comes before is the git host's work.
func (p *ipublished) roll(v benchVersion) time.Duration {
	p.fleet.t.Helper()
	var began, ended time.Time
	id := p.rig.pushed(p.rig.repo.Commit("Release "+v.name+"\n", v.files))
	st := p.rig.api.watch(id, func(_ deploy.State, ev deploy.Event) {
		if ev.Kind == deploy.KindPlanned {
			began = ev.At
		}
		ended = ev.At
	}, deploy.State.Ended)
	if st.Ending != deploy.Succeeded {
		p.fleet.t.Fatalf("%s is %s (%v)", id, st.Ending, st.Err)
	}
	return ended.Sub(began)
}
