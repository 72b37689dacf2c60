package bot

import "ipublish/deploy"

// What leaves by the API is what people need to see: the settings that a plan
// carries for the engine (environment variables, drivers' sections, headers) and
// the bytes of managed files stay inside.

func published(o Overview) Overview {
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

func publishedState(s deploy.State) deploy.State {
	s.Plan, s.Undo = publishedPlan(s.Plan), publishedPlan(s.Undo)
	s.Outcomes, s.UndoOutcomes = s.Outcomes.Map(publishedOutcome), s.UndoOutcomes.Map(publishedOutcome)
	return s
}

func publishedEvent(ev deploy.Event) deploy.Event {
	ev.Plan = publishedPlan(ev.Plan)
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
	if e.Traffic != nil && e.Traffic.Previous != nil {
		t := *e.Traffic
		t.Previous = nil
		e.Traffic = &t
	}
	return e
}
