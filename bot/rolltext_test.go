package bot

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// fleetWorld is a rolling environment as the planner sees it.
type fleetWorld struct {
	app  deploy.App
	env  deploy.Environment
	live deploy.Live
	obs  deploy.Observation
}

// newFleet is ten hosts that run release old, all of them in traffic.
func newFleet(n int) *fleetWorld {
	env := rollingEnv("production", numbered("web-", n)...)
	env.ReleaseDir, env.DrainTimeout, env.StopTimeout, env.ProgressDeadline = "/srv", deploy.Duration(30*time.Second), deploy.Duration(30*time.Second), deploy.Duration(10*time.Minute)
	env.AutoRevert = true
	env.Rolling = &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: n - 2, OnHostFailure: deploy.OnFailureRevert, MaxFailedHosts: 1,
		Batches: []deploy.Share{{Percent: 10}, {Percent: 50}, {Percent: 100}}, BakeTime: deploy.Duration(time.Minute)}
	app := deploy.App{Name: "shop", Keep: 5, Environments: []deploy.Environment{env}, Build: deploy.Build{Timeout: deploy.Duration(15 * time.Minute)},
		Health: deploy.Health{ExpectRelease: "process", MinHealthyTime: deploy.Duration(10 * time.Second), HealthyDeadline: deploy.Duration(5 * time.Minute)}}
	f := &fleetWorld{app: app, env: env, obs: deploy.Observation{Hosts: map[deploy.HostID]deploy.Sight{}}}
	old := f.release("1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Old")
	f.live = deploy.Live{Target: shopProd, Release: old, Slot: deploy.Main, Deploy: 7}
	for _, id := range env.HostIDs() {
		f.live.Hosts = f.live.Hosts.With(id, deploy.HostState{Release: old, Host: deploy.Host{ID: id}, Instance: deploy.Instance{Host: id, PID: 100}})
		f.obs.Hosts[id] = deploy.Sight{Healthy: true, Up: true, Instance: deploy.Instance{Host: id, PID: 100, PortPID: 100, Owned: true, Key: old.Key()}}
	}
	return f
}

func (f *fleetWorld) release(commit, title string) deploy.Release {
	return deploy.NewRelease(f.app, deploy.Commit{SHA: commit, Title: title})
}

// out makes a host be out of traffic by #5.
func (f *fleetWorld) out(id deploy.HostID, by string, person bool) {
	h := f.live.Hosts.Get(id)
	h.Out = &deploy.Outage{Deploy: 5, By: deploy.Actor{ID: "slack:" + by, Name: by}, At: time.Now().Add(-75 * time.Hour), Person: person}
	f.live.Hosts = f.live.Hosts.With(id, h)
	s := f.obs.Hosts[id]
	s.Up = false
	f.obs.Hosts[id] = s
}

