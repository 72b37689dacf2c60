package deploy

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Recognise returns the instance as one of ours where it is the very process
// that was adopted in its slot.
func (l Live) Recognise(in Instance) Instance {
	slot := l.Slots[in.Slot]
	if !slot.Release.Adopted() || in.PID != 0 {
		return in
	}
	for _, then := range slot.Instances {
		if then.Host == in.Host && then.PID == in.PortPID && then.Started == in.PortStarted {
			return in.Adopt(slot.Release)
		}
	}
	return in
}

// Adopt returns the foreign instance as the process of a release.
func (in Instance) Adopt(r Release) Instance {
	in.PID, in.Started, in.Owned, in.Key = in.PortPID, in.PortStarted, true, r.Key()
	return in
}

// taking plans on as if what runs on one slot's port were live, where nothing
// ever was: the first step then makes it so.
func (p planning) taking() planning {
	slot, ok := p.adoptable()
	if !ok {
		return p
	}
	rel := AdoptedRelease(p.app.Name)
	seen := make([]Instance, len(p.obs.Slots[slot]))
	for i, in := range p.obs.Slots[slot] {
		if seen[i] = in; in.Foreign() {
			seen[i] = in.Adopt(rel)
		}
	}
	p.adopting = slot
	p.live.Slot, p.live.Release = slot, rel
	p.live.Slots = withSlot(p.live.Slots, slot, SlotState{Release: rel, Instances: seen})
	p.obs.Slots = map[Slot][]Instance{slot: seen, slot.Other(): p.obs.Slots[slot.Other()]}
	return p
}

// adoptable gives the one slot whose port a process that can be seen, and that
// ipublish did not start, holds on every host; only where nothing is live yet,
// or where what was adopted was started anew, on some host, by those whose it is.
func (p planning) adoptable() (Slot, bool) {
	for _, slot := range []Slot{Blue, Green} {
		if p.live.Slot != "" && (slot != p.live.Slot || !p.live.Release.Adopted() && !p.live.Release.IsZero()) {
			continue
		}
		seen, others := p.obs.Slots[slot], p.obs.Slots[slot.Other()]
		if len(seen) == len(p.env.Hosts) && countForeign(seen) > 0 && countForeign(others) == 0 && adoptees(seen, p.app.Name) {
			return slot, true
		}
	}
	return "", false
}

// adoptees reports whether every instance is adopted already, or can be.
func adoptees(seen []Instance, app string) bool {
	for _, in := range seen {
		known := in.Running() && in.Key == AdoptedRelease(app).Key()
		visible := in.Foreign() && in.PortPID > 0 && in.PortStarted != ""
		if !known && !visible {
			return false
		}
	}
	return true
}

// withSlot is the map with one slot changed, in a clone.
func withSlot(slots map[Slot]SlotState, slot Slot, to SlotState) map[Slot]SlotState {
	out := maps.Clone(slots)
	if out == nil {
		out = map[Slot]SlotState{}
	}
	out[slot] = to
	return out
}

func countForeign(seen []Instance) int {
	n := 0
	for _, in := range seen {
		if in.Foreign() {
			n++
		}
	}
	return n
}

// strangers refuses to plan while a slot's port is held by what is not ours.
func (p planning) strangers() error {
	var found []string
	slots := map[Slot]bool{}
	unseen := false
	for _, slot := range []Slot{Blue, Green} {
		for _, in := range p.obs.Slots[slot] {
			if in.Foreign() {
				found = append(found, p.stranger(slot, in))
				slots[slot], unseen = true, unseen || in.PortPID < 0
			}
		}
	}
	all := strings.Join(found, "; ")
	switch {
	case len(found) == 0:
		return nil
	case len(slots) == 2:
		return p.refuse(CodeForeign, "%s: ipublish needs one of the two ports: stop the process that gets no traffic, or give the slots other ports", all)
	case slots[p.live.Slot] && p.live.Release.Adopted():
		return p.refuse(CodeForeign, "%s, and it is not the one that was adopted: see that it answers on every host, then `adopt %s %s` takes it over again", all, p.app.Name, p.env.Name)
	case slots[p.live.Slot]:
		return p.refuse(CodeForeign, "%s, which ipublish did not start, where the live release should be: it may be serving, so move its users elsewhere before you stop it", all)
	case p.live.Slot == "" && unseen:
		return p.refuse(CodeForeign, "%s: so that it can be adopted ipublish has to see it: run as its user, or give the host `become: [sudo, -n]`; or stop it", all)
	case p.live.Slot == "":
		return p.refuse(CodeForeign, "%s, but not on every host: start it on the others too, so that it can be adopted, or stop it", all)
	case p.live.Slots[p.live.Slot.Other()].Release.Adopted():
		return p.refuse(CodeForeign, "%s: it was adopted and is not the same process any more: stop it", all)
	}
	return p.refuse(CodeForeign, "%s, which ipublish did not start: stop it, or give the slot another port", all)
}

