package deploy

import (
	"maps"
	"slices"
)

// remembered is how many good, bad and left releases an environment remembers.
const remembered = 50

// FoldEnv gives the environment after one more event of any of its deploys; st
// is the state of that deploy after the event. The receiver's maps and slices
// are not changed.
func FoldEnv(l Live, st State, ev Event) Live {
	l.Target, l.Seq = ev.Target, ev.Seq
	switch ev.Kind {
	case KindClaimed:
		l.Active = ev.Deploy
	case KindStarted:
		l.foldLeaving(st, ev)
	case KindFailed:
		l.foldStaying(st, ev)
	case KindSkipped:
		l.foldGone(st, ev)
	case KindDone:
		l.foldDone(st, ev)
	case KindEnded:
		l.foldEnded(st, ev)
	}
	return l
}

func (l *Live) foldDone(st State, ev Event) {
	step, ok := st.StepAt(ev.Step)
	if !ok {
		return
	}
	after := orEmpty(ev.Evidence)
	if st.Plan.Rolls() {
		l.foldHosts(st, step, after)
		l.foldRolled(st, ev)
		return
	}
	switch step.Op {
	case OpStart, OpCheck:
		l.Slots = maps.Clone(l.Slots)
		if l.Slots == nil {
			l.Slots = map[Slot]SlotState{}
		}
		l.Slots[step.Slot] = SlotState{Release: st.Artifact(step.Release), Instances: after.Instances}
	case OpRetire, OpStop:
		l.Slots = maps.Clone(l.Slots)
		delete(l.Slots, step.Slot)
		if l.Warm != nil && l.Warm.Slot == step.Slot {
			l.Warm = nil
		}
	case OpRoute:
		l.foldRoute(st, step, ev)
	case OpAdopt:
		l.foldAdopt(step, after, ev, st.Request.By)
	case OpAccept:
		l.know(after.Traffic)
		l.foldAccept(st, step, ev)
	}
}

// foldAdopt takes what ran before ipublish came as the live, and a good, release.
func (l *Live) foldAdopt(step Step, after Evidence, ev Event, by Actor) {
	l.know(after.Traffic)
	l.Slots = withSlot(l.Slots, step.Slot, SlotState{Release: step.Release, Instances: after.Instances})
	l.Release, l.Slot = step.Release, step.Slot
	if l.Warm != nil && l.Warm.Slot == step.Slot {
		l.Warm = nil
	}
	l.Deploy, l.Since, l.By = ev.Deploy, ev.At, by
	l.good(Past{Release: step.Release, Deploy: ev.Deploy, At: ev.At, By: by})
}

// foldAccept takes the slot that the balancer sends everything to as the live
// one; the one that was live is kept warm, as after a deploy.
func (l *Live) foldAccept(st State, step Step, ev Event) {
	slot := slotOf(step.Targets, orEmpty(ev.Evidence).Traffic)
	there, known := l.Slots[slot]
	if !known || slot == l.Slot {
		return
	}
	if l.Warm = nil; l.Slot != "" {
		l.Warm = &Lease{Slot: l.Slot, Release: l.Release, Until: ev.At.Add(st.Plan.Settings.BlueGreen.KeepOld.D())}
	}
	l.Slot, l.Release = slot, there.Release
	l.Deploy, l.Since = ev.Deploy, ev.At
}

// slotOf is the one slot that all traffic goes to; empty where there is no such.
func slotOf(targets []Endpoint, t *Traffic) Slot {
	var slot Slot
	for _, e := range targets {
		if t == nil || !slices.Contains(t.Up, e.Addr) {
			continue
		}
		if slot != "" && slot != e.Slot {
			return ""
		}
		slot = e.Slot
	}
	return slot
}

func (l *Live) know(t *Traffic) {
	if t != nil && t.File != "" {
		l.Known = t.SHA256
	}
}

func (l *Live) foldRoute(st State, step Step, ev Event) {
	l.know(orEmpty(ev.Evidence).Traffic)
	rel := st.Artifact(step.Release)
	if l.Slot == step.Slot && l.Release.Key() == rel.Key() {
		return
	}
	if l.Warm != nil && l.Warm.Slot == step.Slot {
		l.Warm = nil
	}
	l.Release, l.Slot = rel, step.Slot
	l.Deploy, l.Since, l.By = ev.Deploy, ev.At, st.Request.By
	if was, ok := l.past(rel); ok && st.Undo != nil {
		l.Deploy, l.Since, l.By = was.Deploy, was.At, was.By // it was never really gone
	}
}

