package sim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/sim"
)

// scenario is a story of requests; play returns when the last one was made.
type scenario struct {
	name string
	play func(t *testing.T, r *rig)
	want []deploy.Ending // without faults and crashes, of the deploys asked for
}

func commit(i int) string { return fmt.Sprintf("%07x%033x", 0xabc0000+i, i) }

var healthy = sim.Behaviour{Boot: 700 * time.Millisecond}

// release makes commit i exist with a behaviour, as the tip of main.
func (r *rig) release(i int, b sim.Behaviour) {
	r.world.Behave(commit(i), b)
	r.world.Push("main", commit(i))
}

func (r *rig) push(t *testing.T, i int) deploy.ID {
	return r.submit(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main", Commit: commit(i), Auto: true})
}

func (r *rig) deploy(t *testing.T, ref string) deploy.ID {
	return r.submit(t, deploy.Request{Want: deploy.WantDeploy, Ref: ref})
}

func (r *rig) rollback(t *testing.T) deploy.ID {
	return r.submit(t, deploy.Request{Want: deploy.WantRollback})
}

// end waits for the deploy's end or until a person is needed.
func (r *rig) end(t *testing.T, id deploy.ID) {
	r.until(t, id, 20*time.Minute, func(st deploy.State) bool { return st.Ended() || st.Phase == deploy.PhaseStuck })
}

// first brings release 1 live, whatever happens on the way.
func (r *rig) first(t *testing.T) {
	r.release(1, healthy)
	r.end(t, r.push(t, 1))
	r.prelude = r.world.Points()
}

func after(b sim.Behaviour, want deploy.Ending) scenario {
	return scenario{
		play: func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, b)
			r.push(t, 2)
		},
		want: []deploy.Ending{deploy.Succeeded, want},
	}
}

func named(name string, s scenario) scenario {
	s.name = name
	return s
}

func plainScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	return []scenario{
		{"first deploy", func(t *testing.T, r *rig) {
			r.release(1, healthy)
			r.push(t, 1)
		}, []deploy.Ending{ok}},
		named("second release", after(healthy, ok)),
		named("never boots", after(sim.Behaviour{Silent: true}, failed)),
		named("ends at once", after(sim.Behaviour{Exits: true}, failed)),
		named("answers 500", after(sim.Behaviour{Boot: time.Second, Status: 500}, failed)),
		named("dies during the gate", after(sim.Behaviour{Boot: time.Second, DiesAt: 3 * time.Second}, failed)),
		named("fails during bake", after(sim.Behaviour{Boot: time.Second, FailsFrom: 6 * time.Second}, reverted)),
		named("dies during bake", after(sim.Behaviour{Boot: time.Second, DiesAt: 7 * time.Second}, reverted)),
		{"typed ref, then the same again", func(t *testing.T, r *rig) {
			r.release(1, healthy)
			r.end(t, r.deploy(t, "main"))
			r.deploy(t, commit(1))
		}, []deploy.Ending{ok, ok}},
		{"third release over the warm slot", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, ok, ok}},
		{"rollback while warm", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"rollback when cold", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.retire(t)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"rollback without a target", func(t *testing.T, r *rig) {
			r.first(t)
			r.rollback(t)
		}, []deploy.Ending{ok, failed}},
		{"cancel before the switch", func(t *testing.T, r *rig) { r.cancelWhen(t, deploy.PhaseRunning) }, []deploy.Ending{ok, deploy.Cancelled}},
		{"cancel during bake", func(t *testing.T, r *rig) { r.cancelWhen(t, deploy.PhaseBaking) }, []deploy.Ending{ok, reverted}},
		{"foreign process on the idle port", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Occupy("web-1", 8081)
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, failed}},
		{"pushes in a row", func(t *testing.T, r *rig) {
			r.first(t)
			for i := 2; i <= 4; i++ {
				r.release(i, healthy)
				r.push(t, i)
			}
		}, nil},
		{"late push of an older commit", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.release(3, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, deploy.Superseded}},
		{"bad release, then a fix", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, sim.Behaviour{Boot: time.Second, Status: 503})
			r.end(t, r.push(t, 2))
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, failed, ok}},
		{"no such ref", func(t *testing.T, r *rig) { r.deploy(t, "mian") }, []deploy.Ending{failed}},
	}
}

