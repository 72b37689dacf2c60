package deploy

import (
	"fmt"
	"strings"
	"time"
)

// Describe renders one deploy as a message: plain text throughout, for the chat
// driver to escape. Channel, Ref and Thread are the notifier's to fill.
func Describe(s State) Message {
	m := Message{
		Deploy: s.ID, Title: title(s), Status: status(s), Tone: tone(s),
		Steps: marks(s), Percent: percent(s), Final: s.Ended(),
	}
	m.Lines = lines(s)
	if s.Err != nil && (s.Ended() || s.Stuck != nil || s.Undo != nil) {
		m.Log = s.Err.Log
	}
	return m
}

func title(s State) string {
	t := fmt.Sprintf("%s → %s · %s", s.Target.App, s.Target.Env, s.ID)
	switch s.Request.Want {
	case WantRollback:
		t += " · rollback"
	case WantAccept:
		t += " · accept"
	case WantAdopt:
		t += " · adopt"
	case WantLock:
		t += " · lock"
	case WantUnlock:
		t += " · unlock"
	case WantAlarm:
		t += " · alarm"
	case WantRetire:
		t += " · stop the old slot"
	case WantStart, WantStop, WantRestart, WantOffline, WantOnline, WantDrill:
		t += " · " + strings.TrimSpace(string(s.Request.Want)+" "+someOf(s.Request.Hosts))
	}
	c := s.Commit
	if s.Plan != nil && !s.Plan.Release.IsZero() && s.Request.Want == WantRollback {
		c = s.Plan.Release.Commit
	}
	if c.SHA != "" {
		t += " · " + strings.TrimSpace(c.Short()+" "+c.Title)
	} else if s.Request.Ref != "" {
		t += " · " + s.Request.Ref
	}
	return t
}

func status(s State) string {
	switch s.Phase {
	case PhaseEnded:
		return outcome(s)
	case PhaseStuck:
		return "held, a person is needed"
	case PhaseQueued:
		return "queued"
	case PhasePaused:
		return "paused"
	case PhaseReverting:
		if Moved(s) {
			return "reverting"
		}
		return "undoing"
	case PhaseBaking:
		return "live, watching it"
	case PhaseFinishing:
		return "live, cleaning up"
	}
	switch s.Request.Want {
	case WantStart, WantStop, WantRestart, WantOffline, WantOnline, WantDrill:
		return "under way"
	}
	return "deploying"
}

// outcome is how a deploy ended, in a word or two.
func outcome(s State) string {
	switch {
	case s.Ending != Succeeded:
		return string(s.Ending)
	case s.Request.Want == WantLock:
		return "locked"
	case s.Request.Want == WantUnlock:
		return "unlocked"
	case s.Request.Want == WantAlarm:
		return "look at it"
	case s.Plan != nil && len(s.Plan.Steps) == 0:
		return "nothing to do"
	}
	return string(s.Ending)
}

func tone(s State) Tone {
	switch {
	case s.Phase == PhaseStuck, s.Request.Want == WantAlarm:
		return ToneHold
	case s.Ending == Succeeded:
		return ToneGood
	case s.Ending == Failed, s.Ending == Reverted, s.Phase == PhaseReverting, s.Ending == Abandoned:
		return ToneBad
	}
	return ToneNeutral
}

func marks(s State) []Mark {
	if s.Plan == nil {
		return nil
	}
	marks := planMarks
	if s.Plan.Rolls() {
		marks = batchMarks
	}
	out := marks(s.Plan, s.Outcomes, s.Next, s.Undo == nil && s.Open)
	if s.Undo != nil {
		for i := range out {
			if out[i].State == "doing" {
				out[i].State = "undone"
			}
		}
		for _, m := range marks(s.Undo, s.UndoOutcomes, s.Next, s.Open) {
			m.Label = "back: " + m.Label
			out = append(out, m)
		}
	}
	return out
}

func planMarks(p *Plan, outcomes Outcomes, next int, open bool) []Mark {
	out := make([]Mark, len(p.Steps))
	for i, st := range p.Steps {
		out[i] = Mark{Label: label(st), State: "todo"}
		switch {
		case outcomes.At(i).Done:
			out[i].State = "done"
		case outcomes.At(i).Failed:
			out[i].State = "failed"
		case open && i == next, !open && outcomes.At(i).Attempts > 0:
			out[i].State = "doing"
		}
	}
	return out
}

