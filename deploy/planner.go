package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// NewPlan plans a claimed request. It is pure: its input is the app, the
// environment's folded state, the request's state and an observation, nothing
// else. A refusal is an *Error with CodeRefused, CodeForeign, CodeDrift or
// CodeNotFound whose message says what to do. A plan without steps means that
// there is nothing to do; its notes say why.
func NewPlan(app App, env Environment, live Live, st State, obs Observation) (Plan, error) {
	p := planning{app: app, env: env, live: live, st: st, obs: obs}
	if env.Rolling != nil {
		return p.rolling()
	}
	switch st.Request.Want {
	case WantRestart:
		return p.restart()
	case WantStart, WantStop, WantOffline, WantOnline, WantDrill:
		return Plan{}, p.refuse(CodeRefused, "%s is for hosts of a rolling environment, and %s switches between two slots: `restart %s %s` starts what is live anew, unnoticed", st.Request.Want, p.target(), app.Name, env.Name)
	case WantAdopt:
		return p.adopt()
	case WantDeploy:
		return p.deploy()
	case WantRollback:
		return p.rollback()
	case WantAccept:
		return p.accept(), nil
	case WantRetire:
		return p.retire()
	}
	return Plan{}, &Error{Code: CodeInvalid, Op: "plan", Subject: st.ID.String(), Message: fmt.Sprintf("nothing here knows how to %q", st.Request.Want)}
}

type planning struct {
	app  App
	env  Environment
	live Live
	st   State
	obs  Observation

	adopting Slot // its foreign process is taken as live first
}

func (p planning) refuse(code Code, format string, args ...any) error {
	return &Error{Code: code, Op: "plan", Subject: p.target().String(), Message: fmt.Sprintf(format, args...)}
}

func (p planning) target() Target { return Target{App: p.app.Name, Env: p.env.Name} }

func (p planning) deploy() (Plan, error) {
	rel := NewRelease(p.app, p.st.Commit)
	if err := p.guard(rel); err != nil {
		return Plan{}, err
	}
	p = p.taking()
	if err := p.worldFits(); err != nil {
		return Plan{}, err
	}
	if p.serving(rel) {
		plan := p.plan(rel)
		plan.Slot, plan.OldSlot, plan.Old = p.live.Slot, "", Release{}
		plan.Notes = []string{fmt.Sprintf("nothing to do: %s is live on %s since #%d", rel.Commit.Short(), p.live.Slot, p.live.Deploy)}
		return plan, nil
	}
	return p.blueGreen(rel, p.obtain)
}

// restart brings what is live up anew in the other slot, and switches.
func (p planning) restart() (Plan, error) {
	if p.live.Slot == "" || p.live.Release.Adopted() {
		return Plan{}, p.refuse(CodeRefused, "ipublish has not deployed anything to %s that it could restart: `deploy %s to %s`", p.target(), p.app.Name, p.env.Name)
	}
	if err := p.worldFits(); err != nil {
		return Plan{}, err
	}
	return p.blueGreen(p.live.Release, p.restage)
}

// guard refuses releases that are known to be bad, or that a person left.
func (p planning) guard(rel Release) error {
	if p.st.Request.Force != "" {
		return nil
	}
	if p.live.IsBad(rel) {
		return p.refuse(CodeRefused, "%s failed here before and is not tried again by itself: push a fix, or `deploy %s %s to %s --force \"why\"`",
			rel.Commit.Short(), p.app.Name, rel.Commit.Short(), p.env.Name)
	}
	if p.st.Request.Auto && p.live.IsLeft(rel) {
		return p.refuse(CodeRefused, "%s was left by a rollback, so a push does not bring it back: `deploy %s %s to %s` does",
			rel.Commit.Short(), p.app.Name, rel.Commit.Short(), p.env.Name)
	}
	return nil
}

func (p planning) rollback() (Plan, error) {
	p = p.taking()
	rel, err := p.rollbackTarget()
	if err != nil {
		return Plan{}, err
	}
	if err := p.worldFits(); err != nil {
		return Plan{}, err
	}
	return p.blueGreen(rel, p.restage)
}

