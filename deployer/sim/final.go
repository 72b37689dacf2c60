package sim

import (
	"fmt"
	"time"

	"ipublish/deploy"
)

// Final judges the world when all is quiet: what the journal calls live is what
// serves, no slot is left running beside it without a lease, and every host
// holds the folders that are to be kept (I24).
func (w *World) Final(live deploy.Live, keep []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	switch {
	case w.Fleet != nil:
		w.checkFleet(live)
	case !w.hands.moved:
		w.checkServing(live)
	}
	if live.Active != 0 {
		w.violate("I15 one ending: %s still holds the environment at the end", live.Active)
	}
	if w.Fleet != nil {
		return
	}
	if !w.abandoned {
		w.checkLeftovers(live)
	}
	for _, m := range w.machines {
		for _, dir := range keep {
			if m.dirs[dir] == "" {
				w.violate("I24 target: %s does not hold %s any more", m.id, dir)
			}
		}
	}
}

// checkServing wants every address in traffic to run what the journal says, as
// well as it can by itself.
func (w *World) checkServing(live deploy.Live) {
	now := time.Now()
	for _, addr := range inUse(w.up) {
		_, p := w.last(addr)
		switch {
		case p == nil && live.Slot != "":
			w.violate("I2 floor: %s has traffic at the end, and nothing is left there", addr)
		case p != nil && p.foreign && live.Slot == "":
			// An adoption that was not finished: traffic goes where it went.
		case p != nil && p.alive(now) && p.key != live.Release.Key():
			w.violate("I18 explains: %s serves %s, the journal says %s", addr, p.key, live.Release.Key())
		}
	}
	if live.Slot != "" && len(inUse(w.up)) == 0 {
		w.violate("I1 serve: at the end nothing has traffic, the journal says %s on %s", live.Release.Key(), live.Slot)
	}
}

// Abandoned tells that a person gave a deploy up: what it left is theirs.
func (w *World) Abandoned() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
}

func (w *World) checkLeftovers(live deploy.Live) {
	for _, m := range w.machines {
		for _, port := range m.ports() {
			p := m.on(port)
			if p.foreign || !p.alive(time.Now()) {
				continue
			}
			slot, known := slotOf(live, p)
			if !known {
				w.violate("I18 explains: %s runs %s on port %d, which the journal does not know", m.id, p.key, port)
			} else if slot != live.Slot && (live.Warm == nil || live.Warm.Slot != slot) {
				w.violate("leftover: %s runs %s on %s without a lease", m.id, p.key, slot)
			}
		}
	}
}

// slotOf finds the slot that the journal says a process is in; what its
// supervisor replaced later is in the same one.
func slotOf(live deploy.Live, p *process) (deploy.Slot, bool) {
	for slot, st := range live.Slots {
		for _, in := range st.Instances {
			if in.PID == p.pid || p.before != nil && in.Key == p.key {
				return slot, true
			}
		}
	}
	return "", false
}

// String shows who runs where, for a failing test.
func (w *World) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := fmt.Sprintf("up=%v", inUse(w.up))
	for _, m := range w.machines {
		for _, port := range m.ports() {
			p := m.on(port)
			out += fmt.Sprintf(" %s:%d pid=%d key=%s alive=%v passes=%d", m.id, port, p.pid, p.key, p.alive(time.Now()), p.passes)
		}
	}
	return out
}
