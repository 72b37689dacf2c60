package bottest

import (
	"fmt"
	"time"

	"ipublish/deploy"
)

// FleetDeploy is the journal of a rolling deploy over so many hosts with long
// names, in three batches and two at a time, with two notes a step. Its events
// come at each call of tell; a host in the middle cannot be reached and is left
// behind. It ends well.
func FleetDeploy(hosts int, tell func(deploy.Event)) {
	f := &fleet{tell: tell, app: fleetApp(hosts)}
	f.env = f.app.Environments[0]
	f.say(deploy.Event{Kind: deploy.KindRequested, Request: &deploy.Request{App: f.app.Name, Env: f.env.Name, Want: deploy.WantDeploy,
		Commit: newCommit, Title: "Fix the basket", By: deploy.Actor{ID: "slack:U024BE7LH", Name: "ann"}}})
	f.say(deploy.Event{Kind: deploy.KindClaimed})
	f.say(deploy.Event{Kind: deploy.KindPlanned, Plan: f.plan()})
	for f.st.Next < len(f.st.Plan.Steps) {
		f.step()
	}
	report := deploy.Conclude(f.st, f.live, deploy.Succeeded, fleetBegin())
	f.say(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &report})
}

const (
	oldCommit = "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	newCommit = "4f2a91c0d7b5e6f8a9b0c1d2e3f405162738495a"
)

func fleetBegin() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

// fleet writes a journal as the engine does.
type fleet struct {
	app  deploy.App
	env  deploy.Environment
	tell func(deploy.Event)
	st   deploy.State
	live deploy.Live
}

func fleetApp(hosts int) deploy.App {
	env := deploy.Environment{Name: "production", ReleaseDir: "/srv", AutoRevert: true, DrainTimeout: deploy.Duration(30 * time.Second),
		Rolling: &deploy.Rolling{Port: 9001, MaxParallel: 2, MinHealthy: hosts / 2, OnHostFailure: deploy.OnFailureRevert, MaxFailedHosts: 1,
			Batches: []deploy.Share{{Percent: 10}, {Percent: 50}, {Percent: 100}}, BakeTime: deploy.Duration(time.Minute)}}
	for i := range hosts {
		id := deploy.HostID(fmt.Sprintf("web-%03d.shop.eu-central-1.internal.example.com", i+1))
		env.Hosts = append(env.Hosts, deploy.Host{ID: id, Address: string(id)})
	}
	return deploy.App{Name: "shop", Environments: []deploy.Environment{env}}
}

func (f *fleet) plan() *deploy.Plan {
	old := deploy.NewRelease(f.app, deploy.Commit{SHA: oldCommit, Title: "Old"})
	f.live = deploy.Live{Release: old, Slot: deploy.Main, Deploy: 1}
	obs := deploy.Observation{Hosts: map[deploy.HostID]deploy.Sight{}}
	for _, id := range f.env.HostIDs() {
		f.live.Hosts = f.live.Hosts.With(id, deploy.HostState{Release: old})
		obs.Hosts[id] = deploy.Sight{Healthy: true, Up: true, Instance: deploy.Instance{Host: id, PID: 1, Owned: true, Key: old.Key()}}
	}
	p, err := deploy.NewPlan(f.app, f.env, f.live, f.st, obs)
	if err != nil {
		panic(err) // the world above can always be planned
	}
	return &p
}

// step runs the next step; the unlucky host fails its first one.
func (f *fleet) step() {
	at := f.st.Next
	f.say(deploy.Event{Kind: deploy.KindStarted, Step: at, Evidence: &deploy.Evidence{}})
	for n := range 2 {
		f.say(deploy.Event{Kind: deploy.KindNoted, Text: fmt.Sprintf("%d in flight", 2-n)})
	}
	step, _ := f.st.StepAt(at)
	if unlucky := f.env.Hosts[len(f.env.Hosts)/2].ID; step.Op == deploy.OpOut && step.Hosts[0] == unlucky && !f.st.Behind(unlucky) {
		cause := &deploy.Error{Code: deploy.CodeUnavailable, Op: "out", Subject: string(unlucky), Message: string(unlucky) + " does not answer on port 22"}
		failures := &deploy.Evidence{Failures: []deploy.HostFailure{{Host: unlucky, Err: cause}}}
		f.say(deploy.Event{Kind: deploy.KindFailed, Step: at, Err: cause, Evidence: failures})
		f.say(deploy.Event{Kind: deploy.KindSkipped, Step: at, Err: cause, Evidence: failures, Hosts: []deploy.HostID{unlucky}})
		return
	}
	f.say(deploy.Event{Kind: deploy.KindDone, Step: at, Evidence: &deploy.Evidence{}})
}

// say numbers an event, folds and tells it.
func (f *fleet) say(ev deploy.Event) {
	ev.N, ev.Seq, ev.Deploy, ev.V = f.st.N+1, f.st.N+1, 142, deploy.EventVersion
	ev.Target, ev.At = deploy.Target{App: f.app.Name, Env: f.env.Name}, fleetBegin().Add(time.Duration(f.st.N)*time.Second)
	f.st = f.st.Apply(ev)
	f.live = deploy.FoldEnv(f.live, f.st, ev)
	f.tell(ev)
}

// FleetStates are the states of FleetDeploy after each of its events, and at last
// the same deploy held half-way, and going back from there.
func FleetStates(hosts int) []deploy.State {
	var states []deploy.State
	var st deploy.State
	FleetDeploy(hosts, func(ev deploy.Event) {
		st = st.Apply(ev)
		states = append(states, st)
	})
	half := states[len(states)/2]
	next := func(ev deploy.Event) {
		ev.N, ev.Seq, ev.Deploy, ev.V, ev.Target, ev.At = half.N+1, half.N+1, 142, deploy.EventVersion, half.Target, half.Last
		half = half.Apply(ev)
		states = append(states, half)
	}
	next(deploy.Event{Kind: deploy.KindStuck, Err: &deploy.Error{Code: deploy.CodeHold, Op: "out", Message: "look at it", Log: "one\ntwo"}})
	undo := deploy.Undo(half)
	next(deploy.Event{Kind: deploy.KindRevert, Plan: &undo, Ending: deploy.Reverted, Err: &deploy.Error{Code: deploy.CodeUnhealthy, Op: "check", Message: "it answers 500"}})
	return states
}
