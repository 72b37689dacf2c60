package sim_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/sim"
)

// fleet makes the run one of n hosts in rolling releases.
func (r *rig) fleet(n int, change ...func(*deploy.Rolling)) {
	e := r.env()
	e.Rolling = &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: n - 1, OnHostFailure: deploy.OnFailureRevert, UnreachableAfter: deploy.Duration(8 * time.Second)}
	for _, c := range change {
		c(e.Rolling)
	}
	e.BlueGreen, e.Hosts, e.Verify = deploy.BlueGreen{}, nil, nil
	for id, addr := range hosts(n) {
		e.Hosts = append(e.Hosts, deploy.Host{ID: id, Address: addr, Driver: deploy.Section{Driver: "sim"}})
	}
	slices.SortFunc(e.Hosts, func(a, b deploy.Host) int { return strings.Compare(string(a.ID), string(b.ID)) })
	seed := r.world.Seed
	r.world.SetFleet(sim.Fleet{Floor: e.Rolling.MinHealthy, Asked: seed%2 == 0, Count: seed%3 != 0}, hosts(n))
	if seed%2 == 1 && r.world.Lag == 0 {
		r.world.Lag = 2 * time.Second
	}
}

// rolled is a fleet on which release 1 is live.
func (r *rig) rolled(t *testing.T, n int, change ...func(*deploy.Rolling)) {
	r.fleet(n, change...)
	r.first(t)
}

func parallel(n int) func(*deploy.Rolling) {
	return func(s *deploy.Rolling) { s.MaxParallel, s.MinHealthy = n, s.MinHealthy+1-n }
}

func failing(how deploy.OnFailure, most int) func(*deploy.Rolling) {
	return func(s *deploy.Rolling) {
		s.OnHostFailure, s.MaxFailedHosts = how, most
		s.MinHealthy -= most
	}
}

func inBatches(bake time.Duration, shares ...int) func(*deploy.Rolling) {
	return func(s *deploy.Rolling) {
		s.BakeTime = deploy.Duration(bake)
		for _, p := range shares {
			s.Batches = append(s.Batches, deploy.Share{Percent: p})
		}
	}
}

// about is a request for hosts by name.
func (r *rig) about(t *testing.T, want deploy.Want, hosts ...deploy.HostID) deploy.ID {
	return r.submit(t, deploy.Request{Want: want, Hosts: hosts})
}

