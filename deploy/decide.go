package deploy

// Act is what the engine does next with one deploy.
type Act string

// The acts. Each leads to at least one event, except ActWait and ActExit.
const (
	ActPlan    Act = "plan"    // observe and plan
	ActRun     Act = "run"     // run the step at Next of the plan in force
	ActUndo    Act = "undo"    // journal the way back, leading to Ending
	ActSkip    Act = "skip"    // journal that the deploy goes on without the hosts that failed
	ActHold    Act = "hold"    // journal that a person is needed, because of Err
	ActEnd     Act = "end"     // journal Ending
	ActAbandon Act = "abandon" // record what is observed and end
	ActWait    Act = "wait"    // until somebody appends an event
	ActExit    Act = "exit"    // it has ended
)

// Decision is one Act with its reason.
type Decision struct {
	Act    Act
	Ending Ending
	Err    *Error
}

// Decide is the whole policy of a running deploy: a pure function of its
// folded state. The engine does what it says, appends, folds and asks again.
func Decide(s State) Decision {
	switch {
	case s.Ended():
		return Decision{Act: ActExit}
	case s.Abandon != nil:
		return Decision{Act: ActAbandon, Ending: Abandoned}
	case s.Broken != nil:
		return Decision{Act: ActWait}
	case s.Stuck != nil:
		return decideStuck(s)
	case s.Plan == nil:
		return decideUnplanned(s)
	case s.Undo != nil:
		return decideUndo(s)
	}
	return decidePlan(s)
}

// decideStuck waits for a person; a cancel is the order to go back.
func decideStuck(s State) Decision {
	if s.Cancel == nil || s.Undo != nil || s.Baked() {
		return Decision{Act: ActWait}
	}
	if s.Plan == nil {
		return Decision{Act: ActEnd, Ending: Cancelled}
	}
	if !canGoBack(s) {
		return Decision{Act: ActWait}
	}
	return Decision{Act: ActUndo, Ending: undoEnding(s, Cancelled)}
}

func decideUnplanned(s State) Decision {
	if s.Cancel != nil {
		return Decision{Act: ActEnd, Ending: Cancelled}
	}
	return Decision{Act: ActPlan}
}

func decideUndo(s State) Decision {
	switch {
	case s.Next >= len(s.Undo.Steps):
		return Decision{Act: ActEnd, Ending: s.UndoTo, Err: s.Err}
	case s.UndoOutcomes.At(s.Next).Failed && s.Plan.Rolls() && toleratedBack(s):
		return Decision{Act: ActSkip, Err: s.Trouble}
	case s.UndoOutcomes.At(s.Next).Failed:
		return Decision{Act: ActHold, Err: s.Trouble}
	}
	return Decision{Act: ActRun}
}

func decidePlan(s State) Decision {
	failed := s.Next < s.Outcomes.Len() && s.Outcomes.At(s.Next).Failed
	switch {
	case failed && s.Baked() && s.Plan.Rolls() && onlyHosts(s):
		return Decision{Act: ActSkip, Err: s.Trouble}
	case failed && s.Baked():
		return Decision{Act: ActHold, Err: s.Trouble}
	case failed:
		return decideFailed(s)
	case s.Cancel != nil && !s.Baked():
		return decideCancel(s)
	case s.Next >= len(s.Plan.Steps):
		return Decision{Act: ActEnd, Ending: Succeeded}
	case s.pausesHere():
		return Decision{Act: ActWait}
	}
	return Decision{Act: ActRun}
}

// decideFailed judges a failed step of the plan before the end of bake.
func decideFailed(s State) Decision {
	why := s.Trouble
	if why == nil {
		why = &Error{Code: CodeHold, Message: "a step failed and its record does not say why"}
	}
	switch {
	case s.Request.Want == WantRetire:
		return Decision{Act: ActEnd, Ending: Failed, Err: why}
	case s.Plan.aboutHosts():
		return decideVerb(s, why)
	case why.Code == CodeHold:
		return Decision{Act: ActHold, Err: why}
	case s.Plan.Rolls():
		return decideHosts(s, why)
	case !canGoBack(s):
		return Decision{Act: ActHold, Err: why.hold("there is no earlier release to go back to")}
	case Moved(s) && s.Request.Want == WantRollback:
		return Decision{Act: ActHold, Err: why.hold("a rollback does not revert itself")}
	case s.Committed() && !s.Plan.Settings.AutoRevert && s.Cancel == nil:
		return Decision{Act: ActHold, Err: why.hold("auto_revert is off")}
	}
	return Decision{Act: ActUndo, Ending: undoEnding(s, Failed), Err: why}
}

func decideCancel(s State) Decision {
	if !canGoBack(s) {
		return Decision{Act: ActHold, Err: &Error{Code: CodeHold, Op: "cancel", Message: "there is no earlier release to go back to"}}
	}
	return Decision{Act: ActUndo, Ending: undoEnding(s, Cancelled)}
}

// canGoBack reports whether undoing leaves something serving: traffic never
// moved, or there is an old slot to move it back to, or, before the commit
// point of the very first release, nothing was ever live.
func canGoBack(s State) bool {
	if s.Plan.Rolls() {
		return rollsBack(s)
	}
	return !Moved(s) || s.Plan.OldSlot != "" || !s.Committed() && s.Plan.Old.IsZero()
}

// undoEnding is Reverted where the new release may have had traffic and the old
// one gets it back.
func undoEnding(s State, otherwise Ending) Ending {
	if Moved(s) && s.Plan.OldSlot != "" && s.Request.replaces() {
		return Reverted
	}
	return otherwise
}

// hold turns a failure into one that waits for a person, for a further reason.
func (e *Error) hold(reason string) *Error {
	return &Error{Code: CodeHold, Op: e.Op, Subject: e.Subject, Message: MessageOf(e) + "; " + reason, Log: e.Log}
}
