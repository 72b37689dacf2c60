package sim_test

import (
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/sim"
)

// env is the environment as configured now.
func (r *rig) env() *deploy.Environment { return &r.app.Environments[0] }

// keepOld sets how long the old slot is kept.
func (r *rig) keepOld(d time.Duration) { r.env().BlueGreen.KeepOld = deploy.Duration(d) }

// addrs are the addresses of a port on every host.
func (r *rig) addrs(port string) []string {
	var out []string
	for _, h := range r.env().Hosts {
		out = append(out, h.Address+":"+port)
	}
	return out
}

// second brings release 1 live on blue and then 2 on green.
func (r *rig) second(t *testing.T) {
	r.first(t)
	r.release(2, healthy)
	r.end(t, r.push(t, 2))
	if r.env().BlueGreen == configured(1).Environments[0].BlueGreen && r.app.Hooks.OnLive.Absent() {
		r.prelude = r.world.Points() // as in the scenario of the second release
	}
}

// reach waits until the deploy is at an operation of its plan, or past it.
func (r *rig) reach(t *testing.T, id deploy.ID, op deploy.Op) {
	r.until(t, id, 5*time.Minute, func(st deploy.State) bool {
		step, ok := st.StepAt(st.Next)
		return ok && step.Op == op && st.Open || st.Ended() || st.Phase == deploy.PhaseStuck
	})
}

// held waits until a person is needed, and then for as long as things need to heal.
func (r *rig) held(t *testing.T, id deploy.ID, heal time.Duration) {
	r.until(t, id, 5*time.Minute, func(st deploy.State) bool { return st.Phase == deploy.PhaseStuck || st.Ended() })
	time.Sleep(heal)
}

// say is what a person orders of a held deploy; it ends or is held again.
func (r *rig) say(t *testing.T, id deploy.ID, kind deploy.Kind) {
	r.order(t, id, kind)
	time.Sleep(time.Second)
	r.end(t, id)
}

// sickScenarios are about processes that are not what they seem.
func sickScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	return []scenario{
		named("flaps in the gate", after(sim.Behaviour{Flaps: 2}, failed)),
		named("fails every third check", after(sim.Behaviour{Flaps: 3}, failed)),
		named("restarts in the gate", after(sim.Behaviour{Restarts: 1500 * time.Millisecond}, ok)),
		named("restarts during bake", after(sim.Behaviour{Restarts: 7 * time.Second}, reverted)),
		named("another release answers", after(sim.Behaviour{WrongRelease: true}, failed)),
		{"restarts while warm, then rollback", func(t *testing.T, r *rig) {
			r.second(t)
			r.world.Restart(8080)
			time.Sleep(10 * time.Second)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"the old one restarts, then the new one fails", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, sim.Behaviour{FailsFrom: 8 * time.Second})
			r.reach(t, r.push(t, 2), deploy.OpBake)
			r.world.Restart(8080)
		}, []deploy.Ending{ok, reverted}},
		{"both fail during bake", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.world.Outage(20 * time.Second)
			r.held(t, id, 30*time.Second)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok}},
		{"reboot, then deploy", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Kill(8080)
			time.Sleep(time.Minute)
			r.release(2, healthy)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"reboot, then a release that fails", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Kill(8080)
			time.Sleep(time.Minute)
			r.release(2, sim.Behaviour{Status: 500})
			r.end(t, r.push(t, 2))
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, failed, ok}},
		{"reboot, then a cancel during bake", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Kill(8080)
			time.Sleep(time.Minute)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpBake)
			r.order(t, id, deploy.KindCancel)
			r.held(t, id, time.Second)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok}},
		{"reboot, then the door shuts at the switch", func(t *testing.T, r *rig) {
			r.env().Verify = configured(1).Environments[0].Verify
			r.first(t)
			r.world.Kill(8080)
			time.Sleep(time.Minute)
			r.world.ShutDoor(true)
			r.release(2, healthy)
			id := r.push(t, 2)
			r.held(t, id, time.Second)
			r.world.ShutDoor(false)
			r.say(t, id, deploy.KindResume)
		}, []deploy.Ending{ok, ok}},
		{"reboot, then rollback", func(t *testing.T, r *rig) {
			r.second(t)
			r.retire(t)
			r.world.Kill(8081)
			time.Sleep(time.Minute)
			r.rollback(t)
		}, []deploy.Ending{ok, ok, ok}},
		{"reboot, then the same release again", func(t *testing.T, r *rig) {
			r.second(t)
			r.retire(t)
			r.world.Kill(8081)
			time.Sleep(time.Minute)
			r.deploy(t, commit(2))
		}, []deploy.Ending{ok, ok}},
		{"dies while the balancer is out of reach", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, sim.Behaviour{DiesAt: 6 * time.Second})
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpCheck)
			r.world.Cut("balancer", 20*time.Second)
		}, []deploy.Ending{ok, reverted}},
	}
}