// fleetScenarios are rolling releases.
func fleetScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	return []scenario{
		{"roll: first deploy", func(t *testing.T, r *rig) {
			r.fleet(3)
			r.release(1, healthy)
			r.push(t, 1)
		}, []deploy.Ending{ok}},
		{"roll: second release", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"roll: two at a time in batches", func(t *testing.T, r *rig) {
			r.rolled(t, 5, parallel(2), inBatches(5*time.Second, 20, 100))
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"roll: never boots", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, sim.Behaviour{Silent: true})
			r.push(t, 2)
		}, []deploy.Ending{ok, failed}},
		{"roll: fails between batches", func(t *testing.T, r *rig) {
			r.rolled(t, 3, inBatches(8*time.Second, 34, 100))
			r.release(2, sim.Behaviour{Boot: time.Second, FailsFrom: 6 * time.Second})
			r.push(t, 2)
		}, []deploy.Ending{ok, reverted}},
		{"roll: dies on the second host", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Behave(commit(2), sim.Behaviour{Exits: true})
			r.world.KillOn("web-2")
		}, []deploy.Ending{ok, reverted}},
		{"roll: then back", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"roll: the same again", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.deploy(t, commit(1))
		}, []deploy.Ending{ok, ok}},
		{"roll: cancelled in the middle", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.order(t, id, deploy.KindCancel)
		}, []deploy.Ending{ok, reverted}},
		{"roll: a sick host is mended first", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.world.KillOn("web-2")
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"roll: two sick hosts and no budget", func(t *testing.T, r *rig) {
			r.rolled(t, 4)
			r.world.KillOn("web-2")
			r.world.KillOn("web-3")
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"roll: a host is away before", func(t *testing.T, r *rig) {
			r.rolled(t, 3, failing(deploy.OnFailureRevert, 1))
			r.world.Lose("web-2", 10*time.Minute)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			time.Sleep(15 * time.Minute)
			r.deploy(t, commit(2))
		}, []deploy.Ending{ok, ok, ok}},
		{"roll: a host is away before and none may be", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.world.Lose("web-2", 10*time.Minute)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			time.Sleep(15 * time.Minute)
		}, []deploy.Ending{ok, failed}},
		{"roll: a host is lost while it is out", func(t *testing.T, r *rig) {
			r.rolled(t, 4, failing(deploy.OnFailureRevert, 1))
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Lose("web-2", 10*time.Minute)
			r.end(t, id)
			time.Sleep(15 * time.Minute)
			r.deploy(t, commit(2))
		}, []deploy.Ending{ok, ok, ok}},
		{"roll: a host is lost and a person is called", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Lose("web-2", 2*time.Minute)
			r.held(t, id, 3*time.Minute)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok}},
		{"roll: a host fails and is left behind", func(t *testing.T, r *rig) {
			r.rolled(t, 4, failing(deploy.OnFailureSkip, 1))
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Behave(commit(2), sim.Behaviour{Exits: true})
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Behave(commit(2), healthy)
		}, nil},
		{"roll: a host fails and it stops there", func(t *testing.T, r *rig) {
			r.rolled(t, 3, failing(deploy.OnFailureStop, 0))
			r.release(2, sim.Behaviour{Status: 500})
			id := r.push(t, 2)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
		}, []deploy.Ending{ok, deploy.Cancelled}},
		{"roll: paused, then on", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-1")
			r.order(t, id, deploy.KindPause)
			r.until(t, id, 5*time.Minute, func(st deploy.State) bool { return st.Phase == deploy.PhasePaused || st.Ended() })
			time.Sleep(10 * time.Minute)
			if st, err := r.read(id); err == nil && st.Ended() && st.Pause != nil {
				r.world.Violate("pause: %s goes on while it is paused", id)
			}
			r.order(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok}},
		{"roll: offline outlasts a deploy", func(t *testing.T, r *rig) {
			r.rolled(t, 4, failing(deploy.OnFailureRevert, 1))
			r.end(t, r.about(t, deploy.WantOffline, "web-3"))
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			if slices.Contains(r.world.Serving(), "web-3") {
				r.world.Violate("offline: a deploy put web-3 back")
			}
			r.about(t, deploy.WantOnline, "web-3")
		}, []deploy.Ending{ok, ok, ok, ok}},
		{"roll: offline below the floor", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.about(t, deploy.WantOffline, "web-1", "web-2")
		}, []deploy.Ending{ok, failed}},
		{"roll: stopped and started", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.end(t, r.about(t, deploy.WantStop, "web-2"))
			r.about(t, deploy.WantStart, "web-2")
		}, []deploy.Ending{ok, ok, ok}},
		{"roll: restarted everywhere", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.about(t, deploy.WantRestart)
		}, []deploy.Ending{ok, ok}},
		{"roll: drilled", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.about(t, deploy.WantDrill)
		}, []deploy.Ending{ok, ok}},
		{"roll: a drill is cancelled", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			id := r.about(t, deploy.WantDrill)
			r.reachHost(t, id, deploy.OpDrain, "web-2")
			r.order(t, id, deploy.KindCancel)
			r.end(t, id)
			if n := len(r.world.Serving()); n < 3 {
				r.world.Violate("drill: after its cancel %d hosts serve, not 3", n)
			}
		}, []deploy.Ending{ok, deploy.Cancelled}},
		{"roll: an app dies while its host waits to get traffic", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.world.Bar("web-2", deploy.OpIn, true)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.held(t, id, time.Second)
			r.world.KillOn("web-2")
			time.Sleep(time.Minute)
			r.world.Bar("web-2", deploy.OpIn, false)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, reverted}},
		{"roll: the next host blinks and another is dead", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-1")
			r.world.KillOn("web-3")
			r.world.Lose("web-2", 9*time.Second)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
		}, nil},
		{"roll: hosts come and go", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			all := r.env().Hosts
			r.fleet(4, func(s *deploy.Rolling) { s.MinHealthy = 2 })
			r.env().Hosts = append(slices.Clone(r.env().Hosts[3:]), all[1:]...)
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"roll: no room on a host, with a migration", func(t *testing.T, r *rig) {
			r.app.Hooks.Migrate = deploy.Hook{Run: []string{"./migrate"}, On: deploy.OnFirstHost, Timeout: deploy.Duration(time.Minute)}
			r.rolled(t, 4, failing(deploy.OnFailureRevert, 1))
			r.world.Bar("web-1", deploy.OpStage, true)
			r.release(2, healthy)
			before := r.world.Ran("migrate")
			id := r.push(t, 2)
			r.end(t, id)
			if st, err := r.read(id); err == nil && st.Ending == ok && r.world.Ran("migrate") == before {
				r.world.Violate("migrate: %s succeeded and it ran nowhere", id)
			}
			r.world.Bar("web-1", deploy.OpStage, false)
			r.deploy(t, commit(2))
		}, []deploy.Ending{ok, ok, ok}},
		{"roll: no room on a host, then the release fails", func(t *testing.T, r *rig) {
			r.rolled(t, 4, failing(deploy.OnFailureRevert, 1))
			r.world.Bar("web-1", deploy.OpStage, true)
			r.release(2, sim.Behaviour{Silent: true})
			id := r.push(t, 2)
			r.end(t, id)
			if st, err := r.read(id); err == nil && slices.ContainsFunc(undoHosts(st), func(h deploy.HostID) bool { return h == "web-1" }) {
				r.world.Violate("undo: %s takes web-1 back, which it never touched", id)
			}
		}, []deploy.Ending{ok, failed}},
		{"roll: a health file cannot be removed", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.world.Bar("web-3", deploy.OpOut, true)
			r.end(t, r.about(t, deploy.WantOffline, "web-3"))
			r.world.Bar("web-3", deploy.OpOut, false)
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, failed, ok}},
		{"roll: the first release fails on the second host", func(t *testing.T, r *rig) {
			r.fleet(3)
			r.release(1, healthy)
			id := r.push(t, 1)
			r.reachHost(t, id, deploy.OpCheck, "web-2")
			r.world.Behave(commit(1), sim.Behaviour{Exits: true})
			r.world.KillOn("web-2")
		}, []deploy.Ending{failed}},
		{"roll: the live release does not come up on a host", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.world.KillOn("web-2")
			r.world.Behave(commit(1), sim.Behaviour{Exits: true})
			r.end(t, r.deploy(t, commit(1)))
			r.world.Behave(commit(1), healthy)
			r.deploy(t, commit(1))
		}, []deploy.Ending{ok, failed, ok}},
		{"roll: online is cancelled", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.end(t, r.about(t, deploy.WantOffline, "web-3"))
			id := r.about(t, deploy.WantOnline, "web-3")
			r.reachHost(t, id, deploy.OpCheck, "web-3")
			r.order(t, id, deploy.KindCancel)
		}, nil},
		{"roll: another host dies meanwhile", func(t *testing.T, r *rig) {
			r.rolled(t, 3)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reachHost(t, id, deploy.OpCheck, "web-1")
			r.world.KillOn("web-3")
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
		}, nil},
	}
}

