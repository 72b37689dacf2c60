package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/store"
)

// waitFor is how long a claim of these tests may take.
const waitFor = 10 * time.Second

// fleet is an environment of n hosts that are released one after another.
func fleet(n int) deploy.Environment {
	env := deploy.Environment{
		Name: "production", ReleaseDir: "/srv/ipublish", AutoRevert: true, Balancer: deploy.Section{Driver: "statusfile"},
		Rolling:      &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: n - 1, OnHostFailure: deploy.OnFailureRevert},
		DrainTimeout: deploy.Duration(30 * time.Second), StopTimeout: deploy.Duration(20 * time.Second), ProgressDeadline: deploy.Duration(10 * time.Minute),
	}
	for i := range n {
		env.Hosts = append(env.Hosts, deploy.Host{ID: deploy.HostID("web-" + strconv.Itoa(i+1)), Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), Driver: deploy.Section{Driver: "ssh"}})
	}
	return env
}

func fleetApp() deploy.App {
	return deploy.App{Name: "shop", Repository: "https://git.example.com/acme/shop.git", Keep: 2, Runtime: deploy.Section{Driver: "command"},
		Health: deploy.Health{Path: "/healthz", Method: "GET", ExpectStatus: []int{200}, HealthyDeadline: deploy.Duration(time.Minute)}}
}

func fleetTarget() deploy.Target { return deploy.Target{App: "shop", Env: "production"} }

func commitOf(n int) string { return fmt.Sprintf("%040x", n+1) }

// rolled is one deploy of a fleet as the engine would journal it.
type rolled struct {
	t  testing.TB
	s  *store.Store
	id deploy.ID
	st deploy.State
}

// begin submits, claims and plans the release of a commit.
func begin(t testing.TB, s *store.Store, env deploy.Environment, commit int) *rolled {
	t.Helper()
	live, err := s.Live(fleetTarget())
	if err != nil && deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Fatal(err)
	}
	id, _, err := s.Submit(context.Background(), deploy.Request{App: "shop", Env: "production", Want: deploy.WantDeploy, Commit: commitOf(commit),
		Key: fmt.Sprintf("slack:%d:%d", commit, len(env.Hosts)), By: deploy.Actor{ID: "slack:U1", Name: "ann"}})
	r := &rolled{t: t, s: s, id: id}
	r.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), waitFor)
	defer cancel()
	_, err = s.Claim(ctx, func(deploy.Queue) deploy.Verdict { return deploy.Verdict{Take: id} })
	r.must(err)
	r.refresh()
	plan, err := deploy.NewPlan(fleetApp(), env, live, r.st, seen(env, live))
	r.must(err)
	r.add(deploy.Event{Kind: deploy.KindPlanned, Plan: &plan})
	return r
}

// seen is a fleet as the last deploy left it.
func seen(env deploy.Environment, live deploy.Live) deploy.Observation {
	obs := deploy.Observation{Hosts: map[deploy.HostID]deploy.Sight{}}
	for _, h := range env.Hosts {
		was := live.Hosts.Get(h.ID)
		obs.Hosts[h.ID] = deploy.Sight{Instance: was.Instance, Healthy: was.Instance.Running(), Up: was.Instance.Running() && was.Out == nil}
	}
	return obs
}

func (r *rolled) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rolled) refresh() {
	r.t.Helper()
	st, err := r.s.State(r.id)
	r.must(err)
	r.st = st
}

func (r *rolled) add(ev deploy.Event) {
	r.t.Helper()
	r.must(r.s.Append(r.id, r.st.N, ev))
	r.refresh()
}

func (r *rolled) start() {
	r.t.Helper()
	r.add(deploy.Event{Kind: deploy.KindStarted, Step: r.st.Next})
}

// done ends the started step with the proof that a driver gives.
func (r *rolled) done() {
	r.t.Helper()
	step, _ := r.st.StepAt(r.st.Next)
	r.add(deploy.Event{Kind: deploy.KindDone, Step: r.st.Next, Evidence: proof(step)})
}

func proof(step deploy.Step) *deploy.Evidence {
	if step.Op != deploy.OpStart && step.Op != deploy.OpCheck {
		return nil
	}
	var ev deploy.Evidence
	for _, id := range step.Hosts {
		ev.Instances = append(ev.Instances, deploy.Instance{Host: id, Slot: step.Slot, PID: 4242, Started: "42420", PortPID: 4242, Owned: true,
			Key: step.Release.Key(), Passed: step.Op == deploy.OpCheck})
	}
	return &ev
}

// until runs steps until the next one has this operation.
func (r *rolled) until(op deploy.Op) {
	r.t.Helper()
	for {
		step, ok := r.st.StepAt(r.st.Next)
		if !ok {
			r.t.Fatalf("the plan has no step %s", op)
		}
		if step.Op == op {
			return
		}
		r.start()
		r.done()
	}
}

// all runs what is left and ends the deploy.
func (r *rolled) all() {
	r.t.Helper()
	for deploy.Decide(r.st).Act == deploy.ActRun {
		r.start()
		r.done()
	}
	live, err := r.s.Live(fleetTarget())
	r.must(err)
	report := deploy.Conclude(r.st, live, deploy.Succeeded, time.Now())
	r.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &report})
}

// rollOut brings a commit to a whole fleet.
func rollOut(t testing.TB, s *store.Store, env deploy.Environment, commit int) {
	t.Helper()
	begin(t, s, env, commit).all()
}

// asText is a value as it is stored.
func asText(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keysOf(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