// past finds a good release of the environment.
func (l Live) past(r Release) (Past, bool) {
	i := slices.IndexFunc(l.Good, func(p Past) bool { return p.Release.Key() == r.Key() })
	if i < 0 {
		return Past{}, false
	}
	return l.Good[i], true
}

func (l *Live) foldEnded(st State, ev Event) {
	l.Ends++
	if l.Active == ev.Deploy {
		l.Active = 0
	}
	l.foldLocks(st, ev)
	if ev.Report == nil {
		return
	}
	if ev.Report.Observed {
		l.Release, l.Slot = ev.Report.Serving, ev.Report.Slot
		l.Slots, l.Warm = maps.Clone(ev.Report.Slots), nil
		for id, s := range ev.Report.Hosts {
			l.Hosts = l.Hosts.With(id, s)
		}
	}
	for _, r := range ev.Report.Failed {
		l.Bad = remember(l.Bad, r.Key())
	}
	for _, r := range ev.Report.Left {
		l.Left = remember(l.Left, r.Key())
	}
	if ev.Report.Warm != nil {
		l.Warm = ev.Report.Warm
	}
	if ev.Ending == Succeeded && st.Plan != nil && len(st.Plan.Steps) > 0 && !st.Plan.Release.IsZero() && !st.Plan.aboutHosts() {
		l.foldGood(st, ev)
	}
	l.foldBack(st, ev)
}

// foldLocks: a lock holds until its unlock; a user's rollback pauses automatic
// deploys until then.
func (l *Live) foldLocks(st State, ev Event) {
	r := st.Request
	switch {
	case r.Want == WantLock && ev.Ending == Succeeded:
		l.Lock = &Lock{Deploy: ev.Deploy, By: r.By, Reason: r.Reason, At: ev.At}
		if r.For > 0 {
			l.Lock.Until = r.At.Add(r.For.D())
		}
	case r.Want == WantUnlock && ev.Ending == Succeeded && r.Lock == 0:
		l.Lock, l.Paused = nil, nil
	case r.Want == WantUnlock && ev.Ending == Succeeded && l.Lock != nil && l.Lock.Deploy == r.Lock:
		l.Lock = nil
	case r.Want == WantRollback && (ev.Ending == Succeeded || ev.Ending == Abandoned && Moved(st)):
		l.Paused = &Lock{Deploy: ev.Deploy, By: r.By, At: ev.At}
	case (ev.Ending == Reverted || ev.Ending == Cancelled) && st.Cancel != nil && st.Why == RolledBack:
		l.Paused = &Lock{Deploy: ev.Deploy, By: *st.Cancel, At: ev.At}
	}
}

func (l *Live) foldGood(st State, ev Event) {
	rel := st.Artifact(st.Plan.Release)
	l.good(Past{Release: rel, Deploy: ev.Deploy, At: ev.At, By: st.Request.By})
	l.Bad = forget(l.Bad, rel.Key())
	l.Left = forget(l.Left, rel.Key())
}

// good makes a release the newest good one.
func (l *Live) good(now Past) {
	key := now.Release.Key()
	l.Good = slices.DeleteFunc(slices.Clone(l.Good), func(p Past) bool { return p.Release.Key() == key })
	l.Good = slices.Insert(l.Good, 0, now)
	l.Good = l.Good[:min(len(l.Good), remembered)]
}

func remember(list []string, key string) []string {
	list = slices.Insert(forget(list, key), 0, key)
	return list[:min(len(list), remembered)]
}

func forget(list []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(k string) bool { return k == key })
}

// StepAt returns a step of the plan in force.
func (s State) StepAt(i int) (Step, bool) {
	plan, _, _ := s.Current()
	if plan == nil || i < 0 || i >= len(plan.Steps) {
		return Step{}, false
	}
	return plan.Steps[i], true
}

// Artifact returns r with its artifact's hash, kind and name, where this deploy built it.
func (s State) Artifact(r Release) Release {
	if s.Built != nil && s.Built.Key() == r.Key() {
		return *s.Built
	}
	return r
}

// IsBad reports whether the release failed here before.
func (l Live) IsBad(r Release) bool { return slices.Contains(l.Bad, r.Key()) }

// IsLeft reports whether a rollback or revert left the release.
func (l Live) IsLeft(r Release) bool { return slices.Contains(l.Left, r.Key()) }