func (f *fleetWorld) plan(t *testing.T, want deploy.Want, hosts ...deploy.HostID) deploy.Plan {
	t.Helper()
	st := deploy.State{ID: 9, Target: shopProd, Request: deploy.Request{App: "shop", Env: "production", Want: want, Hosts: hosts}, Commit: deploy.Commit{SHA: sha, Title: "Fix the basket"}}
	p, err := deploy.NewPlan(f.app, f.env, f.live, st, f.obs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testdata/rollplans.txt holds "-- name" and the plan as it is told.
func TestRollingPlansAreToldBatchByBatch(t *testing.T) {
	minute := deploy.Duration(time.Minute)
	cases := []struct {
		name  string
		shape func(f *fleetWorld)
		want  deploy.Want
		hosts []deploy.HostID
	}{
		{"ten hosts in three batches", nil, deploy.WantDeploy, nil},
		{"one that a deploy left out, one that a person took out, one that cannot be reached", func(f *fleetWorld) {
			f.out("web-3", "ann", false)
			f.out("web-4", "ann", true)
			f.obs.Hosts["web-9"] = deploy.Sight{Err: &deploy.Error{Code: deploy.CodeUnavailable, Message: "web-9 does not answer on port 22"}}
			f.env.Rolling.MinHealthy = 5
		}, deploy.WantDeploy, nil},
		{"with the user's programs, two at a time, skipping", func(f *fleetWorld) {
			f.app.Hooks = deploy.Hooks{
				Migrate: deploy.Hook{Run: []string{"./migrate.sh", "-x"}, On: deploy.OnFirstHost, Timeout: minute}, OnIdle: deploy.Hook{Run: []string{"./idle.sh"}, On: deploy.OnHosts, Timeout: minute},
				Idle: deploy.Hook{Run: []string{"./busy"}, On: deploy.OnHosts, Timeout: minute}, OnLive: deploy.Hook{Run: []string{"notify"}, On: deploy.OnBot, Timeout: minute},
				SmokeTest: deploy.Hook{Run: []string{"./smoke"}, On: deploy.OnFirstHost, Timeout: minute},
			}
			f.env.Rolling.MaxParallel, f.env.Rolling.Batches, f.env.Rolling.OnHostFailure = 2, nil, deploy.OnFailureSkip
			f.env.Verify = &deploy.Verify{URL: "http://shop.example.com/"}
		}, deploy.WantDeploy, nil},
		{"the first deploy", func(f *fleetWorld) {
			f.live = deploy.Live{Target: shopProd}
			for id := range f.obs.Hosts {
				f.obs.Hosts[id] = deploy.Sight{}
			}
		}, deploy.WantDeploy, nil},
		{"a host that left the configuration", func(f *fleetWorld) {
			f.env.Hosts, f.env.Rolling.MinHealthy, f.env.Rolling.Batches = f.env.Hosts[:3], 2, nil
			for _, id := range numbered("web-", 10)[4:] {
				f.live.Hosts = f.live.Hosts.Without(id)
			}
		}, deploy.WantDeploy, nil},
		{"nothing to do", func(f *fleetWorld) { f.live.Release = f.release(sha, ""); f.runs(sha) }, deploy.WantDeploy, nil},
		{"restart", func(f *fleetWorld) { f.env.Rolling.OnHostFailure = deploy.OnFailureStop }, deploy.WantRestart, nil},
		{"drill", nil, deploy.WantDrill, nil},
		{"offline", nil, deploy.WantOffline, []deploy.HostID{"web-3", "web-4"}},
		{"stop", nil, deploy.WantStop, []deploy.HostID{"web-3"}},
		{"stop of what has background work", func(f *fleetWorld) {
			f.app.Hooks.Idle = deploy.Hook{Run: []string{"./busy"}, On: deploy.OnHosts, Timeout: minute}
		}, deploy.WantStop, []deploy.HostID{"web-3"}},
		{"online", func(f *fleetWorld) { f.out("web-3", "ann", true) }, deploy.WantOnline, []deploy.HostID{"web-3"}},
		{"start", func(f *fleetWorld) {
			f.out("web-3", "ann", true)
			f.obs.Hosts["web-3"] = deploy.Sight{}
		}, deploy.WantStart, []deploy.HostID{"web-2", "web-3"}},
		{"two hundred hosts", func(f *fleetWorld) { *f = *newFleet(200) }, deploy.WantDeploy, nil},
	}
	var got strings.Builder
	for _, c := range cases {
		f := newFleet(10)
		if c.shape != nil {
			c.shape(f)
		}
		fmt.Fprintf(&got, "-- %s\n%s\n\n", c.name, planText(f.plan(t, c.want, c.hosts...)))
	}
	golden(t, "testdata/rollplans.txt", got.String())
}

// runs makes every host run the release of a commit.
func (f *fleetWorld) runs(commit string) {
	for id, s := range f.obs.Hosts {
		s.Instance.Key = f.release(commit, "").Key()
		f.obs.Hosts[id] = s
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", file, differing(string(want), got))
	}
}

func TestTheExpectedTimeIsThatOfTheNewestDeployThatWentWell(t *testing.T) {
	f := newFleet(10)
	p := f.plan(t, deploy.WantDeploy)
	if line := expectedLine(p, deploy.State{}); line != "" {
		t.Errorf("without a past it is %q", line)
	}
	past := deploy.State{ID: 8, Ending: deploy.Succeeded, Plan: &p, Request: deploy.Request{Want: deploy.WantDeploy}, Outcomes: deploy.NewOutcomes(len(p.Steps))}
	at := time.Unix(0, 0)
	past.Outcomes = past.Outcomes.Map(func(deploy.Outcome) deploy.Outcome {
		return deploy.Outcome{Done: true, Started: at, Ended: at.Add(2 * time.Second)}
	})
	want := "expected: about 5m0s, as a turn took 12s in #8" // ten turns of six steps, and a minute after each batch
	if line := expectedLine(p, past); line != want {
		t.Errorf("it is %q, want %q", line, want)
	}
	m := newMemory()
	submitted(t, m, shopProd, "good").rolling().done(25).ended(deploy.Succeeded)
	submitted(t, m, shopProd, "bad").rolling().ended(deploy.Failed)
	if told := strings.Join(newHandler(m).expected(p), ""); !strings.HasPrefix(told, "expected: about") || !strings.HasSuffix(told, "in #1") {
		t.Errorf("by the records it is %q", told)
	}
}

func TestAPlanOfTheChatForetellsByTheRecords(t *testing.T) {
	m := newMemory()
	m.plan = newFleet(10).plan(t, deploy.WantDeploy)
	h := newHandler(m)
	h.Config = fleetConfig
	a := h.Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: "slack:UDEPLOY"}, Text: "plan shop to production --without web-3", Key: "k"})
	text := a.Later(t.Context()).Text
	contains(t, text, "batch 1 of 3: web-1: out of traffic, drain at most 30s, stop, start, check, back in", "turns: 10")
	if m.planned.Without[0] != "web-3" || strings.Contains(text, "expected") {
		t.Errorf("asked for %+v, told %s", m.planned, text)
	}
}