func (p planning) stranger(slot Slot, in Instance) string {
	port := p.env.BlueGreen.Port(slot)
	if in.PortPID < 0 {
		return fmt.Sprintf("port %d of the %s slot on %s is held by a process of another user", port, slot, in.Host)
	}
	return fmt.Sprintf("port %d of the %s slot on %s is held by process %d (%s)", port, slot, in.Host, in.PortPID, in.Program())
}

// adopt plans to take over what runs, and nothing else.
func (p planning) adopt() (Plan, error) {
	taken := p.taking()
	if p.live.Slot != "" && taken.adopting == "" {
		plan := p.plan(p.live.Release)
		plan.Slot, plan.OldSlot, plan.Old = p.live.Slot, "", Release{}
		plan.Notes = []string{fmt.Sprintf("nothing to do: %s is live on %s since #%d", p.live.Release.Commit.Short(), p.live.Slot, p.live.Deploy)}
		return plan, nil
	}
	p = taken
	if err := p.worldFits(); err != nil {
		return Plan{}, err
	}
	if p.adopting == "" {
		return Plan{}, p.refuse(CodeNotFound, "nothing runs on port %d or %d of every host, so there is nothing to adopt: `deploy %s to %s` brings the first release",
			p.env.BlueGreen.Blue, p.env.BlueGreen.Green, p.app.Name, p.env.Name)
	}
	plan := p.plan(p.live.Release)
	plan.Slot, plan.OldSlot, plan.Old = p.adopting, "", Release{}
	plan.Steps = []Step{p.adoptStep()}
	return plan, nil
}

func (p planning) adoptStep() Step {
	s := p.slotStep(OpAdopt, p.adopting, AdoptedRelease(p.app.Name), time.Minute)
	s.Targets, s.Known, s.First = p.targets(p.adopting, ""), p.live.Known, true
	return s
}

// vacant refuses to clear a slot where the adopted process still runs, unless it
// is what is wanted.
func (p planning) vacant(slot Slot, rel Release) error {
	if !p.live.Slots[slot].Release.Adopted() || rel.Adopted() {
		return nil
	}
	for _, in := range p.obs.Slots[slot] {
		if in.Running() {
			return p.refuse(CodeForeign, "port %d of the %s slot on %s is still held by process %d (%s), which was adopted and is not ipublish's to stop: end it with `kill %d`, take it out of what starts it at boot, and deploy again",
				p.env.BlueGreen.Port(slot), slot, in.Host, in.PID, in.Program(), in.PID)
		}
	}
	return nil
}

// keepsRunning says how to end what ipublish will not stop.
func (p planning) keepsRunning(plan Plan) []string {
	if !plan.Old.Adopted() || plan.OldSlot == "" {
		return nil
	}
	var notes []string
	for _, in := range p.obs.Slots[plan.OldSlot] {
		if !in.Running() {
			continue
		}
		notes = append(notes, fmt.Sprintf("process %d (%s) on %s keeps running on port %d, so that `rollback %s %s` can go back to it; the next deploy needs that port: stop it before with `kill %d`, and take it out of what starts it at boot",
			in.PID, in.Program(), in.Host, p.env.BlueGreen.Port(plan.OldSlot), p.app.Name, p.env.Name, in.PID))
	}
	return notes
}
