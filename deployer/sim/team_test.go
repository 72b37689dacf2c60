package sim_test

import (
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/sim"
)

// running puts a foreign process that answers on a port of every host.
func (r *rig) running(port int) {
	for _, h := range r.env().Hosts {
		r.world.Occupy(h.ID, port)
	}
}

// vacated ends them.
func (r *rig) vacated(port int) {
	for _, h := range r.env().Hosts {
		r.world.Vacate(h.ID, port)
	}
}

func (r *rig) adopt(t *testing.T) deploy.ID {
	return r.submit(t, deploy.Request{Want: deploy.WantAdopt})
}

// adoptScenarios are about what ran before ipublish came.
func adoptScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	begin := func(r *rig) {
		r.env().Verify = nil // nothing answers at the door before ipublish sends it anywhere
		r.running(8080)
	}
	return []scenario{
		{"what runs is adopted by the first deploy", func(t *testing.T, r *rig) {
			begin(r)
			r.first(t)
		}, []deploy.Ending{ok}},
		{"the first release fails beside what was adopted", func(t *testing.T, r *rig) {
			begin(r)
			r.release(1, sim.Behaviour{FailsFrom: 6 * time.Second})
			r.push(t, 1)
		}, []deploy.Ending{reverted}},
		{"what was adopted is gone back to", func(t *testing.T, r *rig) {
			begin(r)
			r.first(t)
			r.end(t, r.rollback(t))
		}, []deploy.Ending{ok, ok}},
		{"adopted, then the first deploy, then one that needs its port", func(t *testing.T, r *rig) {
			begin(r)
			r.end(t, r.adopt(t))
			r.first(t)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.vacated(8080)
			r.deploy(t, commit(2))
		}, []deploy.Ending{ok, ok, failed, ok}},
		{"what was adopted is started anew by its owners", func(t *testing.T, r *rig) {
			begin(r)
			r.end(t, r.adopt(t))
			r.running(8080)
			r.first(t)
		}, []deploy.Ending{ok, ok}},
		{"what was adopted ended, then a rollback", func(t *testing.T, r *rig) {
			begin(r)
			r.first(t)
			r.vacated(8080)
			r.rollback(t)
		}, []deploy.Ending{ok, failed}},
		{"both ports are taken", func(t *testing.T, r *rig) {
			begin(r)
			r.running(8081)
			r.release(1, healthy)
			r.push(t, 1)
		}, []deploy.Ending{failed}},
		{"what runs does not answer well", func(t *testing.T, r *rig) {
			begin(r)
			r.world.Outage(2 * time.Minute)
			r.adopt(t)
		}, []deploy.Ending{failed}},
	}
}

// hooked gives the app a hook of every kind.
func (r *rig) hooked() {
	hook := func(on string) deploy.Hook {
		return deploy.Hook{Run: []string{"./hook"}, On: on, Timeout: deploy.Duration(30 * time.Second)}
	}
	r.app.Hooks = deploy.Hooks{
		Migrate: hook(deploy.OnFirstHost), SmokeTest: hook(deploy.OnBot),
		OnLive: hook(deploy.OnHosts), OnIdle: hook(deploy.OnHosts), Idle: hook(deploy.OnHosts),
	}
}

// hookScenarios are about the user's own programs.
func hookScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	refused := func(hook string, want deploy.Ending) scenario {
		return scenario{hook + " fails", func(t *testing.T, r *rig) {
			r.hooked()
			r.first(t)
			r.release(2, healthy)
			r.world.Refuse(deploy.Op(hook), 1)
			id := r.push(t, 2)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, want}}
	}
	return []scenario{
		{"every hook runs", func(t *testing.T, r *rig) {
			r.hooked()
			r.keepOld(0)
			r.second(t)
			for _, name := range []string{"migrate", "smoke_test", "on_live", "on_idle", "idle"} {
				if r.world.Ran(name) == 0 {
					r.world.Violate("hook: %s never ran", name)
				}
			}
		}, []deploy.Ending{ok, ok}},
		refused("migrate", failed), refused("smoke_test", failed), refused("on_live", reverted), refused("on_idle", ok),
		{"background work is waited for", func(t *testing.T, r *rig) {
			r.hooked()
			r.keepOld(0)
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.world.BusyFor(20 * time.Second)
			r.end(t, id)
		}, []deploy.Ending{ok, ok}},
		{"a rollback migrates nothing", func(t *testing.T, r *rig) {
			r.hooked()
			r.second(t)
			r.retire(t)
			before := r.world.Ran("migrate")
			r.end(t, r.rollback(t))
			if r.world.Ran("migrate") != before {
				r.world.Violate("hook: a rollback ran migrate")
			}
		}, []deploy.Ending{ok, ok, ok}},
	}
}

// lockScenarios are about who may deploy when.
func lockScenarios() []scenario {
	ok := deploy.Succeeded
	return []scenario{
		{"locked, and a push waits for the unlock", func(t *testing.T, r *rig) {
			r.first(t)
			r.submit(t, deploy.Request{Want: deploy.WantLock, Reason: "a migration"})
			r.release(2, healthy)
			id := r.push(t, 2)
			r.waits(t, id, time.Hour)
			r.unlock(t)
			r.end(t, id)
		}, []deploy.Ending{ok, ok, ok, ok}},
		{"a lock ends by itself", func(t *testing.T, r *rig) {
			r.first(t)
			r.submit(t, deploy.Request{Want: deploy.WantLock, Reason: "lunch", For: deploy.Duration(20 * time.Minute), At: time.Now()})
			r.release(2, healthy)
			id := r.push(t, 2)
			r.waits(t, id, 15*time.Minute)
			r.end(t, id)
		}, []deploy.Ending{ok, ok, ok}},
		{"a lock is passed with force and holds no rollback", func(t *testing.T, r *rig) {
			r.first(t)
			r.submit(t, deploy.Request{Want: deploy.WantLock, Reason: "a migration"})
			r.release(2, healthy)
			r.end(t, r.submit(t, deploy.Request{Want: deploy.WantDeploy, Ref: "main", Force: "the fix"}))
			r.end(t, r.rollback(t))
		}, []deploy.Ending{ok, ok, ok, ok}},
		{"a lock during a deploy holds the next one", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			live := r.push(t, 2)
			r.reach(t, live, deploy.OpBake)
			r.submit(t, deploy.Request{Want: deploy.WantLock, Reason: "wait"})
			r.release(3, healthy)
			id := r.push(t, 3)
			r.end(t, live)
			r.waits(t, id, 10*time.Minute)
		}, []deploy.Ending{ok, ok, ok}},
		{"a rollback pauses pushes and not people", func(t *testing.T, r *rig) {
			r.second(t)
			r.end(t, r.rollback(t))
			r.release(3, healthy)
			push := r.push(t, 3)
			r.waits(t, push, 10*time.Minute)
			r.end(t, r.deploy(t, "main"))
			r.waits(t, push, 10*time.Minute)
		}, []deploy.Ending{ok, ok, ok}},
	}
}

// waits wants the deploy to stay in the queue for so long.
func (r *rig) waits(t *testing.T, id deploy.ID, d time.Duration) {
	if r.until(t, id, d, func(st deploy.State) bool { return st.Phase != deploy.PhaseQueued }) {
		r.world.Violate("lock: %s did not wait", id)
	}
}
