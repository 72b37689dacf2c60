package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/store"
)

// rebooted is a worker's part that brings back what does not run, on a real
// store and on this machine.
type rebooted struct {
	*worker
	t   *testing.T
	env deploy.Environment
	log bytes.Buffer
}

var fleetTarget = deploy.Target{App: "shop", Env: "production"}

// newRebooted has a rolling environment of these hosts with a release on a port.
func newRebooted(t *testing.T, port int, hosts ...deploy.Host) *rebooted {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rebooted{t: t, env: deploy.Environment{Name: "production", Hosts: hosts, ReleaseDir: t.TempDir(), Rolling: &deploy.Rolling{Port: port, MaxParallel: 1}}}
	r.worker = &worker{log: slog.New(slog.NewTextHandler(&r.log, nil)), store: st, drivers: newDrivers("")}
	t.Cleanup(func() { _ = r.drivers.Close() })
	app := deploy.App{Name: "shop", Runtime: deploy.Section{Driver: "command", Settings: []byte(`{"run": ["./app"]}`)}, Environments: []deploy.Environment{r.env}}
	r.config.Store(&config.Config{Apps: []deploy.App{app}})
	return r
}

// stands records what the environment remembers of its hosts, by a deploy that ended.
func (r *rebooted) stands(hosts map[deploy.HostID]deploy.HostState) {
	r.t.Helper()
	rel := deploy.NewRelease(deploy.App{Name: "shop"}, deploy.Commit{SHA: hashOf("live"), Ref: "main"})
	id, _, err := r.store.Submit(r.t.Context(), deploy.Request{App: "shop", Env: "production", Want: deploy.WantDeploy, Commit: rel.Commit.SHA, By: deploy.Actor{ID: "slack:U1"}, Key: "first"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.ends(id, deploy.Report{Observed: true, Serving: rel, Slot: deploy.Main, Hosts: hosts})
}

func (r *rebooted) ends(id deploy.ID, report deploy.Report) {
	r.t.Helper()
	if err := r.store.Append(id, 1, deploy.Event{Deploy: id, Target: fleetTarget, At: time.Now(), V: deploy.EventVersion, Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &report}); err != nil {
		r.t.Fatal(err)
	}
}

// asked revives and gives the requests that wait then.
func (r *rebooted) asked() []deploy.Request {
	r.t.Helper()
	if err := r.revive(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	waiting, err := r.store.Waiting(fleetTarget)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []deploy.Request
	for _, s := range waiting {
		out = append(out, s.Request)
	}
	return out
}

func localHost(id deploy.HostID) deploy.Host {
	return deploy.Host{ID: id, Address: "127.0.0.1", Driver: deploy.Section{Driver: "local", Settings: []byte(`{}`)}}
}

// goneHost cannot be reached.
func goneHost(id deploy.HostID) deploy.Host {
	return deploy.Host{ID: id, Address: "127.0.0.1", Driver: deploy.Section{Driver: "ssh", Settings: []byte(`{"address": "ssh://nobody@127.0.0.1:1"}`)}}
}

// taken is a port that a process of this machine listens on.
func taken(t *testing.T) int {
	t.Helper()
	for port := 21000; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		t.Cleanup(func() { l.Close() })
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// vacant is a port that nobody listens on.
func vacant(t *testing.T) int {
	t.Helper()
	for port := 21000; port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func left(person bool) deploy.HostState {
	return deploy.HostState{Out: &deploy.Outage{Deploy: 1, By: deploy.Actor{ID: "slack:U1"}, Person: person}}
}

func TestAHostThatRunsNothingIsBroughtBackAlthoughAnotherCannotBeReached(t *testing.T) {
	r := newRebooted(t, vacant(t), goneHost("web-1"), localHost("web-2"))
	r.stands(map[deploy.HostID]deploy.HostState{"web-1": {}, "web-2": {}})
	for range 2 { // once for as many ends as there are
		asked := r.asked()
		if len(asked) != 1 {
			t.Fatalf("%d requests: %s", len(asked), r.log.String())
		}
		a := asked[0]
		if !revives(a) || a.Want != deploy.WantStart || !slices.Equal(a.Hosts, []deploy.HostID{"web-2"}) || a.Key != "revive:shop/production:1" {
			t.Errorf("asked for %+v", a)
		}
	}
	if !strings.Contains(r.log.String(), "cannot be seen everywhere") {
		t.Errorf("the log says %s", r.log.String())
	}
}

func TestARevivalThatDidNotHelpIsAskedForAgainByTheNextStart(t *testing.T) {
	r := newRebooted(t, vacant(t), localHost("web-1"))
	r.stands(map[deploy.HostID]deploy.HostState{"web-1": {}})
	first := r.asked()[0]
	r.ends(first.ID, deploy.Report{})
	if again := r.asked(); len(again) != 1 || again[0].Key == first.Key {
		t.Errorf("first %+v, again %+v", first, again)
	}
}

func TestAHostThatADeployLeftOutOfTrafficIsBroughtBackAndOneOfAPersonIsNot(t *testing.T) {
	port, free := taken(t), vacant(t)
	for name, c := range map[string]struct {
		port  int
		hosts map[deploy.HostID]deploy.HostState
		want  int
	}{
		"all in traffic":              {port, map[deploy.HostID]deploy.HostState{"web-1": {}, "web-2": {}}, 0},
		"out by a deploy":             {free, map[deploy.HostID]deploy.HostState{"web-1": left(false)}, 1},
		"out by a person":             {free, map[deploy.HostID]deploy.HostState{"web-1": left(true)}, 0},
		"never deployed to":           {free, map[deploy.HostID]deploy.HostState{"web-9": {}}, 0},
		"out, and holding a stranger": {port, map[deploy.HostID]deploy.HostState{"web-1": left(false)}, 0},
		"gone from the file":          {port, map[deploy.HostID]deploy.HostState{"web-1": {}, "web-2": {}, "web-9": left(false)}, 0},
		"out, and not to be asked":    {port, map[deploy.HostID]deploy.HostState{"web-1": {}, "web-2": {}, "web-3": left(false)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRebooted(t, c.port, localHost("web-1"), localHost("web-2"), goneHost("web-3"))
			r.stands(c.hosts)
			if asked := r.asked(); len(asked) != c.want {
				t.Errorf("asked for %+v", asked)
			}
		})
	}
}

func TestNothingIsBroughtBackWhileADeployIsUnderWayOrBeforeTheFirst(t *testing.T) {
	r := newRebooted(t, vacant(t), localHost("web-1"))
	if asked := r.asked(); len(asked) > 0 {
		t.Fatalf("before the first deploy: %+v", asked)
	}
	r.stands(map[deploy.HostID]deploy.HostState{"web-1": left(false)})
	if _, _, err := r.store.Submit(t.Context(), deploy.Request{App: "shop", Env: "production", Want: deploy.WantRestart, By: deploy.Actor{ID: "slack:U1"}, Key: "second"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Claim(t.Context(), func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Take: q.Waiting[0].ID} }); err != nil {
		t.Fatal(err)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("under way: %+v", asked)
	}
}

// Who is looked at, runs something or is nowhere, by what the ledger says.
func TestWhatAPersonTookOutIsNeverMissed(t *testing.T) {
	live := deploy.NewRelease(deploy.App{Name: "shop"}, deploy.Commit{SHA: hashOf("live")})
	running, foreign, other := deploy.Instance{PID: 7, Key: live.Key()}, deploy.Instance{PortPID: 7}, deploy.Instance{PID: 7, Key: "other"}
	for name, c := range map[string]struct {
		remembered deploy.HostState
		seen       deploy.Instance
		want       bool
	}{
		"runs":                            {deploy.HostState{}, running, false},
		"runs nothing":                    {deploy.HostState{}, deploy.Instance{}, true},
		"holds a stranger":                {deploy.HostState{}, foreign, false},
		"offline and running":             {left(true), running, false},
		"stopped by a person":             {left(true), deploy.Instance{}, false},
		"left out by a deploy":            {left(false), running, true},
		"left out by a deploy, and empty": {left(false), deploy.Instance{}, true},
		"left behind with another":        {left(false), other, false},
	} {
		l := deploy.Live{Release: live, Hosts: deploy.Roster{}.With("web-1", c.remembered)}
		if got := astray(l, map[deploy.HostID]deploy.Instance{"web-1": c.seen}); len(got) > 0 != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnEditedConfigurationALockAndOneDeadHostBringBackOnlyThatHost(t *testing.T) {
	app := deploy.App{Name: "shop", Env: map[string]string{"MODE": "edited"}}
	env := deploy.Environment{Name: "production", Hosts: []deploy.Host{localHost("web-1"), localHost("web-2"), localHost("web-3")}, ReleaseDir: "/srv",
		Rolling: &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: 1}}
	l := deploy.Live{Target: fleetTarget, Slot: deploy.Main, Ends: 4, Release: deploy.NewRelease(deploy.App{Name: "shop"}, deploy.Commit{SHA: hashOf("live")}),
		Lock: &deploy.Lock{Deploy: 3, By: deploy.Actor{ID: "slack:U1"}, Reason: "month end"}}
	l.Release.SHA256, l.Release.Kind = hashOf("artifact"), deploy.ArtifactTree
	seen := map[deploy.HostID]deploy.Instance{}
	obs := deploy.Observation{Hosts: map[deploy.HostID]deploy.Sight{}}
	for i, in := range []deploy.Instance{{PID: 7, PortPID: 7, Owned: true, Key: l.Release.Key()}, {}, {PID: 9, PortPID: 9, Owned: true, Key: "left-behind"}} {
		id := env.Hosts[i].ID
		in.Host = id
		seen[id], obs.Hosts[id] = in, deploy.Sight{Instance: in, Healthy: in.Running(), Up: i == 0}
		l.Hosts = l.Hosts.With(id, deploy.HostState{Release: l.Release, Instance: in})
	}
	l.Hosts = l.Hosts.With("web-3", left(false))
	r := fleetRevival(l, seen)
	if !revives(r) || !slices.Equal(r.Hosts, []deploy.HostID{"web-2"}) {
		t.Fatalf("asked for %+v", r)
	}
	r.ID = 5
	st := deploy.State{ID: r.ID, Target: fleetTarget, Request: r, Phase: deploy.PhaseQueued}
	verdict := deploy.Admission(func(deploy.Request) *deploy.Error { return nil }, func(deploy.State) bool { return true })(deploy.Queue{Live: l, Waiting: []deploy.State{st}})
	if verdict.Take != r.ID {
		t.Errorf("the lock holds it back: %+v", verdict)
	}
	p, err := deploy.NewPlan(app, env, l, st, obs)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range p.Steps {
		if !slices.Equal(step.Hosts, r.Hosts) || step.Release.Key() != l.Release.Key() {
			t.Errorf("%s of %s on %v", step.Op, step.Release.Key(), step.Hosts)
		}
	}
	if len(p.Steps) == 0 || len(p.Fleet) != 1 {
		t.Errorf("planned %+v", p)
	}
}
