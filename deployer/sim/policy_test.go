package sim_test

import (
	"fmt"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/sim"
)

// policyScenarios are about what is tried, kept and counted.
func policyScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	return []scenario{
		{"a failed release is pushed again", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, sim.Behaviour{Status: 500})
			r.end(t, r.push(t, 2))
			r.world.Behave(commit(2), healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, failed, failed}},
		{"a failed release is forced", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, sim.Behaviour{Status: 500})
			r.end(t, r.push(t, 2))
			r.world.Behave(commit(2), healthy)
			r.submit(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main", Force: "the database was away"})
		}, []deploy.Ending{ok, failed, ok}},
		{"a left release is pushed again", func(t *testing.T, r *rig) {
			r.second(t)
			r.end(t, r.rollback(t))
			r.unlock(t)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok, ok, ok, failed}},
		{"a rollback whose target fails", func(t *testing.T, r *rig) {
			r.second(t)
			r.retire(t)
			r.world.Behave(commit(1), sim.Behaviour{FailsFrom: 6 * time.Second})
			id := r.rollback(t)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
		}, nil},
		{"deliveries come twice", func(t *testing.T, r *rig) {
			r.release(1, healthy)
			id := r.push(t, 1)
			r.again(t, "")
			r.again(t, "test:another delivery")
			r.reach(t, id, deploy.OpCheck)
			r.again(t, "test:a third delivery")
			r.end(t, id)
			r.again(t, "")
		}, []deploy.Ending{ok}},
		{"as many releases are kept as configured", func(t *testing.T, r *rig) {
			r.app.Keep = 3
			r.second(t)
			for i := 3; i <= 4; i++ {
				r.release(i, healthy)
				r.end(t, r.push(t, i))
			}
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok, ok, ok}},
		{"abandoned during bake", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.say(t, id, deploy.KindAbandon)
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, deploy.Abandoned, ok}},
		{"a way back held, and the old one dead", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.world.Refuse(deploy.OpRoute, 1)
			r.order(t, id, deploy.KindCancel)
			r.held(t, id, time.Second)
			r.world.Kill(8080)
			time.Sleep(2 * time.Minute)
			r.say(t, id, deploy.KindResume)
		}, nil},
		{"no automatic way back", func(t *testing.T, r *rig) {
			r.env().AutoRevert = false
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.world.Kill(8081)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
		}, []deploy.Ending{ok, reverted}},
		{"the way back is refused once", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.world.Refuse(deploy.OpRoute, 1)
			r.order(t, id, deploy.KindCancel)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, reverted}},
	}
}

// leaseScenarios are about the old slot after a deploy.
func leaseScenarios() []scenario {
	ok := deploy.Succeeded
	return []scenario{
		{"the old one is not kept", func(t *testing.T, r *rig) {
			r.keepOld(0)
			r.second(t)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"the old one is kept for long", func(t *testing.T, r *rig) {
			r.keepOld(10 * time.Minute)
			r.second(t)
			time.Sleep(5 * time.Minute)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"the old one is not kept, the new one dies while draining", func(t *testing.T, r *rig) {
			r.keepOld(0)
			r.env().BlueGreen.BakeTime = deploy.Duration(time.Second)
			r.env().DrainTimeout = deploy.Duration(30 * time.Second)
			r.first(t)
			r.release(2, healthy)
			r.reach(t, r.push(t, 2), deploy.OpDrain)
			r.world.Kill(8081)
		}, nil},
		{"the live one dies, then the lease runs out", func(t *testing.T, r *rig) {
			r.keepOld(2 * time.Minute)
			r.second(t)
			r.world.Kill(8081)
			time.Sleep(4 * time.Minute)
			r.rollback(t)
		}, nil},
		{"the live one dies, then a push over the warm one", func(t *testing.T, r *rig) {
			r.keepOld(10 * time.Minute)
			r.second(t)
			r.world.Kill(8081)
			time.Sleep(time.Minute)
			r.release(3, healthy)
			id := r.push(t, 3)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindCancel)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, deploy.Cancelled, ok}},
		{"a rollback to the warm one is cancelled during bake", func(t *testing.T, r *rig) {
			r.keepOld(10 * time.Minute)
			r.second(t)
			id := r.rollback(t)
			r.reach(t, id, deploy.OpBake)
			r.order(t, id, deploy.KindCancel)
		}, []deploy.Ending{ok, ok, deploy.Reverted}},
		{"the environment is taken out of the configuration", func(t *testing.T, r *rig) {
			r.second(t)
			r.gone.Store(true)
			time.Sleep(3 * time.Hour)
			r.gone.Store(false)
		}, []deploy.Ending{ok, ok}},
		{"the warm slot cannot be stopped at once", func(t *testing.T, r *rig) {
			r.second(t)
			r.world.Refuse(deploy.OpStop, 1)
		}, []deploy.Ending{ok, ok}},
	}
}

// heldScenarios fail for good at one step, once; a person resumes what is held.
func heldScenarios() []scenario {
	ok, failed := deploy.Succeeded, deploy.Failed
	var out []scenario
	for _, op := range []deploy.Op{deploy.OpStage, deploy.OpRetire, deploy.OpStart, deploy.OpDrain, deploy.OpStop, deploy.OpPrune} {
		want := ok
		if op == deploy.OpStage || op == deploy.OpRetire || op == deploy.OpStart {
			want = failed
		}
		out = append(out, scenario{fmt.Sprintf("%s fails once", op), func(t *testing.T, r *rig) {
			if op == deploy.OpStop || op == deploy.OpDrain {
				r.keepOld(0) // else the first drain is that of the warm slot, before the switch
			}
			r.second(t)
			r.release(3, healthy)
			r.world.Refuse(op, 1)
			id := r.push(t, 3)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok, want}})
	}
	return out
}
