package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// rollLimit is how long a roll may take.
const rollLimit = 5 * time.Minute

// rolls makes the app one that rolls over a fleet by its status files, while
// HAProxy is observed; at most one machine is out.
func (f *fleet) rolls(r *rig) {
	n := len(f.Hosts)
	r.app()["env"].(object)[placeVar] = f.Common
	r.health(object{"min_healthy_time": "0s"})
	r.env()["hosts"] = f.entries(backend)
	r.env()["release_dir"] = filepath.Join(f.Common, "releases")
	r.env()["strategy"] = object{"rolling": object{
		"port": 9001, "max_parallel": 1, "min_healthy": n - 1, "on_host_failure": "revert", "unreachable_after": "3s",
	}}
	r.env()["balancer"] = object{"statusfile": f.statusfile(backend, statusFile)}
}

// byRuntimeAPI makes HAProxy itself the balancer: the status files stay.
func (f *fleet) byRuntimeAPI(r *rig) {
	for _, m := range f.Hosts {
		write(m.t, m.path(statusFile), "ok\n")
	}
	section := f.haproxy(backend)
	section["state_file"] = f.SLB.State
	r.env()["balancer"] = object{"haproxy": section}
}

// entries are the machines as the configuration has them.
func (f *fleet) entries(backend string) []any {
	var out []any
	for _, m := range f.Hosts {
		out = append(out, object{
			"name": m.Name, "ssh": "ssh://root@" + m.Addr + ":22", "address": m.Addr,
			"identity_file": f.identity, "known_hosts": f.known, "labels": object{"haproxy": backend + "/" + m.Name},
		})
	}
	return out
}

func (f *fleet) haproxy(backend string) object {
	return object{"host": "local", "sockets": []string{f.SLB.Socket}, "backend": backend}
}

// statusfile is the section of one status file, with HAProxy observed.
func (f *fleet) statusfile(backend, file string) object {
	every := f.options.Interval.String()
	return object{
		"path": filepath.Join(f.Common, file), "url": "http://127.0.0.1:80/" + filepath.Base(file),
		"check_interval": every, "check_timeout": "5s", "healthy_threshold": 2, "unhealthy_threshold": 2, "margin": every,
		"observe": object{"haproxy": f.haproxy(backend)},
	}
}

// rolling is the strategy's section of the configuration.
func (r *rig) rolling() object { return r.env()["strategy"].(object)["rolling"].(object) }

// fleetRig is an installation that rolls over the fleet, serving.
func (f *fleet) fleetRig(changes ...func(r *rig)) *rig {
	f.t.Helper()
	r := newRig(f.t, append([]func(r *rig){f.rolls}, changes...)...)
	r.api.limit = rollLimit
	r.serve()
	return r
}

// first makes a version live on every machine, all at the same time, as nobody
// is served yet.
func (f *fleet) first(r *rig, b behaviour) deploy.ID {
	f.t.Helper()
	normal := maps.Clone(r.rolling())
	r.rewrite(func() { maps.Copy(r.rolling(), object{"min_healthy": 0, "max_parallel": len(f.Hosts)}) })
	id := r.push(b)
	r.api.ends(id, deploy.Succeeded)
	r.rewrite(func() { r.env()["strategy"] = object{"rolling": normal} })
	f.SLB.awaitUp(len(f.Hosts))
	f.mustRun(b.Version, f.Hosts...)
	mustServe(f.t, f.Front, b.Version)
	return id
}

// runs is the version that answers on a machine, whoever is in traffic.
func (m *machine) runs() string { return serves(m.t, "http://"+m.Addr+":80") }

// mustRun wants machines to answer with a version.
func (f *fleet) mustRun(version string, machines ...*machine) {
	f.t.Helper()
	for _, m := range machines {
		if got := m.runs(); got != version {
			f.t.Errorf("%s runs %q, want %q", m.Name, got, version)
		}
	}
}