// rollbackTarget is the wanted good release, by default the newest that is neither live, bad nor left.
func (p planning) rollbackTarget() (Release, error) {
	want := strings.ToLower(p.st.Request.Release)
	var known []string
	for _, past := range p.live.Good {
		r := past.Release
		if r.Key() == p.live.Release.Key() {
			continue
		}
		known = append(known, r.Commit.Short())
		named := want != "" && (strings.HasPrefix(r.Commit.SHA, want) || r.Key() == want)
		if named && p.live.IsBad(r) && p.st.Request.Force == "" {
			return Release{}, p.refuse(CodeRefused, "%s failed here: `rollback %s %s to %s --force \"why\"` goes back to it all the same", r.Commit.Short(), p.app.Name, p.env.Name, r.Commit.Short())
		}
		if r.Adopted() && !p.runs(p.live.Slot.Other(), r) {
			known = known[:len(known)-1]
			continue // ipublish cannot start it again
		}
		if named || want == "" && !p.live.IsBad(r) && !p.live.IsLeft(r) {
			return r, nil
		}
	}
	if want != "" && len(known) > 0 {
		return Release{}, p.refuse(CodeNotFound, "no good release %q here: one of %s", want, strings.Join(known[:min(len(known), 5)], ", "))
	}
	if len(known) > 0 {
		return Release{}, p.refuse(CodeRefused, "every earlier release was left or failed; name one: `rollback %s %s to %s`", p.app.Name, p.env.Name, known[0])
	}
	return Release{}, p.refuse(CodeRefused, "there is no earlier good release of %s to go back to", p.target())
}

// worldFits refuses to plan over a world that is not as ipublish left it.
func (p planning) worldFits() error {
	if err := p.strangers(); err != nil {
		return err
	}
	t := p.obs.Traffic
	if t.Edited {
		return p.refuse(CodeDrift, "%s was edited by hand, so nothing is written: put its text back, or move the change into the configuration and `accept %s %s`",
			t.File, p.app.Name, p.env.Name)
	}
	if want := p.addresses(p.live.Slot); p.live.Slot != "" && len(t.Up) > 0 && !slices.Equal(t.Up, want) {
		return p.refuse(CodeDrift, "the balancer sends traffic to %s, but #%d left it at %s: put it back, or `accept %s %s` if it is right as it is",
			strings.Join(t.Up, ", "), p.live.Deploy, strings.Join(want, ", "), p.app.Name, p.env.Name)
	}
	return nil
}

// inTraffic reports whether the balancer sends anything to the slot.
func (p planning) inTraffic(slot Slot) bool {
	return slices.ContainsFunc(p.addresses(slot), func(addr string) bool { return slices.Contains(p.obs.Traffic.Up, addr) })
}

// free gives a slot that the balancer sends nothing to: the one that is not
// live, or where nothing is live any of the two.
func (p planning) free() (Slot, error) {
	slot := p.live.Slot.Other()
	if p.inTraffic(slot) && p.live.Slot == "" {
		slot = slot.Other()
	}
	if p.inTraffic(slot) {
		return "", p.refuse(CodeDrift, "the balancer sends traffic to the %s slot, which would have to be cleared: put it right, or `accept %s %s` if it is right as it is", slot, p.app.Name, p.env.Name)
	}
	return slot, nil
}

// serving reports whether the release already receives all traffic from living processes.
func (p planning) serving(rel Release) bool {
	if p.live.Slot == "" || p.live.Release.Key() != rel.Key() || !slices.Equal(p.obs.Traffic.Up, p.addresses(p.live.Slot)) {
		return false
	}
	return p.runs(p.live.Slot, rel)
}

// runs reports whether every host's slot runs the release and owns its port.
func (p planning) runs(slot Slot, rel Release) bool {
	seen := p.obs.Slots[slot]
	if len(seen) != len(p.env.Hosts) {
		return false
	}
	for _, in := range seen {
		if !in.Running() || !in.Owned || in.Key != rel.Key() {
			return false
		}
	}
	return true
}

// alive reports whether any host's slot still runs something.
func (p planning) alive(slot Slot) bool {
	return slices.ContainsFunc(p.obs.Slots[slot], Instance.Running)
}

