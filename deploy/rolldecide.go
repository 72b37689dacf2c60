package deploy

import (
	"fmt"
	"slices"
)

// decideHosts judges a failed step of a rolling plan: what a host did wrong is
// left behind within bounds, what the release did wrong is answered as configured.
func decideHosts(s State, why *Error) Decision {
	failures := s.Outcomes.At(s.Next).After.Failures
	r := s.Plan.Settings.Rolling
	room := len(s.Skipped)+len(failures) <= r.MaxFailedHosts && s.remain(failures) && s.Plan.Steps[s.Next].Hook != "migrate"
	switch {
	case departed(s, failures):
		return Decision{Act: ActSkip, Err: why}
	case untouched(s) && !(room && onlyHosts(s)):
		return Decision{Act: ActUndo, Ending: Failed, Err: why}
	case onlyHosts(s) && room:
		return Decision{Act: ActSkip, Err: why}
	case onlyHosts(s):
		return Decision{Act: ActHold, Err: why.hold(fmt.Sprintf("max_failed_hosts is %d", r.MaxFailedHosts))}
	case len(failures) > 0 && r.OnHostFailure == OnFailureSkip && room:
		return Decision{Act: ActSkip, Err: why}
	case len(failures) > 0 && r.OnHostFailure == OnFailureSkip:
		return Decision{Act: ActHold, Err: why.hold(fmt.Sprintf("max_failed_hosts is %d", r.MaxFailedHosts))}
	case r.OnHostFailure == OnFailureStop:
		return Decision{Act: ActHold, Err: why.hold("on_host_failure is stop")}
	case !canGoBack(s):
		return Decision{Act: ActHold, Err: why.hold("there is no earlier release to go back to")}
	case Moved(s) && s.Request.Want == WantRollback:
		return Decision{Act: ActHold, Err: why.hold("a rollback does not revert itself")}
	case !s.Plan.Settings.AutoRevert && s.Cancel == nil:
		return Decision{Act: ActHold, Err: why.hold("auto_revert is off")}
	}
	return Decision{Act: ActUndo, Ending: undoEnding(s, Failed), Err: why}
}

// remain reports whether any host that the plan is about is left without those
// that failed.
func (s State) remain(failures []HostFailure) bool {
	for _, m := range s.Plan.Fleet {
		failed := slices.ContainsFunc(failures, func(f HostFailure) bool { return f.Host == m.Host })
		if !failed && !s.Behind(m.Host) {
			return true
		}
	}
	return len(s.Plan.Fleet) == 0
}

// decideVerb: what was asked for by name and failed is not tried the other way
// round. Where a host is out of traffic that should not be, a person is needed.
func decideVerb(s State, why *Error) Decision {
	if s.Request.Want != WantRestart && s.Request.Want != WantDrill || untouched(s) {
		return Decision{Act: ActEnd, Ending: Failed, Err: why}
	}
	return Decision{Act: ActHold, Err: why}
}

// replaces reports whether the request brings a release.
func (r Request) replaces() bool { return r.Want == WantDeploy || r.Want == WantRollback }

// untouched reports whether no host was taken out of traffic yet.
func untouched(s State) bool {
	return !slices.ContainsFunc(trail(s), func(t touched) bool { return t.left })
}

// departed reports whether a step failed because of hosts only that are in the
// configuration no more: they are told, and stop nothing.
func departed(s State, failures []HostFailure) bool {
	gone := func(f HostFailure) bool {
		return slices.ContainsFunc(s.Plan.Settings.Gone, func(h Host) bool { return h.ID == f.Host })
	}
	for _, f := range failures {
		if !gone(f) {
			return false
		}
	}
	return len(failures) > 0
}

// onlyHosts reports whether the step at Next failed because of hosts, and not
// because of the release: they are not reached, refuse us, or have no room.
func onlyHosts(s State) bool {
	plan, outcomes, _ := s.Current()
	op, failures := plan.Steps[s.Next].Op, outcomes.At(s.Next).After.Failures
	if len(failures) == 0 {
		return false
	}
	for _, f := range failures {
		if byRelease(op, f.Err) {
			return false
		}
	}
	return true
}

// byRelease reports whether a failure on a host is the release's own: it did not
// start, or what started fails its check.
func byRelease(op Op, e *Error) bool {
	switch {
	case e == nil:
		return false
	case e.Code == CodeUnhealthy:
		return true
	case op == OpStart:
		return e.Code == CodeFailed || e.Code == CodeInvalid || e.Code == CodeForeign
	case op == OpHook || op == OpIdle:
		return e.Code != CodeUnavailable && e.Code != CodeRefused
	}
	return false
}

// toleratedBack reports whether the way back goes on without the hosts that
// failed: they cannot be reached, or they were not serving before either.
func toleratedBack(s State) bool {
	failures := s.UndoOutcomes.At(s.Next).After.Failures
	if len(failures) == 0 {
		return false
	}
	served := map[HostID]bool{}
	for _, m := range s.Plan.Fleet {
		served[m.Host] = m.Served
	}
	for _, f := range failures {
		if served[f.Host] && !unreached(f.Err) {
			return false
		}
	}
	return true
}

// unreached reports whether nothing could be asked of the host.
func unreached(e *Error) bool {
	return e != nil && (e.Code == CodeUnavailable || e.Code == CodeTimeout || e.Code == CodeRefused)
}