// without are the machines but for some.
func (f *fleet) without(names ...string) []*machine {
	var out []*machine
	for _, m := range f.Hosts {
		if !slices.Contains(names, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// mustReportWhoIsOut wants `status` to name every machine that the SLB keeps out
// of traffic.
func (f *fleet) mustReportWhoIsOut(r *rig) {
	f.t.Helper()
	said, in := r.mustCLI("status", "shop", "production"), f.SLB.up()
	for _, m := range f.Hosts {
		if !slices.Contains(in, m.Name) && !strings.Contains(said, m.Name) {
			f.t.Errorf("%s is out of traffic, and status does not say so:\n%s", m.Name, said)
		}
	}
}

// pace is how long a roll took on each machine from the start of out to the end
// of in, and each of the steps between.
type pace struct {
	began, ended map[deploy.HostID]time.Time
	open         map[deploy.Op]time.Time // of the step under way
	drained      map[deploy.HostID]time.Duration
	spent        map[deploy.Op]time.Duration // on all machines
}

// follows reads the times of a deploy off its journal.
func (f *fleet) follows(r *rig, id deploy.ID) (deploy.State, pace) {
	f.t.Helper()
	p := pace{
		began: map[deploy.HostID]time.Time{}, ended: map[deploy.HostID]time.Time{}, open: map[deploy.Op]time.Time{},
		drained: map[deploy.HostID]time.Duration{}, spent: map[deploy.Op]time.Duration{},
	}
	return r.api.watch(id, p.note, deploy.State.Ended), p
}

// note takes the steps about one machine.
func (p pace) note(st deploy.State, ev deploy.Event) {
	step, ok := st.StepAt(ev.Step)
	if !ok || len(step.Hosts) != 1 || ev.Kind != deploy.KindStarted && ev.Kind != deploy.KindDone {
		return
	}
	host := step.Hosts[0]
	if ev.Kind == deploy.KindStarted {
		p.open[step.Op] = ev.At
		if step.Op == deploy.OpOut {
			p.began[host] = ev.At
		}
		return
	}
	took := ev.At.Sub(p.open[step.Op])
	p.spent[step.Op] += took
	switch step.Op {
	case deploy.OpDrain:
		p.drained[host] = took
	case deploy.OpIn:
		p.ended[host] = ev.At
	}
}

func (p pace) took(h deploy.HostID) time.Duration { return p.ended[h].Sub(p.began[h]) }

// String gives the mean of a machine's steps, and the slowest machine.
func (p pace) String() string {
	n := time.Duration(max(len(p.ended), 1))
	var parts []string
	for _, op := range []deploy.Op{deploy.OpOut, deploy.OpDrain, deploy.OpStop, deploy.OpStart, deploy.OpCheck, deploy.OpIn} {
		parts = append(parts, fmt.Sprintf("%s %s", op, (p.spent[op]/n).Round(10*time.Millisecond)))
	}
	return fmt.Sprintf("%d hosts, on each %s; the slowest took %s", len(p.ended), strings.Join(parts, ", "), p.slowest().Round(10*time.Millisecond))
}

func (p pace) slowest() time.Duration {
	var most time.Duration
	for h := range p.ended {
		most = max(most, p.took(h))
	}
	return most
}

// mustTake wants every machine to have been replaced, in no more time than so
// beyond its drain, on average.
func (p pace) mustTake(t *testing.T, hosts int, most time.Duration) {
	t.Helper()
	if len(p.ended) != hosts {
		t.Fatalf("%d machines went out and in, want %d", len(p.ended), hosts)
	}
	var sum time.Duration
	for h := range p.ended {
		sum += p.took(h) - p.drained[h]
	}
	if mean := sum / time.Duration(hosts); mean > most {
		t.Errorf("a host takes %s beyond its drain, want at most %s", mean.Round(time.Millisecond), most.Round(time.Millisecond))
	}
}