// switchScenarios are about a balancer that does not do as it is told.
func switchScenarios() []scenario {
	ok, failed, reverted := deploy.Succeeded, deploy.Failed, deploy.Reverted
	return []scenario{
		{"a switch that takes its time", func(t *testing.T, r *rig) {
			r.world.Lag = 4 * time.Second
			r.second(t)
		}, []deploy.Ending{ok, ok}},
		{"a switch that is lost at first", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.world.LoseRoutes(2)
			r.push(t, 2)
		}, []deploy.Ending{ok, ok}},
		{"a way back that takes its time", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Lag = 4 * time.Second
			r.release(2, sim.Behaviour{FailsFrom: 10 * time.Second})
			r.push(t, 2)
		}, []deploy.Ending{ok, reverted}},
		{"the switch is refused", func(t *testing.T, r *rig) {
			r.first(t)
			r.release(2, healthy)
			r.world.Refuse(deploy.OpRoute, 1)
			r.push(t, 2)
		}, []deploy.Ending{ok, failed}},
		{"the door shuts for the new release", func(t *testing.T, r *rig) {
			r.env().Verify = configured(1).Environments[0].Verify
			r.first(t)
			r.release(2, sim.Behaviour{NoDoor: true})
			r.push(t, 2)
		}, []deploy.Ending{ok, reverted}},
		{"the door shuts for the new release during bake", func(t *testing.T, r *rig) {
			r.env().Verify = configured(1).Environments[0].Verify
			r.first(t)
			r.release(2, sim.Behaviour{NoDoorFrom: 7 * time.Second})
			r.push(t, 2)
		}, []deploy.Ending{ok, reverted}},
		{"the door was shut before", func(t *testing.T, r *rig) {
			r.env().Verify = configured(1).Environments[0].Verify
			r.first(t)
			r.world.ShutDoor(true)
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.world.ShutDoor(false)
		}, []deploy.Ending{ok, failed}},
		{"traffic moved by hand, then a push", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.MoveTraffic("10.0.0.9:9000")
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.world.PutBack(r.addrs("8080")...)
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, failed, ok}},
		{"traffic moved by hand to the warm slot", func(t *testing.T, r *rig) {
			r.second(t)
			r.world.MoveTraffic(r.addrs("8080")...)
			time.Sleep(2 * time.Minute)
			r.release(3, healthy)
			r.end(t, r.push(t, 3))
			r.world.PutBack(r.addrs("8081")...)
		}, nil},
		{"traffic moved by hand, then accepted", func(t *testing.T, r *rig) {
			r.second(t)
			r.world.MoveTraffic(r.addrs("8080")...)
			r.end(t, r.submit(t, deploy.Request{Want: deploy.WantAccept}))
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, ok, ok, ok}},
		{"traffic moved by hand and accepted, and nothing more", func(t *testing.T, r *rig) {
			r.second(t)
			r.world.MoveTraffic(r.addrs("8080")...)
			r.end(t, r.submit(t, deploy.Request{Want: deploy.WantAccept}))
			time.Sleep(5 * time.Minute)
		}, []deploy.Ending{ok, ok, ok}},
		{"cancelled while the switch is on its way", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.Lag = 6 * time.Second
			r.release(2, healthy)
			id := r.push(t, 2)
			r.reach(t, id, deploy.OpRoute)
			r.order(t, id, deploy.KindCancel)
		}, []deploy.Ending{ok, reverted}},
		{"the file edited by hand, then accepted", func(t *testing.T, r *rig) {
			r.first(t)
			r.world.EditFile()
			r.release(2, healthy)
			r.end(t, r.push(t, 2))
			r.end(t, r.submit(t, deploy.Request{Want: deploy.WantAccept}))
			r.release(3, healthy)
			r.push(t, 3)
		}, []deploy.Ending{ok, failed, ok, ok}},
	}
}
