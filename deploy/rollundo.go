package deploy

import (
	"path"
	"slices"
)

// touched is how far a rolling plan got on one host.
type touched struct {
	Member
	left    bool // taken out of traffic, or about to be
	stopped bool // its process was stopped, or about to be
	back    bool // given traffic again, or about to be
	done    bool // … proven
	lent    bool // had traffic given for a release that it ran before and that is given up
}

// undoRolling takes the touched hosts back: the failed ones first, then the last
// ones first, each out of traffic, to the old release, checked, and back in.
func undoRolling(s State) []Step {
	var steps []Step
	for _, group := range undoGroups(s) {
		steps = append(steps, takenBack(s, group)...)
	}
	return steps
}

// takenBack are the steps for hosts of one kind.
func takenBack(s State, group []touched) []Step {
	first := group[0]
	c := cycle{settings: s.Plan.Settings, root: path.Join(s.Plan.Settings.ReleaseDir, s.Target.App, s.Target.Env), batch: first.Batch}
	for _, t := range group {
		host, _ := s.Plan.Settings.Host(t.Host)
		c.hosts = append(c.hosts, host)
	}
	rel := s.Artifact(s.Plan.Release)
	switch {
	case first.lent:
		return []Step{c.out(rel), c.drain(rel)}
	case !first.stopped:
		return []Step{c.check(Release{}), c.in(Release{})} // as it was, whatever that is
	case first.Old.IsZero():
		return []Step{c.out(rel), c.drain(rel), c.stop(rel)}
	}
	steps := []Step{c.out(rel), c.drain(rel), c.stop(rel), c.start(first.Old), c.check(first.Old)}
	if first.Kept {
		return steps
	}
	return append(steps, c.in(first.Old))
}

// undoGroups orders the hosts that have to go back and joins those of one kind,
// as many as the plan had out of traffic at once.
func undoGroups(s State) [][]touched {
	most := widest(*s.Plan)
	var out [][]touched
	for _, t := range undoOrder(s) {
		if last := len(out) - 1; last >= 0 && len(out[last]) < most && alikeBack(out[last][0], t) {
			out[last] = append(out[last], t)
			continue
		}
		out = append(out, []touched{t})
	}
	return out
}

func alikeBack(a, b touched) bool {
	return a.lent == b.lent && a.stopped == b.stopped && a.Kept == b.Kept && a.Served == b.Served && a.Old.Key() == b.Old.Key()
}

// widest is how many hosts in service the plan takes out at once, at least one.
func widest(p Plan) int {
	served := map[HostID]bool{}
	for _, m := range p.Fleet {
		served[m.Host] = m.Served
	}
	most := 1
	for _, st := range p.Steps {
		if st.Op == OpOut && len(st.Hosts) > most && served[st.Hosts[0]] {
			most = len(st.Hosts)
		}
	}
	return most
}

// undoOrder gives the hosts that are not as they were: those that failed first,
// then the last ones first.
func undoOrder(s State) []touched {
	failed := failedHosts(s)
	var first, later []touched
	for _, t := range slices.Backward(trail(s)) {
		switch {
		case !t.left || t.settled(s.Plan.Release):
		case slices.Contains(failed, t.Host):
			first = append(first, t)
		default:
			later = append(later, t)
		}
	}
	return append(first, later...)
}

// settled reports whether the host is as it was before, but for a new process.
func (t touched) settled(rel Release) bool {
	return !t.lent && (t.done && (!t.stopped || t.Old.Key() == rel.Key()) || !t.stopped && t.Kept)
}

// failedHosts are those that the deploy left behind and those of the step that failed last.
func failedHosts(s State) []HostID {
	var ids []HostID
	for _, f := range s.Skipped {
		ids = append(ids, f.Host)
	}
	if s.Undo == nil && s.failed() {
		for _, f := range s.Outcomes.At(s.Next).After.Failures {
			ids = append(ids, f.Host)
		}
	}
	return ids
}

// trail is how far the plan got on each of its hosts, in their turn.
func trail(s State) []touched {
	index := map[HostID]int{}
	out := make([]touched, len(s.Plan.Fleet))
	for i, m := range s.Plan.Fleet {
		out[i], index[m.Host] = touched{Member: m}, i
	}
	without := leftAt(s.Skipped)
	for i, st := range s.Plan.Steps {
		o := s.Outcomes.At(i)
		if o.Attempts == 0 || st.Forget {
			continue
		}
		for _, id := range st.Hosts {
			failed, skipped := without[id]
			if at, ok := index[id]; ok && (!skipped || i <= failed) {
				out[at].pass(st.Op, o.Done && !skipped)
			}
		}
	}
	for i, t := range out {
		out[i].lent = t.back && !t.stopped && (t.Kept || !t.Served && s.Plan.Release.Key() != s.Plan.Old.Key())
	}
	return out
}

// leftAt tells at which step each host was left behind.
func leftAt(skipped []HostFailure) map[HostID]int {
	at := map[HostID]int{}
	for _, f := range skipped {
		at[f.Host] = f.Step
	}
	return at
}

func (t *touched) pass(op Op, done bool) {
	switch op {
	case OpOut:
		t.left = true
	case OpStop, OpStart:
		t.stopped, t.left = true, true
	case OpIn:
		t.back, t.done, t.left = true, done, true
	}
}

// Untouched returns the hosts of a rolling plan that served before and were not
// taken out of traffic yet.
func (s State) Untouched() []HostID {
	if s.Plan == nil {
		return nil
	}
	var ids []HostID
	for _, t := range trail(s) {
		if t.Served && !t.left && !s.Behind(t.Host) {
			ids = append(ids, t.Host)
		}
	}
	return ids
}

// rollsBack reports whether undoing a rolling plan leaves every host with
// something to run: a host that was serving and was stopped has an old release.
func rollsBack(s State) bool {
	for _, t := range trail(s) {
		if t.stopped && t.Served && t.Old.IsZero() {
			return false
		}
	}
	return true
}

// movedRolling reports whether any host may have had traffic with the new release.
func movedRolling(s State) bool {
	return slices.ContainsFunc(trail(s), func(t touched) bool { return t.back })
}
