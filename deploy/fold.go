package deploy

import (
	"fmt"
	"slices"
)

// Fold gives the state of one deploy from its whole journal, in order of N.
// What this binary does not understand (an unknown kind, version or operation, a
// gap in N, an event that is not legal there) folds to a stuck state with the
// reason in Broken; nothing is guessed and nothing is skipped silently.
func Fold(events []Event) State {
	var s State
	for _, ev := range events {
		s = s.Apply(ev)
	}
	return s
}

// Apply folds one more event. The receiver is not changed.
func (s State) Apply(ev Event) State {
	if s.Broken != nil {
		return s.past(ev).brokenOnly(ev)
	}
	if why := s.illegal(ev); why != "" {
		return s.past(ev).broken(ev, why)
	}
	s = s.past(ev)
	s.Watched = s.Watched.with(orEmpty(ev.Evidence).Watch)
	s.apply(ev)
	s.Phase = s.phase()
	return s
}

// past moves the counters over the event.
func (s State) past(ev Event) State {
	s.ID, s.N, s.Seq, s.Last = ev.Deploy, ev.N, ev.Seq, ev.At
	if s.Target == (Target{}) {
		s.Target = ev.Target
	}
	return s
}

func (s State) broken(ev Event, why string) State {
	s.Broken = &Error{
		Code: CodeDamaged, Op: "fold", Subject: fmt.Sprintf("%s event %d (%s)", ev.Deploy, ev.N, ev.Kind),
		Message: why + "; nothing is done for this deploy until a person looks: `abandon " + ev.Deploy.String() + " \"why\"` ends it and records what is observed as live",
	}
	s.Stuck, s.Phase = s.Broken, PhaseStuck
	return s
}

// brokenOnly accepts nothing but the way out of a broken journal.
func (s State) brokenOnly(ev Event) State {
	switch ev.Kind {
	case KindAbandon:
		s.Abandon = ev.By
	case KindEnded:
		if endingKnown(ev.Ending) {
			s.Ending, s.Report, s.Phase = ev.Ending, ev.Report, PhaseEnded
		}
	}
	return s
}

// illegal says why an event cannot stand at this place, or nothing.
func (s State) illegal(ev Event) string {
	switch {
	case ev.V != EventVersion:
		return fmt.Sprintf("the record has form %d, this binary reads form %d", ev.V, EventVersion)
	case ev.N != s.N+1:
		return fmt.Sprintf("event %d follows event %d: records are missing", ev.N, s.N)
	case s.Phase == PhaseEnded:
		return "the deploy had ended already"
	case ev.Kind == KindRequested:
		if s.N != 0 || ev.Request == nil {
			return "a request must be the first record, with its content"
		}
		return ""
	case s.N == 0:
		return "the first record is not the request"
	}
	return s.illegalLater(ev)
}