// warm reports whether the slot still holds the release in the very processes that passed the gate.
func (p planning) warm(slot Slot, rel Release) bool {
	if rel.Adopted() {
		return p.runs(slot, rel) // it runs as long as its owners like
	}
	w := p.live.Warm
	if w == nil || w.Slot != slot || w.Release.Key() != rel.Key() || !p.runs(slot, rel) {
		return false
	}
	passed := p.live.Slots[slot].Instances
	return slices.EqualFunc(p.obs.Slots[slot], passed, func(now, then Instance) bool {
		return then.Passed && now.Host == then.Host && now.PID == then.PID && now.Started == then.Started
	})
}

func (p planning) plan(rel Release) Plan {
	return Plan{
		Target: p.target(), Want: p.st.Request.Want, Release: rel, Slot: p.live.Slot.Other(),
		Old: p.live.Release, OldSlot: p.live.Slot, Commit: -1, Baked: -1, Settings: p.settings(),
	}
}

// replacing is a plan that takes over from the old slot. Where nothing of the
// old release is left, as after a reboot, no front door can answer and it can
// neither be gone back to nor kept warm: the deploy is the way out.
func (p planning) replacing(rel Release) Plan {
	plan := p.plan(rel)
	if plan.OldSlot != "" && !p.alive(plan.OldSlot) {
		plan.Notes = []string{fmt.Sprintf("%s on %s was not running any more, so there is nothing to go back to", plan.Old.Commit.Short(), plan.OldSlot)}
		plan.OldSlot = ""
	}
	return plan
}

// blueGreen plans the one way a release goes live; obtain gives the steps that
// bring its bytes to the hosts.
func (p planning) blueGreen(rel Release, obtain func(Plan) []Step) (Plan, error) {
	plan := p.replacing(rel)
	plan.Notes = append(plan.Notes, p.app.Caveats...)
	plan.Notes = append(plan.Notes, p.keepsRunning(plan)...)
	var err error
	if plan.Slot, err = p.free(); err != nil {
		return Plan{}, err
	}
	if err := p.vacant(plan.Slot, rel); err != nil {
		return Plan{}, err
	}
	if plan.OldSlot != "" && p.asksFront() {
		plan.Steps = append(plan.Steps, p.step(OpFront, 30*time.Second))
	}
	if p.adopting != "" {
		plan.Steps = append(plan.Steps, p.adoptStep())
	}
	hold := p.app.Health.MinHealthyTime
	if p.warm(plan.Slot, rel) {
		hold = 0
		plan.Notes = append(plan.Notes, fmt.Sprintf("the %s slot still runs %s: only traffic moves", plan.Slot, rel.Commit.Short()))
	} else {
		plan.Steps = append(plan.Steps, obtain(plan)...)
		plan.Steps = append(plan.Steps, p.emptied(plan.Slot)...)
		plan.Steps = append(plan.Steps, p.slotStep(OpRetire, plan.Slot, Release{}, p.stopLimit()))
		if plan.Want != WantRollback { // an older release's migration is not the way back
			plan.Steps = append(plan.Steps, p.hook(OpHook, "migrate", p.app.Hooks.Migrate, plan.Slot, rel)...)
		}
		plan.Steps = append(plan.Steps, p.slotStep(OpStart, plan.Slot, rel, time.Minute))
	}
	check := p.slotStep(OpCheck, plan.Slot, rel, p.app.Health.HealthyDeadline.D())
	check.Hold = hold
	plan.Steps = append(plan.Steps, check)
	plan.Steps = append(plan.Steps, p.hook(OpHook, "smoke_test", p.app.Hooks.SmokeTest, plan.Slot, rel)...)
	plan.Steps = append(plan.Steps, p.route(plan.Slot, plan.OldSlot, rel))
	plan.Commit = len(plan.Steps) - 1
	plan.Steps = append(plan.Steps, p.hook(OpHook, "on_live", p.app.Hooks.OnLive, plan.Slot, rel)...)
	bake := p.slotStep(OpBake, plan.Slot, rel, p.env.BlueGreen.BakeTime.D()+time.Minute)
	bake.Hold = p.env.BlueGreen.BakeTime
	plan.Steps = append(plan.Steps, bake)
	plan.Baked = len(plan.Steps) - 1
	plan.Steps = append(plan.Steps, p.cleanUp(plan)...)
	return plan, nil
}

