package bot

import (
	"fmt"

	"ipublish/deploy"
)

// pauseEvent asks a running deploy to hold before its next hosts or the switch.
func pauseEvent(s deploy.State, ev deploy.Event) (deploy.Event, error) {
	before, ahead := nextPause(s)
	switch {
	case s.Phase == deploy.PhaseQueued:
		return ev, refused("%s has not begun, so there is nothing to pause: `cancel %s` takes it back, `lock %s %s \"why\"` holds deploys back", s.ID, s.ID, s.Target.App, s.Target.Env)
	case s.Phase == deploy.PhaseStuck:
		return ev, refused("%s is held already and does nothing until a person decides: `status %s %s` says what", s.ID, s.Target.App, s.Target.Env)
	case s.Undo != nil || s.Cancel != nil:
		return ev, refused("%s is going back, and that is not paused", s.ID)
	case s.Phase == deploy.PhasePaused:
		return deploy.Event{Text: fmt.Sprintf("%s is paused already: `resume %s` goes on, `cancel %s` goes back", s.ID, s.ID, s.ID)}, nil
	case !ahead:
		return ev, refused("%s", nothingAhead(s))
	case s.Pause != nil:
		return deploy.Event{Text: fmt.Sprintf("%s asked already for a pause of %s %s", actorText(*s.Pause), s.ID, before)}, nil
	}
	ev.Kind, ev.Text = deploy.KindPause, before
	return ev, nil
}

// nextPause says where a pause takes effect; false: nowhere any more.
func nextPause(s deploy.State) (string, bool) {
	if s.Plan == nil {
		return "before anything leaves traffic or is switched, if anything does", s.Request.Want != deploy.WantOnline
	}
	last := len(s.Plan.Steps) - 1
	if s.Plan.Commit >= 0 {
		last = s.Plan.Commit
	}
	for i := s.Next; i <= last; i++ {
		step := s.Plan.Steps[i]
		if s.Outcomes.At(i).Attempts > 0 {
			continue
		}
		switch step.Op {
		case deploy.OpRoute:
			return "before the switch", true
		case deploy.OpOut:
			return fmt.Sprintf("before the next hosts, %s", someHosts(step.Hosts)), true
		}
	}
	return "", false
}

// nothingAhead says why pausing a deploy does nothing.
func nothingAhead(s deploy.State) string {
	t := s.Target
	switch {
	case s.Plan == nil:
		return fmt.Sprintf("%s takes no host out of traffic, so there is nothing to pause before: `cancel %s` goes back", s.ID, s.ID)
	case s.Baked():
		return fmt.Sprintf("%s is live for good and only cleans up, so there is nothing to pause: `rollback %s %s` goes back", s.ID, t.App, t.Env)
	case s.Plan.Rolls():
		return fmt.Sprintf("%s takes no further host out of traffic, so there is nothing to pause before: `cancel %s` goes back", s.ID, s.ID)
	case s.Committed():
		return fmt.Sprintf("%s has switched already, so there is nothing to pause before: `cancel %s` goes back", s.ID, s.ID)
	}
	return fmt.Sprintf("%s switches nothing any more, so there is nothing to pause before", s.ID)
}

// resumeEvent lets a held deploy look again, and ends a pause.
func resumeEvent(s deploy.State, ev deploy.Event) (deploy.Event, error) {
	ev.Kind = deploy.KindResume
	switch {
	case s.Broken != nil:
		return ev, refused("the records of %s cannot be trusted, so it does not go on: `abandon %s \"why\"` (admin) ends it", s.ID, s.ID)
	case s.Phase == deploy.PhaseStuck:
		return ev, nil
	case s.Pause != nil && s.Undo == nil && s.Phase != deploy.PhaseQueued:
		ev.Text = pauseOver
		return ev, nil
	}
	return ev, refused("%s is neither held nor paused, so there is nothing to resume: it is %s", s.ID, s.Phase)
}

// pauseOver marks the resume of a pause.
const pauseOver = "the pause is over"

// resumable reports whether resume can mean the deploy.
func resumable(s deploy.State) bool {
	return s.Phase == deploy.PhaseStuck || s.Active() && s.Pause != nil
}
