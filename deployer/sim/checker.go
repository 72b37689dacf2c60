package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ipublish/deploy"
)

// longestCall is how long one call of the bot may be under way: what goes bad
// by itself in that time, after the bot looked, is nobody's fault.
const longestCall = 3 * time.Second

// longestStop is the same for a stop that waits for a host that is gone.
const longestStop = 45 * time.Second

// doorProbes is how many answers of the front door prove a switch.
const doorProbes = 2

// act performs a change of the world that the bot makes, and judges it: it
// must be journaled first (I17), by the deploy that holds the environment (I8),
// and must not take the last healthy instance out of traffic (I1, I26).
func (w *World) act(s deploy.Step, ops []deploy.Op, change func() error) error {
	w.checkJournal(s, ops)
	before := w.serves()
	err := change()
	w.changes++
	if _, live := w.Journal(s.Deploy); before && live.Slot != "" && !w.serves() && w.count(w.up, time.Now().Add(-longestCall)) == 0 {
		w.violate("I1 serve: %s by %s left no healthy instance in traffic", s.Op, s.Deploy)
	}
	return err
}

func (w *World) checkJournal(s deploy.Step, ops []deploy.Op) {
	st, live := w.Journal(s.Deploy)
	step, ok := st.StepAt(st.Next)
	known := ok && step.Op == s.Op && slices.Contains(ops, s.Op)
	switch {
	case !st.Open || !known:
		w.violate("I17 write-ahead: %s runs %s while its journal stands at %q (open %v)", s.Deploy, s.Op, step.Op, st.Open)
	case live.Active != s.Deploy:
		w.violate("I8 one at a time: %s runs %s while %s holds the environment", s.Deploy, s.Op, live.Active)
	}
}

// count is how many of a table's addresses were healthy at a time.
func (w *World) count(table map[string]bool, at time.Time) int {
	n := 0
	for addr, up := range table {
		if _, p := w.last(addr); up && p != nil && p.healthy(at) {
			n++
		}
	}
	return n
}

// serves reports whether some healthy instance receives traffic.
func (w *World) serves() bool { return w.count(w.up, time.Now()) > 0 }

// Serves reports whether some healthy instance receives traffic.
func (w *World) Serves() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return w.serves()
}

// checkSwitch wants at least as many healthy instances after a switch as before (I1, I2).
func (w *World) checkSwitch(next *table) {
	before := w.count(w.up, next.at)
	if before > 0 && w.count(next.up, next.at) < before && w.count(next.up, next.at.Add(-w.Lag-longestCall)) < before {
		w.violate("I2 floor: the switch by %s to %v leaves %d healthy instances, there were %d", next.by, inUse(next.up), w.count(next.up, next.at), before)
	}
}

// checkGate wants every address that gets traffic to be a process of the
// step's release that answered well over its hold (I3, I4).
func (w *World) checkGate(s deploy.Step, addr string) {
	_, p := w.last(addr)
	justNow := time.Now().Add(-longestCall)
	switch {
	case p == nil:
		w.violate("I3 gate: %s gets traffic and nothing was started there", addr)
	case p.foreign && !s.Release.Adopted():
		w.violate("I4 identity: %s of a foreign process gets traffic", addr)
	case p.key != s.Release.Key() && !s.Release.IsZero():
		w.violate("I4 identity: %s runs %s and gets traffic as %s", addr, p.key, s.Release.Key())
	case p.before != nil && p.passes <= 1 && p.born.After(justNow):
		return // nobody could see yet that it is another one
	case !p.alive(time.Now()) && !p.alive(justNow):
		w.violate("I3 gate: %s gets traffic and has been dead for more than %s", addr, longestCall)
	case p.passes == 0 && !p.healthy(justNow):
		w.violate("I3 gate: %s gets traffic without a passed check", addr)
	case !w.held(s, p):
		w.violate("I3 gate: %s gets traffic %s after its first pass", addr, time.Since(p.firstPass))
	}
}

// held reports whether this very process was healthy for long enough; the way
// back may take what answers.
func (w *World) held(s deploy.Step, p *process) bool {
	st, live := w.Journal(s.Deploy)
	plan, _, undoing := st.Current()
	if w.Fleet != nil && plan != nil {
		begun := slices.ContainsFunc(plan.Steps, func(st deploy.Step) bool { return st.Op == deploy.OpStart && slices.Contains(st.Hosts, s.Hosts[0]) })
		return !begun || p.proven && time.Since(p.firstPass) >= w.minHold
	}
	if undoing || plan == nil || live.Slot == s.Slot || s.Op == deploy.OpAdopt {
		return true
	}
	started := slices.ContainsFunc(plan.Steps, func(st deploy.Step) bool { return st.Op == deploy.OpStart })
	return p.proven && (!started || time.Since(p.firstPass) >= w.minHold)
}

