package deploy

import "slices"

// aboutHosts reports whether the plan is about hosts of a rolling environment
// and brings no release: a restart, a drill, and what is asked for by name.
func (p Plan) aboutHosts() bool {
	return p.Rolls() && p.Want != WantDeploy && p.Want != WantRollback
}

// Touches returns the hosts whose record FoldEnv may change with the event; st is
// the deploy's state after it.
func (s State) Touches(ev Event) []HostID {
	switch ev.Kind {
	case KindStarted, KindDone, KindFailed:
		if step, ok := s.StepAt(ev.Step); ok && s.Plan.Rolls() {
			return step.Hosts
		}
	case KindSkipped:
		return ev.Hosts
	case KindEnded:
		if ev.Report != nil {
			return hostsIn(ev.Report.Hosts)
		}
	}
	return nil
}

func hostsIn(m map[HostID]HostState) []HostID {
	var ids []HostID
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

// foldLeaving writes the ledger before hosts leave traffic. Who took a host out
// first stands, but a person's word outlasts a deploy's.
func (l *Live) foldLeaving(st State, ev Event) {
	step, ok := st.StepAt(ev.Step)
	if ok && step.Op == OpIn {
		l.doubt(st, step.Hosts)
	}
	if !ok || step.Op != OpOut {
		return
	}
	person := st.Undo == nil && (st.Request.Want == WantOffline || st.Request.Want == WantStop)
	seen := orEmpty(ev.Evidence).Traffic
	for _, t := range step.Targets {
		if st.Behind(t.Host) {
			continue
		}
		h := l.Hosts.Get(t.Host)
		if h.Out != nil && (h.Out.Person || !person) {
			continue
		}
		out := Outage{Deploy: ev.Deploy, By: st.Request.By, At: ev.At, Person: person, Unproven: true}
		switch {
		case h.Out != nil:
			out.Weight = h.Out.Weight
		case seen != nil:
			out.Weight = seen.Weights[t.Addr]
		}
		h.Out = &out
		if host, ok := st.Plan.Settings.Host(t.Host); ok {
			h.Host = host
		}
		l.Hosts = l.Hosts.With(t.Host, h)
	}
}

// doubt marks hosts of which it cannot be told, until the step is done, whether
// they have traffic.
func (l *Live) doubt(st State, hosts []HostID) {
	for _, id := range hosts {
		h := l.Hosts.Get(id)
		if h.Out == nil || st.Behind(id) {
			continue
		}
		out := *h.Out
		out.Unproven = true
		h.Out = &out
		l.Hosts = l.Hosts.With(id, h)
	}
}

// foldStaying takes the entry back of hosts that this deploy was about to take
// out and that were seen in traffic when it failed.
func (l *Live) foldStaying(st State, ev Event) {
	step, ok := st.StepAt(ev.Step)
	seen := orEmpty(ev.Evidence).Traffic
	if !ok || step.Op != OpOut || seen == nil {
		return
	}
	for _, t := range step.Targets {
		h := l.Hosts.Get(t.Host)
		if h.Out != nil && h.Out.Deploy == ev.Deploy && slices.Contains(seen.Up, t.Addr) {
			h.Out = nil
			l.Hosts = l.Hosts.With(t.Host, h)
		}
	}
}

// foldGone forgets hosts that left the configuration and cannot be reached: that
// is told, and once.
func (l *Live) foldGone(st State, ev Event) {
	for _, id := range ev.Hosts {
		if slices.ContainsFunc(st.Plan.Settings.Gone, func(h Host) bool { return h.ID == id }) {
			l.Hosts = l.Hosts.Without(id)
		}
	}
}

// foldHosts records what a finished step made of its hosts.
func (l *Live) foldHosts(st State, step Step, after Evidence) {
	seen := map[HostID]Instance{}
	for _, in := range after.Instances {
		seen[in.Host] = in
	}
	for _, id := range step.Hosts {
		if st.Behind(id) {
			continue
		}
		h := l.Hosts.Get(id)
		switch step.Op {
		case OpStart, OpCheck:
			h.Instance = seen[id]
			if !step.Release.IsZero() {
				h.Release = st.Artifact(step.Release)
			}
		case OpStop:
			h.Instance = Instance{}
		case OpIn:
			h.Out = nil
		case OpOut:
			if h.Out != nil {
				out := *h.Out
				out.Unproven = false
				h.Out = &out
			}
		default:
			continue
		}
		if step.Forget {
			l.Hosts = l.Hosts.Without(id)
			continue
		}
		if host, ok := st.Plan.Settings.Host(id); ok {
			h.Host = host
		}
		h.Instance.Log = "" // told nowhere, and it may hold what the app knows
		l.Hosts = l.Hosts.With(id, h)
	}
}

// foldRolled makes the new release the live one at the commit point. A verb that
// starts something where nothing was ever deployed makes nothing live.
func (l *Live) foldRolled(st State, ev Event) {
	if st.Undo != nil || st.Plan.Commit != ev.Step || st.Plan.aboutHosts() {
		return
	}
	l.Release, l.Slot = st.Artifact(st.Plan.Release), Main
	l.Deploy, l.Since, l.By = ev.Deploy, ev.At, st.Request.By
}

// foldBack makes the old release live again where a revert took back what was
// live already.
func (l *Live) foldBack(st State, ev Event) {
	if ev.Ending != Reverted || st.Plan == nil || !st.Plan.Rolls() || !st.Committed() {
		return
	}
	l.Release, l.Slot = st.Plan.Old, st.Plan.OldSlot
	if was, ok := l.past(l.Release); ok {
		l.Deploy, l.Since, l.By = was.Deploy, was.At, was.By
	}
}