// label is the step in a word or two.
func label(s Step) string {
	switch s.Op {
	case OpFront:
		return "front door"
	case OpRetire:
		return "clear " + string(s.Slot)
	case OpStart, OpCheck, OpStop, OpDrain:
		return string(s.Op) + " " + string(s.Slot)
	case OpRoute:
		return "switch to " + string(s.Slot)
	case OpAccept:
		return "accept the file"
	case OpAdopt:
		return "adopt " + string(s.Slot)
	case OpHook:
		return strings.TrimSpace(s.Name() + " " + string(s.Slot))
	case OpIdle:
		return "wait for background work on " + string(s.Slot)
	}
	return string(s.Op)
}

func percent(s State) int {
	if s.Ended() {
		return 100
	}
	plan, outcomes, _ := s.Current()
	if plan == nil || len(plan.Steps) == 0 {
		return 0
	}
	done := 0
	for _, o := range outcomes.All() {
		if o.Done {
			done++
		}
	}
	return done * 100 / len(plan.Steps)
}

func lines(s State) []string {
	var out []string
	if s.Phase == PhaseQueued {
		out = append(out, "asked for by "+s.Request.By.String())
	}
	if s.Note != "" && !s.Ended() {
		out = append(out, s.Note)
	}
	if why := reason(s); why != "" {
		out = append(out, why)
	}
	if s.Plan != nil && !s.Ended() {
		out = append(out, fleetLines(s)...)
	}
	if s.Phase == PhaseStuck {
		out = append(out, servingMeanwhile(s)...)
		out = append(out, wayOut(s))
	}
	if s.Ended() {
		out = append(out, endLines(s)...)
	}
	return out
}

// servingMeanwhile says what the journal knows to have traffic while a deploy is held.
func servingMeanwhile(s State) []string {
	switch {
	case s.Plan == nil:
		return nil
	case s.Plan.Rolls():
		return spread(s)
	}
	return []string{servingSlot(s)}
}

func servingSlot(s State) string {
	backDone := false
	if s.Undo != nil {
		for i, st := range s.Undo.Steps {
			backDone = backDone || st.Op == OpRoute && s.UndoOutcomes.At(i).Done
		}
	}
	switch {
	case backDone, !Moved(s):
		return serving(Report{Serving: s.Plan.Old, Slot: s.Plan.OldSlot})
	case s.Committed():
		return serving(Report{Serving: s.Artifact(s.Plan.Release), Slot: s.Plan.Slot})
	}
	return "it is not certain what is serving now: the switch was under way"
}

// reason says in one line why the deploy is not simply going on.
func reason(s State) string {
	switch {
	case s.Stuck != nil:
		return where(s.Stuck) + MessageOf(s.Stuck)
	case s.Cancel != nil && s.Why == RolledBack:
		return "rolled back by " + s.Cancel.String()
	case s.Cancel != nil:
		return strings.TrimSpace("cancelled by " + s.Cancel.String() + " " + s.Why)
	case s.Pause != nil && s.Phase == PhasePaused:
		return fmt.Sprintf("paused by %s: `resume %s` goes on, `cancel %s` goes back", s.Pause, s.ID, s.ID)
	case s.Pause != nil && !s.Ended():
		return fmt.Sprintf("%s asked to pause: that is done before the next hosts or the switch", s.Pause)
	case s.Abandon != nil:
		return strings.TrimSpace("abandoned by " + s.Abandon.String() + " " + s.Why)
	case s.Other != 0:
		return fmt.Sprintf("superseded by %s", s.Other)
	case s.Err != nil:
		return where(s.Err) + MessageOf(s.Err)
	}
	return ""
}

func where(e *Error) string {
	at := strings.TrimSpace(e.Op + " " + e.Subject)
	if at == "" {
		return ""
	}
	return at + ": "
}

