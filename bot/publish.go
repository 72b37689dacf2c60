package bot

import (
	"maps"
	"slices"

	"ipublish/deploy"
)

// What leaves by the API is what people need to see: the settings that a plan
// carries for the engine (environment variables, drivers' sections, headers), how
// hosts are reached, command lines of strangers' processes and the bytes of
// managed files stay inside.

func published(o Overview) Overview {
	o.Live = publishedLive(o.Live)
	if o.Active != nil {
		s := publishedState(*o.Active)
		o.Active = &s
	}
	waiting := make([]deploy.State, len(o.Waiting))
	for i, s := range o.Waiting {
		waiting[i] = publishedState(s)
	}
	o.Waiting = waiting
	return o
}

func publishedLive(l deploy.Live) deploy.Live {
	l.Slots = publishedSlots(l.Slots)
	hosts := deploy.Roster{}
	for id, s := range l.Hosts.All() {
		hosts = hosts.With(id, publishedHost(s))
	}
	l.Hosts = hosts
	return l
}

func publishedSlots(slots map[deploy.Slot]deploy.SlotState) map[deploy.Slot]deploy.SlotState {
	out := maps.Clone(slots)
	for slot, s := range out {
		s.Instances = publishedInstances(s.Instances)
		out[slot] = s
	}
	return out
}

func publishedHost(s deploy.HostState) deploy.HostState {
	s.Host, s.Instance.Command = deploy.Host{}, ""
	return s
}

func publishedInstances(all []deploy.Instance) []deploy.Instance {
	out := slices.Clone(all)
	for i := range out {
		out[i].Command = ""
	}
	return out
}

func publishedReport(r *deploy.Report) *deploy.Report {
	if r == nil {
		return nil
	}
	out := *r
	out.Slots, out.Hosts = publishedSlots(r.Slots), maps.Clone(r.Hosts)
	for id, s := range out.Hosts {
		out.Hosts[id] = publishedHost(s)
	}
	return &out
}

func publishedState(s deploy.State) deploy.State {
	s.Report = publishedReport(s.Report)
	s.Plan, s.Undo = publishedPlan(s.Plan), publishedPlan(s.Undo)
	s.Outcomes, s.UndoOutcomes = s.Outcomes.Map(publishedOutcome), s.UndoOutcomes.Map(publishedOutcome)
	return s
}

func publishedEvent(ev deploy.Event) deploy.Event {
	ev.Plan, ev.Report = publishedPlan(ev.Plan), publishedReport(ev.Report)
	if ev.Evidence != nil {
		e := publishedEvidence(*ev.Evidence)
		ev.Evidence = &e
	}
	return ev
}

func publishedPlan(p *deploy.Plan) *deploy.Plan {
	if p == nil {
		return nil
	}
	out := *p
	out.Settings = deploy.Settings{AutoRevert: p.Settings.AutoRevert, BlueGreen: p.Settings.BlueGreen, Rolling: p.Settings.Rolling}
	return &out
}

func publishedOutcome(o deploy.Outcome) deploy.Outcome {
	o.Before, o.After = publishedEvidence(o.Before), publishedEvidence(o.After)
	return o
}

func publishedEvidence(e deploy.Evidence) deploy.Evidence {
	e.Instances = publishedInstances(e.Instances)
	if e.Traffic != nil && e.Traffic.Previous != nil {
		t := *e.Traffic
		t.Previous = nil
		e.Traffic = &t
	}
	return e
}