// undoHosts are those that the way back is about.
func undoHosts(st deploy.State) []deploy.HostID {
	var ids []deploy.HostID
	if st.Undo != nil {
		for _, s := range st.Undo.Steps {
			ids = append(ids, s.Hosts...)
		}
	}
	return ids
}

// reachHost waits until the deploy is at an operation on a host, or past it.
func (r *rig) reachHost(t *testing.T, id deploy.ID, op deploy.Op, host deploy.HostID) {
	r.until(t, id, 10*time.Minute, func(st deploy.State) bool {
		step, ok := st.StepAt(st.Next)
		return ok && step.Op == op && slices.Contains(step.Hosts, host) && st.Open || st.Ended() || st.Phase == deploy.PhaseStuck
	})
}

// wildFleet is a random story of a few requests and accidents on many hosts.
func wildFleet(seed uint64) scenario {
	return scenario{name: fmt.Sprintf("fleet seed %d", seed), play: func(t *testing.T, r *rig) {
		rnd := rand.New(rand.NewPCG(seed, 99))
		n := 2 + rnd.IntN(4)
		r.fleet(n, parallel(1+rnd.IntN(n-1)), func(s *deploy.Rolling) {
			s.MaxFailedHosts = rnd.IntN(2)
			s.OnHostFailure = []deploy.OnFailure{deploy.OnFailureRevert, deploy.OnFailureStop, deploy.OnFailureSkip}[rnd.IntN(3)]
			if rnd.IntN(2) == 0 {
				inBatches(5*time.Second, 30, 100)(s)
			}
		})
		r.release(1, healthy)
		r.push(t, 1)
		for i := 2; i < 3+rnd.IntN(4); i++ {
			r.somethingOnHosts(t, rnd, i, n)
		}
	}}
}

func (r *rig) somethingOnHosts(t *testing.T, rnd *rand.Rand, i, n int) {
	host := deploy.HostID(fmt.Sprintf("web-%d", 1+rnd.IntN(n)))
	verbs := []deploy.Want{deploy.WantStart, deploy.WantStop, deploy.WantRestart, deploy.WantOffline, deploy.WantOnline}
	switch rnd.IntN(12) {
	case 0:
		r.rollback(t)
	case 1:
		r.deploy(t, "main")
	case 2:
		if len(r.ids) > 0 {
			r.order(t, r.ids[rnd.IntN(len(r.ids))], []deploy.Kind{deploy.KindCancel, deploy.KindPause, deploy.KindResume}[rnd.IntN(3)])
		}
	case 3:
		r.world.KillOn(host)
	case 4:
		r.world.Lose(host, time.Duration(rnd.Int64N(int64(time.Minute))))
	case 5, 6:
		r.about(t, verbs[rnd.IntN(len(verbs))], host)
	case 7:
		r.about(t, []deploy.Want{deploy.WantRestart, deploy.WantDrill}[rnd.IntN(2)])
	default:
		r.release(i, anyBehaviour(rnd))
		r.push(t, i)
	}
	time.Sleep(time.Duration(rnd.Int64N(int64(40 * time.Second))))
	r.tend(t)
}

func TestRandomStoriesOfManyHostsKeepTheInvariants(t *testing.T) {
	from, to := seeds(t)
	const lanes = 2
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			for seed := from + lane; seed <= to; seed += lanes {
				s := swarm(seed)
				s.scenario, s.verbose = wildFleet(seed), os.Getenv("SEED") != ""
				if res := run(t, s); len(res.violations) > 0 {
					t.Fatalf("seed %d (again: make sim SEED=%d):\n%s\n%s", seed, seed, strings.Join(res.violations, "\n"), res.story)
				}
			}
		})
	}
}