// checkStop wants a stopped process to be out of traffic with its work done or
// its drain time over (I5), not to be all that is left (I26), and a warm one to
// have had its time.
func (w *World) checkStop(s deploy.Step, addr string, p *process) {
	st, live := w.Journal(s.Deploy)
	now := time.Now()
	if live.Slot == "" || !p.healthy(now) {
		return // nothing was ever live, or nothing is lost
	}
	switch n := w.inFlight(addr); {
	case w.up[addr]:
		w.violate("I5 drain: %s is stopped while it receives traffic", addr)
	case n > 0 && time.Since(w.left[addr]) < w.drainTime:
		w.violate("I5 drain: %s is stopped %s after it left traffic with %d requests in flight", addr, time.Since(w.left[addr]), n)
	case s.Slot != live.Slot && !w.serves() && w.count(w.up, now.Add(-longestStop)) == 0:
		w.violate("I26 do no harm: %s is stopped while nothing else is healthy", addr)
	}
	if s.Slot != live.Slot && now.Before(w.hands.busy) {
		w.violate("idle: %s is stopped while it says that it has background work", addr)
	}
	if until := w.leases[s.Slot]; st.Request.Want == deploy.WantRetire && now.Before(until) {
		w.violate("lease: %s is retired %s before its time", addr, until.Sub(now))
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

// Leased tells that a slot is to be kept until then.
func (w *World) Leased(slot deploy.Slot, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leases[slot] = until
}

// Done judges the journal's claim that a step is done; live is the environment
// as the journal has it from then on, behind tells whom the deploy goes on without.
func (w *World) Done(s deploy.Step, p deploy.Settings, live deploy.Live, behind func(deploy.HostID) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	switch s.Op {
	case deploy.OpCheck:
		w.checkPassed(s, p, behind)
	case deploy.OpOut, deploy.OpIn:
		w.checkTurned(s, behind)
	case deploy.OpRoute, deploy.OpAdopt:
		w.checkRouted(s, p, live)
	case deploy.OpBake:
		w.checkBaked(s)
	case deploy.OpAccept:
		w.hands.edited, w.hands.moved = false, false
	}
}

// checkPassed wants what passed the gate to run the release (I4).
func (w *World) checkPassed(s deploy.Step, set deploy.Settings, behind func(deploy.HostID) bool) {
	for _, h := range set.Hosts {
		if !slices.Contains(s.Hosts, h.ID) || behind(h.ID) || s.Release.IsZero() {
			continue
		}
		if _, p := w.last(deploy.Address(h, s.Port)); p == nil || p.key != s.Release.Key() {
			w.violate("I4 identity: the gate of %s lets something else pass on %s", s.Release.Key(), h.ID)
		}
	}
}

// checkRouted wants a switch to be in force and proven (I6), and its file known (I7).
func (w *World) checkRouted(s deploy.Step, p deploy.Settings, live deploy.Live) {
	want := map[string]bool{}
	for _, t := range s.Targets {
		if t.Up {
			want[t.Addr] = true
		}
	}
	switch {
	case w.hands.moved || w.hands.edited:
	case !maps.Equal(want, w.up):
		w.violate("I6 verified switch: the journal says that %v have traffic, but %v have it", inUse(want), inUse(w.up))
	case s.Op == deploy.OpRoute && p.Verify != nil && w.doorPasses < doorProbes:
		w.violate("I6 verified switch: done after %d good answers of the front door", w.doorPasses)
	case live.Known != hash(w.file):
		w.violate("I7 whole config: the journal does not know the file as it is")
	}
}

// checkBaked wants what has baked to run still.
func (w *World) checkBaked(s deploy.Step) {
	for _, addr := range inUse(w.up) {
		if w.Fleet != nil && !slices.ContainsFunc(s.Hosts, func(id deploy.HostID) bool { return addr == fmt.Sprintf("%s:%d", w.machines[id].addr, s.Port) }) {
			continue
		}
		if _, p := w.last(addr); p != nil && !p.alive(time.Now()) && !p.alive(time.Now().Add(-2*longestCall)) {
			w.violate("I2 floor: %s is called baked and has been dead for more than %s", addr, 2*longestCall)
		}
	}
}
