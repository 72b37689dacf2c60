package sim

import (
	"fmt"
	"slices"
	"time"

	"ipublish/deploy"
)

// act performs a change of the world that the bot makes, and judges it: it
// must be journaled first (I17), by the deploy that holds the environment (I8),
// and must not take the last healthy instance out of traffic (I1, I26).
func (w *World) act(s deploy.Step, ops []deploy.Op, change func() error) error {
	w.checkJournal(s, ops)
	before := w.serves()
	err := change()
	if _, live := w.Journal(s.Deploy); before && live.Slot != "" && !w.serves() && !w.served(longestCall) {
		w.violate("I1 serve: %s by %s left no healthy instance in traffic", s.Op, s.Deploy)
	}
	return err
}

func (w *World) checkJournal(s deploy.Step, ops []deploy.Op) {
	st, live := w.Journal(s.Deploy)
	step, ok := st.StepAt(st.Next)
	known := false
	for _, op := range ops {
		known = known || ok && step.Op == op && s.Op == op
	}
	switch {
	case !st.Open || !known:
		w.violate("I17 write-ahead: %s runs %s while its journal stands at %q (open %v)", s.Deploy, s.Op, step.Op, st.Open)
	case live.Active != s.Deploy:
		w.violate("I8 one at a time: %s runs %s while %s holds the environment", s.Deploy, s.Op, live.Active)
	}
}

// longestCall is how long one call of the bot may be under way: what goes bad
// by itself in that time, after the bot looked, is nobody's fault.
const longestCall = 3 * time.Second

// served reports whether what receives traffic was healthy a moment ago.
func (w *World) served(ago time.Duration) bool {
	for addr, up := range w.up {
		for _, m := range w.machines {
			for port, p := range m.procs {
				if up && addr == fmt.Sprintf("%s:%d", m.addr, port) && p.healthy(time.Now().Add(-ago)) {
					return true
				}
			}
		}
	}
	return false
}

// serves reports whether some healthy instance receives traffic.
func (w *World) serves() bool {
	for addr, up := range w.up {
		if _, p := w.at(addr); up && p != nil && p.healthy(time.Now()) {
			return true
		}
	}
	return false
}

// checkGate wants every address that gets traffic to be a process of the
// step's release that answered well over its hold (I3, I4).
func (w *World) checkGate(s deploy.Step, addr string) {
	_, p := w.at(addr)
	if p == nil {
		return // it died by itself a moment ago; I1 judges the rest
	}
	live := deploy.Live{}
	if w.Journal != nil {
		_, live = w.Journal(s.Deploy)
	}
	switch {
	case p.foreign:
		w.violate("I4 identity: %s of a foreign process gets traffic", addr)
	case p.key != s.Release.Key():
		w.violate("I4 identity: %s runs %s and gets traffic as %s", addr, p.key, s.Release.Key())
	case p.passes == 0:
		w.violate("I3 gate: %s gets traffic without a passed check", addr)
	case live.Slot == s.Slot:
		return // routing back to what is live: it passed before
	case !w.held(s, p):
		w.violate("I3 gate: %s gets traffic %s after its first pass", addr, time.Since(p.firstPass))
	}
}

// held reports whether a process that this deploy started was healthy for long
// enough; a warm one was, before.
func (w *World) held(s deploy.Step, p *process) bool {
	st, _ := w.Journal(s.Deploy)
	plan, _, undoing := st.Current()
	if undoing || plan == nil {
		return true
	}
	started := slices.ContainsFunc(plan.Steps, func(st deploy.Step) bool { return st.Op == deploy.OpStart })
	return !started || time.Since(p.firstPass) >= w.minHold
}

// checkStop wants a stopped process to be out of traffic with its work done,
// or its drain time over (I5).
func (w *World) checkStop(s deploy.Step, addr string, p *process) {
	if p == nil || p.foreign {
		return
	}
	_, live := w.Journal(s.Deploy)
	if live.Slot == "" {
		return // nothing was ever live: the very first release is being undone
	}
	if w.up[addr] && p.healthy(time.Now()) {
		w.violate("I5 drain: %s is stopped while it receives traffic", addr)
		return
	}
	if n := w.inFlight(addr); n > 0 && time.Since(w.left[addr]) < w.drainTime {
		w.violate("I5 drain: %s is stopped %s after it left traffic with %d requests in flight", addr, time.Since(w.left[addr]), n)
	}
}

func (w *World) inFlight(addr string) int {
	n := 0
	for _, until := range w.busy[addr] {
		if time.Now().Before(until) {
			n++
		}
	}
	return n
}

// Final judges the world when all is quiet: what the journal calls live is what
// serves, and no slot is left running beside it without a lease.
func (w *World) Final(live deploy.Live) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for addr, up := range w.up {
		_, p := w.at(addr)
		if up && p != nil && p.key != live.Release.Key() {
			w.violate("I18 explains: %s serves %s, the journal says %s", addr, p.key, live.Release.Key())
		}
	}
	if live.Slot != "" && !w.serves() && !w.doomed(live.Release.Commit.SHA) {
		w.violate("I1 serve: at the end nothing serves, the journal says %s on %s", live.Release.Key(), live.Slot)
	}
	if live.Active != 0 {
		w.violate("I15 one ending: %s still holds the environment at the end", live.Active)
	}
	if !w.abandoned {
		w.checkLeftovers(live)
	}
}

// Abandoned tells that a person gave a deploy up: what it left is theirs.
func (w *World) Abandoned() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
}

// Doomed reports whether the commit's processes go bad by themselves.
func (w *World) Doomed(commit string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doomed(commit)
}

// doomed reports whether the commit's processes go bad by themselves.
func (w *World) doomed(commit string) bool {
	b := w.behaviours[commit]
	return b.DiesAt > 0 || b.FailsFrom > 0 || b.Exits || b.Silent || b.Status != 0
}

func (w *World) checkLeftovers(live deploy.Live) {
	for _, m := range w.machines {
		for port, p := range m.procs {
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

func slotOf(live deploy.Live, p *process) (deploy.Slot, bool) {
	for slot, st := range live.Slots {
		for _, in := range st.Instances {
			if in.PID == p.pid {
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
	out := fmt.Sprintf("up=%v", w.up)
	for _, m := range w.machines {
		for port, p := range m.procs {
			out += fmt.Sprintf(" %s:%d pid=%d key=%s alive=%v passes=%d", m.id, port, p.pid, p.key, p.alive(time.Now()), p.passes)
		}
	}
	return out
}