func wayOut(s State) string {
	if s.Broken != nil {
		return fmt.Sprintf("`abandon %s \"why\"` records what is observed as live", s.ID)
	}
	if s.Undo != nil || s.Baked() {
		return fmt.Sprintf("`resume %s` looks again and goes on; `abandon %s \"why\"` records what is observed as live", s.ID, s.ID)
	}
	return fmt.Sprintf("`resume %s` looks again and goes on, `cancel %s` goes back; `abandon %s \"why\"` records what is observed as live", s.ID, s.ID, s.ID)
}

func endLines(s State) []string {
	if s.Request.Instant() {
		return instantLines(s)
	}
	var out []string
	if !s.Claimed.IsZero() {
		out = append(out, "took "+s.Last.Sub(s.Claimed).Round(10*time.Millisecond).String())
	}
	r := s.Report
	if r == nil {
		return out
	}
	out = append(out, traffic(s, *r)...)
	out = append(out, serving(*r))
	if r.Warm != nil {
		to := ""
		if s.Request.Want == WantRollback {
			to = " to " + r.Warm.Release.Commit.Short() // what was left is gone back to by name only
		}
		until := "while it runs"
		if !r.Warm.Until.IsZero() {
			until = "instant until " + r.Warm.Until.UTC().Format("15:04 UTC")
		}
		out = append(out, fmt.Sprintf("undo: `rollback %s %s%s` (%s)", s.Target.App, s.Target.Env, to, until))
	}
	if s.Plan != nil && s.Plan.Rolls() && s.Ending == Succeeded && s.Request.Want == WantDeploy && !s.Plan.Old.IsZero() && len(s.Plan.Steps) > 0 {
		out = append(out, fmt.Sprintf("undo: `rollback %s %s`", s.Target.App, s.Target.Env))
	}
	if pauses(s) {
		out = append(out, fmt.Sprintf("nothing is deployed automatically until `unlock %s %s`", s.Target.App, s.Target.Env))
	}
	return append(out, r.Notes...)
}

// traffic tells whether anybody can have noticed.
func traffic(s State, r Report) []string {
	switch {
	case s.Plan == nil || len(s.Plan.Steps) == 0:
		return nil
	case s.Plan.aboutHosts():
		if r.Measured != "" {
			return r.Lines()
		}
		return nil
	case Moved(s):
		return r.Lines()
	case s.Plan.Rolls():
		return []string{"the new release never had traffic"}
	case s.Request.Want != WantRetire && s.Request.Want != WantAccept && s.Request.Want != WantAdopt:
		return []string{"traffic never moved"}
	}
	return nil
}

// instantLines tell what a lock, unlock or alarm came to.
func instantLines(s State) []string {
	r := s.Request
	switch {
	case s.Ending != Succeeded:
		return nil
	case r.Want == WantAlarm:
		return []string{r.Reason}
	case r.Want == WantLock && r.For > 0:
		return []string{fmt.Sprintf("locked by %s until %s or `unlock %s %s`: %s", r.By, lockEnd(r.At.Add(r.For.D())), s.Target.App, s.Target.Env, r.Reason)}
	case r.Want == WantLock:
		return []string{fmt.Sprintf("locked by %s until `unlock %s %s`: %s", r.By, s.Target.App, s.Target.Env, r.Reason)}
	case r.Lock != 0:
		return []string{fmt.Sprintf("the time of lock %s is over", r.Lock)}
	}
	return []string{fmt.Sprintf("unlocked by %s", r.By)}
}

func lockEnd(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// pauses reports whether the end of the deploy holds automatic deploys back: a
// person went back to an earlier release.
func pauses(s State) bool {
	return s.Request.Want == WantRollback && s.Ending == Succeeded ||
		(s.Ending == Reverted || s.Ending == Cancelled) && s.Cancel != nil && s.Why == RolledBack
}

// Waits says what holds a request of the environment back from being claimed,
// besides its turn; empty: nothing does. A part of it may be hostile text.
func (l Live) Waits(r Request) string { return l.holds(r) }

func serving(r Report) string {
	if r.Serving.IsZero() {
		return "nothing is live"
	}
	c := r.Serving.Commit
	if r.Slot == Main {
		return strings.TrimSpace(fmt.Sprintf("serving now: %s %s", c.Short(), c.Title))
	}
	return strings.TrimSpace(fmt.Sprintf("serving now: %s on %s %s", c.Short(), r.Slot, c.Title))
}