// scenarios are all stories with a known end.
func scenarios() []scenario {
	return slices.Concat(plainScenarios(), sickScenarios(), switchScenarios(), policyScenarios(), leaseScenarios(), heldScenarios(),
		adoptScenarios(), hookScenarios(), lockScenarios(), fleetScenarios())
}

func (r *rig) cancelWhen(t *testing.T, phase deploy.Phase) {
	r.first(t)
	r.release(2, healthy)
	id := r.push(t, 2)
	r.until(t, id, 10*time.Minute, func(st deploy.State) bool { return st.Phase == phase && st.Plan != nil && st.Open || st.Ended() })
	r.order(t, id, deploy.KindCancel)
}

// wild is a random story of a few requests and accidents.
func wild(seed uint64) scenario {
	return scenario{name: fmt.Sprintf("seed %d", seed), play: func(t *testing.T, r *rig) {
		rnd := rand.New(rand.NewPCG(seed, 77))
		r.keepOld([]time.Duration{30 * time.Second, 0, 5 * time.Second, 2 * time.Minute}[seed%7%4])
		r.app.Keep = 2 + int(seed%11%2)
		if seed%5 == 2 {
			r.hooked()
		}
		if seed%13 == 3 {
			r.running(8080)
		}
		r.release(1, healthy)
		r.push(t, 1)
		for i := 2; i < 3+rnd.IntN(4); i++ {
			r.anything(t, rnd, i)
		}
	}}
}

func (r *rig) anything(t *testing.T, rnd *rand.Rand, i int) {
	switch rnd.IntN(13) {
	case 12:
		r.submit(t, deploy.Request{Want: deploy.WantLock, Reason: "a story", For: deploy.Duration(time.Minute)})
	case 0:
		r.rollback(t)
	case 1:
		r.deploy(t, "main")
	case 2:
		if len(r.ids) > 0 {
			r.order(t, r.ids[rnd.IntN(len(r.ids))], deploy.KindCancel)
		}
	case 3:
		r.again(t, "")
	case 4:
		r.accident(rnd)
	default:
		r.release(i, anyBehaviour(rnd))
		r.push(t, i)
	}
	time.Sleep(time.Duration(rnd.Int64N(int64(40 * time.Second))))
	r.tend(t)
}

// accident is what nobody ordered.
func (r *rig) accident(rnd *rand.Rand) {
	port := 8080 + rnd.IntN(2)
	switch rnd.IntN(5) {
	case 0:
		r.world.Kill(port)
	case 1:
		r.world.Restart(port)
	case 2:
		r.world.Outage(time.Duration(rnd.Int64N(int64(30 * time.Second))))
	case 3:
		r.world.Cut("balancer", time.Duration(rnd.Int64N(int64(30*time.Second))))
	case 4:
		r.world.LoseRoutes(1 + rnd.IntN(3))
	}
}

func anyBehaviour(rnd *rand.Rand) sim.Behaviour {
	b := sim.Behaviour{Boot: time.Duration(rnd.Int64N(int64(3 * time.Second)))}
	age := time.Duration(1+rnd.IntN(15)) * time.Second
	switch rnd.IntN(16) {
	case 0:
		b.Status = 500
	case 1:
		b.Silent = true
	case 2:
		b.Exits = true
	case 3:
		b.DiesAt = age
	case 4:
		b.FailsFrom = age
	case 5:
		b.Flaps = 2 + rnd.IntN(2)
	case 6:
		b.Restarts = age
	case 7:
		b.WrongRelease = true
	case 8:
		b.NoDoor = true
	case 9:
		b.NoDoorFrom = age
	}
	return b
}
