package deploy

import (
	"path"
	"slices"
	"time"
)

// Undo plans the way back of a deploy from what its journal says was started:
// where the switch was begun the old slot is proven ready before it gets the
// traffic back for certain; the new one is drained and then stopped. It never stops or unroutes the old slot, and it is
// empty where nothing was started.
func Undo(s State) Plan {
	plan := Plan{Target: s.Target, Want: s.Request.Want, Commit: -1, Baked: -1}
	if s.Plan == nil {
		return plan
	}
	plan.Release, plan.Slot, plan.Settings = s.Plan.Old, s.Plan.OldSlot, s.Plan.Settings
	if s.Plan.Rolls() {
		plan.Steps, plan.Fleet = undoRolling(s), s.Plan.Fleet
		return plan
	}
	u := undoing{s: s, plan: *s.Plan}
	if route, ok := u.began(OpRoute); ok && !u.untouchable() && s.Plan.OldSlot != "" {
		plan.Steps = append(plan.Steps, u.checkOld(route), u.routeBack(route))
		plan.Steps = append(plan.Steps, u.idled(route)...)
		plan.Steps = append(plan.Steps, u.drainNew(route))
	}
	if step, ok := u.toStop(); ok && !s.Plan.Release.Adopted() {
		plan.Steps = append(plan.Steps, u.stopNew(step))
	}
	return plan
}

// Moved reports whether the new release had traffic, or may have had some: the
// switch is done, was looked at and seen, or was begun and never looked at.
func Moved(s State) bool {
	if s.Plan == nil {
		return false
	}
	if s.Plan.Rolls() {
		return movedRolling(s)
	}
	for i, st := range s.Plan.Steps {
		if o := s.Outcomes.At(i); st.Op == OpRoute && o.Attempts > 0 {
			return o.Done || o.After.Traffic == nil || receives(st, o.After.Traffic.Up)
		}
	}
	return false
}

// receives reports whether any address that the step puts up is among those in use.
func receives(s Step, inUse []string) bool {
	return slices.ContainsFunc(s.Targets, func(t Endpoint) bool { return t.Up && slices.Contains(inUse, t.Addr) })
}

type undoing struct {
	s    State
	plan Plan
}

// untouchable reports whether the switch was refused because the managed file
// was edited, with the old slot seen in traffic: there is nothing to take back,
// and routing again could only be refused again.
func (u undoing) untouchable() bool {
	return u.s.Trouble != nil && u.s.Trouble.Code == CodeDrift && !Moved(u.s)
}

// began finds the step of an operation that was started.
func (u undoing) began(op Op) (Step, bool) {
	for i, st := range u.plan.Steps {
		if st.Op == op && u.s.Outcomes.At(i).Attempts > 0 {
			return st, true
		}
	}
	return Step{}, false
}

// toStop finds the step that says what the new slot is: one that this deploy
// started, or a warm one that had traffic.
func (u undoing) toStop() (Step, bool) {
	if start, ok := u.began(OpStart); ok {
		return start, true
	}
	if Moved(u.s) && u.plan.OldSlot != "" {
		return u.began(OpCheck)
	}
	return Step{}, false
}

// old turns a step about the new slot into one about the old slot.
func (u undoing) old(s Step) Step {
	s.Slot, s.Port, s.Release = u.plan.OldSlot, u.plan.Settings.BlueGreen.Port(u.plan.OldSlot), u.plan.Old
	s.Home = path.Join(path.Dir(s.Home), string(u.plan.OldSlot))
	s.Dir = path.Join(path.Dir(s.Dir), u.plan.Old.Key())
	s.Targets = nil
	return s
}

func (u undoing) checkOld(route Step) Step {
	s := u.old(route)
	s.Op, s.Hold, s.Limit = OpCheck, 0, Duration(30*time.Second)
	s.Known = ""
	return s
}

func (u undoing) routeBack(route Step) Step {
	s := u.old(route)
	s.Op, s.Targets = OpRoute, onlyUp(route.Targets, u.plan.OldSlot)
	return s
}

func (u undoing) drainNew(route Step) Step {
	return Step{
		Op: OpDrain, Slot: u.plan.Slot, Port: route.Port, Targets: onlyUp(route.Targets, u.plan.OldSlot),
		Hold: u.drainTime(), Limit: u.drainTime() + Duration(time.Minute), Known: route.Known,
	}
}

// idled tells the new release, where it was told that it is live, that it is
// idle now.
func (u undoing) idled(route Step) []Step {
	for i, st := range u.plan.Steps {
		if st.Hook == "on_live" && u.s.Outcomes.At(i).Attempts == 0 {
			return nil
		}
	}
	route.Op = OpHook
	return u.plan.Settings.Hooks.OnIdle.step(route, "on_idle")
}

// drainTime is that of the plan's own drain, else the stop timeout.
func (u undoing) drainTime() Duration {
	for _, st := range u.plan.Steps {
		if st.Op == OpDrain {
			return st.Hold
		}
	}
	return u.plan.Settings.StopTimeout
}

func (u undoing) stopNew(start Step) Step {
	start.Op, start.Limit = OpStop, start.Stop+Duration(30*time.Second)
	return start
}

func onlyUp(targets []Endpoint, up Slot) []Endpoint {
	out := make([]Endpoint, len(targets))
	for i, t := range targets {
		t.Up, t.Spare = t.Slot == up, false
		out[i] = t
	}
	return out
}