func (s State) illegalLater(ev Event) string {
	queued := s.Phase == PhaseQueued
	switch ev.Kind {
	case KindResolved:
		return unless(queued && ev.Commit != nil, "only a waiting request is resolved")
	case KindClaimed:
		return unless(queued, "only a waiting request is claimed")
	case KindPlanned:
		return unless(!queued && s.Plan == nil && planKnown(ev.Plan), "a plan stands once, after the claim, and only with known operations")
	case KindStarted:
		return unless(s.runnable(ev.Step), "only the next step of the plan can start")
	case KindDone, KindFailed:
		return unless(s.Open && ev.Step == s.Next, "only the started step has an outcome")
	case KindRevert:
		return unless(s.Plan != nil && s.Undo == nil && planKnown(ev.Plan), "a deploy is undone at most once, with known operations")
	case KindSkipped:
		return unless(s.failed() && len(ev.Hosts) > 0, "only a failed step goes on without the hosts that failed")
	case KindCancel, KindPause, KindResume, KindAbandon:
		return unless(!queued && ev.By != nil, "only a claimed deploy is cancelled, paused, resumed or abandoned, by somebody")
	case KindStuck:
		return unless(!queued && ev.Err != nil, "a claimed deploy is held for a reason")
	case KindEnded:
		return unless(endingKnown(ev.Ending), "the ending is unknown")
	case KindWatched:
		return unless(s.Plan != nil && ev.Evidence != nil, "only a planned deploy is watched, and something was seen")
	case KindNoted:
		return ""
	}
	return "the kind of the record is unknown"
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func (s State) runnable(step int) bool {
	plan, outcomes, _ := s.Current()
	return plan != nil && step == s.Next && step < len(plan.Steps) && !outcomes.At(step).Failed
}

func planKnown(p *Plan) bool {
	if p == nil {
		return false
	}
	for _, st := range p.Steps {
		if !st.Op.known() {
			return false
		}
	}
	return p.Commit < len(p.Steps) && p.Baked < len(p.Steps)
}

func (o Op) known() bool {
	switch o {
	case OpFetch, OpBuild, OpStage, OpFront, OpRetire, OpStart, OpCheck, OpRoute, OpBake, OpDrain, OpStop, OpPrune, OpAccept, OpAdopt, OpHook, OpIdle, OpOut, OpIn, OpObserve:
		return true
	}
	return false
}

func endingKnown(e Ending) bool {
	switch e {
	case Succeeded, Reverted, Failed, Superseded, Cancelled, Rejected, Expired, Abandoned:
		return true
	}
	return false
}

// apply changes the copy that Apply made; slices are cloned before they are written.
func (s *State) apply(ev Event) {
	switch ev.Kind {
	case KindRequested:
		s.Request, s.Target = *ev.Request, ev.Target
		s.Request.ID = ev.Deploy
		s.Commit = Commit{SHA: s.Request.Commit, Title: s.Request.Title, Author: s.Request.Author, Ref: s.Request.Ref}
	case KindResolved:
		s.Resolved, s.ResolvedSeq = *ev.Commit, ev.Seq
		if !s.Request.Auto {
			s.Commit = *ev.Commit
		}
	case KindClaimed:
		s.Claimed, s.Note = ev.At, ""
	case KindPlanned:
		s.Skipped = ev.Plan.Behind
		s.Plan, s.Outcomes = ev.Plan, NewOutcomes(len(ev.Plan.Steps))
	case KindStarted, KindDone, KindFailed:
		s.applyOutcome(ev)
	case KindRevert:
		s.Undo, s.UndoOutcomes, s.UndoTo = ev.Plan, NewOutcomes(len(ev.Plan.Steps)), ev.Ending
		s.Next, s.Open, s.Stuck, s.Pause = 0, false, nil, nil
		if ev.Err != nil {
			s.Err = ev.Err // why it goes back matters more than what it was held for before
		}
	case KindCancel:
		s.Cancel, s.Why = ev.By, ev.Text
	case KindAbandon:
		s.Abandon, s.Why = ev.By, ev.Text
	case KindPause:
		s.Pause = ev.By
	case KindSkipped:
		s.applySkipped(ev)
	case KindResume:
		s.applyResume()
	case KindStuck:
		s.Stuck = ev.Err
		s.blame(ev.Err)
	case KindNoted:
		s.Note = ev.Text
	case KindEnded:
		s.Ending, s.Report, s.Other = ev.Ending, ev.Report, ev.Other
		s.blame(ev.Err)
	}
}

func (s *State) blame(err *Error) {
	if s.Err == nil {
		s.Err = err
	}
}

func (s *State) applyOutcome(ev Event) {
	o := s.outcome(ev.Step)
	switch ev.Kind {
	case KindStarted:
		if o.Attempts == 0 {
			o.Started = ev.At
			o.Before = orEmpty(ev.Evidence)
		}
		o.Attempts++
		s.Open = true
	case KindDone:
		o.Done, o.Ended, o.After = true, ev.At, orEmpty(ev.Evidence).unwatched()
		if o.After.Release != nil {
			s.Built = o.After.Release
		}
		s.Next, s.Open, s.Note = s.Next+1, false, ""
	case KindFailed:
		o.Failed, o.Ended, o.After = true, ev.At, orEmpty(ev.Evidence).unwatched()
		s.Open = false
		s.Trouble = ev.Err
		s.blame(ev.Err)
	}
	s.setOutcome(ev.Step, o)
}

// outcome returns the outcome of a step of the plan in force.
func (s *State) outcome(step int) Outcome {
	_, outcomes, _ := s.Current()
	return outcomes.At(step)
}

func (s *State) setOutcome(step int, o Outcome) {
	if s.Undo != nil {
		s.UndoOutcomes = s.UndoOutcomes.with(step, o)
		return
	}
	s.Outcomes = s.Outcomes.with(step, o)
}

// applyResume lets the step that is held be run again.
func (s *State) applyResume() {
	s.Stuck, s.Trouble, s.Pause = nil, nil, nil
	if s.Undo == nil {
		s.Cancel, s.Why = nil, "" // an order that could not be followed is withdrawn
	}
	s.again()
}

// again lets the step at Next be run once more, if it failed.
func (s *State) again() {
	plan, outcomes, _ := s.Current()
	if plan == nil || s.Next >= outcomes.Len() || !outcomes.At(s.Next).Failed {
		return
	}
	o := outcomes.At(s.Next)
	o.Failed = false
	s.setOutcome(s.Next, o)
}

// applySkipped lets the deploy go on without some hosts.
func (s *State) applySkipped(ev Event) {
	failures := orEmpty(ev.Evidence).Failures
	for _, id := range ev.Hosts {
		i := slices.IndexFunc(failures, func(f HostFailure) bool { return f.Host == id })
		if i < 0 {
			failures, i = append(failures, HostFailure{Host: id, Err: ev.Err}), len(failures)
		}
		f := failures[i]
		f.Step = ev.Step
		if s.Undo != nil {
			s.UndoSkipped = append(slices.Clip(s.UndoSkipped), f)
			continue
		}
		s.Skipped, s.Err = append(slices.Clip(s.Skipped), f), nil
	}
	s.Trouble = nil
	s.again()
}

// Behind reports whether the deploy goes on without the host.
func (s State) Behind(id HostID) bool {
	list := s.Skipped
	if s.Undo != nil {
		list = s.UndoSkipped
	}
	return slices.ContainsFunc(list, func(f HostFailure) bool { return f.Host == id })
}

func orEmpty(e *Evidence) Evidence {
	if e == nil {
		return Evidence{}
	}
	return *e
}

// unwatched leaves out what State.Watched sums up.
func (e Evidence) unwatched() Evidence {
	e.Watch = nil
	return e
}

func (s State) phase() Phase {
	switch {
	case s.Ending != "":
		return PhaseEnded
	case s.Claimed.IsZero():
		return PhaseQueued
	case s.Stuck != nil:
		return PhaseStuck
	case s.Undo != nil:
		return PhaseReverting
	case s.Baked():
		return PhaseFinishing
	case s.Committed():
		return PhaseBaking
	case s.pausesHere():
		return PhasePaused
	}
	return PhaseRunning
}

// pausesHere reports whether a pause that was asked for takes effect at the step
// that would be next: between two batches, or before the switch.
func (s State) pausesHere() bool {
	if s.Pause == nil || s.Open || s.Baked() || s.Undo != nil || s.Plan == nil || s.Next >= len(s.Plan.Steps) || s.Outcomes.At(s.Next).Attempts > 0 {
		return false
	}
	op := s.Plan.Steps[s.Next].Op
	return op == OpOut || op == OpRoute
}

// failed reports whether the step at Next failed.
func (s State) failed() bool {
	plan, outcomes, _ := s.Current()
	return plan != nil && s.Next < outcomes.Len() && outcomes.At(s.Next).Failed
}