// asksFront reports whether the front door has to answer before anything is
// changed. A rollback does not ask: what is live may be the very trouble.
func (p planning) asksFront() bool {
	return p.env.Verify != nil && p.st.Request.Force == "" && p.st.Request.Want != WantRollback
}

// obtain fetches, builds and stages the release.
func (p planning) obtain(plan Plan) []Step {
	return append([]Step{
		p.releaseStep(OpFetch, plan.Release, p.env.ProgressDeadline.D()),
		p.releaseStep(OpBuild, plan.Release, max(p.app.Build.Timeout, p.app.Build.Wait).D()+time.Minute),
	}, p.restage(plan)...)
}

// restage brings a release that was built before to the hosts that lack it.
func (p planning) restage(plan Plan) []Step {
	s := p.slotStep(OpStage, "", plan.Release, p.env.ProgressDeadline.D())
	return []Step{s}
}

// cleanUp drains the old slot, keeps or stops it, and prunes. What ipublish did
// not start it does not stop.
func (p planning) cleanUp(plan Plan) []Step {
	var steps []Step
	if plan.OldSlot != "" {
		steps = append(steps, p.hook(OpHook, "on_idle", p.app.Hooks.OnIdle, plan.OldSlot, plan.Old)...)
		steps = append(steps, p.drain(plan.Slot, plan.OldSlot))
		if p.env.BlueGreen.KeepOld == 0 && !plan.Old.Adopted() {
			steps = append(steps, p.hook(OpIdle, "idle", p.app.Hooks.Idle, plan.OldSlot, plan.Old)...)
			steps = append(steps, p.slotStep(OpStop, plan.OldSlot, plan.Old, p.stopLimit()))
		}
	}
	return append(steps, p.prune(plan.Release, plan.Old))
}

// emptied drains a slot that still runs something and is to be stopped: it may
// have left traffic a moment ago, by abandon, by accept or by hand.
func (p planning) emptied(slot Slot) []Step {
	if !p.alive(slot) || p.live.Slot == "" || len(p.obs.Traffic.Up) == 0 {
		return nil
	}
	steps := []Step{p.drain(p.live.Slot, slot)}
	return append(steps, p.hook(OpIdle, "idle", p.app.Hooks.Idle, slot, p.live.Slots[slot].Release)...)
}

// prune keeps what is live, what was live, and the newest good releases.
func (p planning) prune(keep ...Release) Step {
	s := p.slotStep(OpPrune, "", Release{}, time.Minute)
	for _, past := range p.live.Good[:min(len(p.live.Good), max(p.app.Keep, 1))] {
		keep = append(keep, past.Release)
	}
	if p.live.Warm != nil {
		keep = append(keep, p.live.Warm.Release)
	}
	for _, r := range keep {
		if key := r.Key(); key != "" && !slices.Contains(s.Keep, key) {
			s.Keep = append(s.Keep, key)
		}
	}
	slices.Sort(s.Keep)
	s.Dir = p.releases()
	return s
}

// accept makes the managed file as it stands the known version.
func (p planning) accept() Plan {
	plan := p.plan(p.live.Release)
	plan.Slot, plan.OldSlot, plan.Old = p.live.Slot, "", Release{}
	s := p.step(OpAccept, 30*time.Second)
	s.Known, s.Targets = p.live.Known, p.targets(p.live.Slot, "")
	plan.Steps = []Step{s}
	return plan
}

// retire stops the slot whose lease has run out.
func (p planning) retire() (Plan, error) {
	plan := p.plan(Release{})
	plan.Old, plan.OldSlot = Release{}, ""
	w := p.live.Warm
	if w == nil || w.Slot == p.live.Slot || w.Release.Adopted() {
		plan.Notes = []string{"nothing to do: no slot is kept warm"}
		return plan, nil
	}
	if err := p.worldFits(); err != nil {
		return Plan{}, err
	}
	plan.Slot = w.Slot
	plan.Steps = append(p.emptied(w.Slot), p.slotStep(OpStop, w.Slot, w.Release, p.stopLimit()), p.prune(p.live.Release))
	return plan, nil
}
