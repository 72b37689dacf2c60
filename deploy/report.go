package deploy

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Conclude gives the report of a deploy that ends now: what serves, whether
// anybody noticed, and what the environment has to remember. live is the
// environment as it stands just before the end.
func Conclude(s State, live Live, ending Ending, now time.Time) Report {
	r := Report{Serving: live.Release, Slot: live.Slot}
	r.measure(s)
	if s.Plan == nil {
		return r
	}
	if r.Watched = s.Watched.silence(); r.Watched != nil {
		r.Watched.TwoVersions = Duration(twoVersions(s, now))
	}
	r.Notes = append(r.Notes, s.Plan.Notes...)
	r.Notes = append(r.Notes, drainNotes(s)...)
	if ending != Succeeded {
		r.Notes = append(r.Notes, migrationNotes(s)...)
	}
	if s.Plan.Rolls() {
		r.rolled(s, live, ending)
	}
	r.remember(s, ending, now)
	return r
}

func (r *Report) remember(s State, ending Ending, now time.Time) {
	plan := s.Plan
	rel := s.Artifact(plan.Release)
	if plan.aboutHosts() || plan.Rolls() && ending != Succeeded && rel.Key() == plan.Old.Key() {
		return // what is live is not given up because of one host
	}
	switch ending {
	case Succeeded:
		if len(plan.Steps) == 0 {
			return
		}
		r.Warm = leaseOf(*plan, now)
		if plan.Want == WantRollback && !plan.Old.IsZero() {
			r.Left = []Release{plan.Old}
		}
	case Reverted:
		r.Left = []Release{rel}
		r.blame(s, rel)
	case Failed:
		r.blame(s, rel)
	}
}

// leaseOf keeps the old slot warm; what was adopted runs as long as it likes.
func leaseOf(plan Plan, now time.Time) *Lease {
	switch {
	case plan.OldSlot == "", plan.Rolls():
		return nil
	case plan.Old.Adopted():
		return &Lease{Slot: plan.OldSlot, Release: plan.Old}
	case plan.Settings.BlueGreen.KeepOld > 0:
		return &Lease{Slot: plan.OldSlot, Release: plan.Old, Until: now.Add(plan.Settings.BlueGreen.KeepOld.D())}
	}
	return nil
}

// blame marks the release as failed if its own start, check or bake went
// wrong; what a host, a balancer or a person did is not held against it.
func (r *Report) blame(s State, rel Release) {
	if s.Err == nil {
		return
	}
	switch op := Op(s.Err.Op); {
	case s.Err.Code == CodeFailed && s.Err.Op == "smoke_test":
		r.Failed = []Release{rel}
	case s.Err.Code == CodeUnhealthy && (op == OpCheck || op == OpRoute || op == OpBake), s.Err.Code == CodeFailed && op == OpStart:
		r.Failed = []Release{rel}
	}
}

func drainNotes(s State) []string {
	var notes []string
	var busy []HostID // of a rolling plan
	plan, outcomes, _ := s.Current()
	for i, o := range outcomes.All() {
		if plan.Steps[i].Op == OpDrain && o.After.Note != "" && !plan.Rolls() {
			notes = append(notes, o.After.Note) // what the balancer had to close
		}
		switch step := plan.Steps[i]; {
		case step.Op == OpDrain && o.After.TimedOut && plan.Rolls():
			busy = append(busy, step.Hosts...)
		case step.Op == OpDrain && o.After.TimedOut:
			notes = append(notes, fmt.Sprintf("the %s slot still had work in flight when its drain time of %s was over", step.Slot, step.Hold))
		case step.Op == OpIdle && o.After.TimedOut:
			notes = append(notes, fmt.Sprintf("the %s slot still had background work when its time of %s was over", step.Slot, step.Hold))
		}
	}
	if len(busy) > 0 {
		notes = append(notes, fmt.Sprintf("%s still had work in flight when the drain time of %s was over", someOf(busy), plan.Settings.DrainTimeout))
	}
	return notes
}

// migrationNotes tell what ran and is not undone.
func migrationNotes(s State) []string {
	for i, st := range s.Plan.Steps {
		o := s.Outcomes.At(i)
		switch {
		case st.Hook != "migrate" || o.Attempts == 0:
		case o.Done:
			return []string{fmt.Sprintf("migrate of %s ran to its end; it is not undone, so the schema is the new one", st.Release.Commit.Short())}
		default:
			return []string{fmt.Sprintf("migrate of %s was started %d times and did not end well; nothing was switched, and what it did is not undone", st.Release.Commit.Short(), o.Attempts)}
		}
	}
	return nil
}

// measure sums what the balancer counted and what the front door's probes saw.
func (r *Report) measure(s State) {
	var by []string
	first, last := trafficSpan(s)
	if first != nil && last != nil {
		by = append(by, "proxy")
		r.addCounters(first.Counters, last.Counters)
	}
	if probes := probeSum(s); probes.Requests > 0 {
		by = append(by, "verify")
		if first == nil {
			r.Requests, r.Failures = probes.Requests, probes.Failures
		} else { // the probes are among the requests that the proxy counted, unless they never came there
			r.Failures = max(r.Failures, min(probes.Failures, probes.unanswered()))
		}
	}
	r.Measured = strings.Join(by, " and ")
}

// trafficSpan gives the first and the last measured view of real traffic.
func trafficSpan(s State) (first, last *Traffic) {
	for _, e := range evidences(s) {
		if e.Traffic == nil || !e.Traffic.Measured {
			continue
		}
		if first == nil {
			first = e.Traffic
		}
		last = e.Traffic
	}
	if first == last {
		return nil, nil
	}
	return first, last
}

func (r *Report) addCounters(from, to map[string]Counter) {
	for addr, c := range to {
		base := from[addr]
		if c.Requests < base.Requests {
			base = Counter{} // the balancer started anew and counts from zero
		}
		r.Requests += c.Requests - base.Requests
		r.Failures += c.Failures - min(base.Failures, c.Failures)
		r.Errors5 += c.Errors5 - min(base.Errors5, c.Errors5)
	}
}

// probeSum adds the probes of steps to those of the watch.
func probeSum(s State) Tally {
	sum := s.Watched.probed()
	for _, e := range evidences(s) {
		if e.Probe != nil {
			sum.Requests += uint64(e.Probe.Requests)
			sum.Failures += uint64(e.Probe.Failures)
		}
	}
	return sum
}

// twoVersions is for how long the old and the new release both answered users:
// in many hosts from the first one's return to the last one's; of two slots while
// the balancer was changed, and while what one had begun was waited for.
func twoVersions(s State, now time.Time) time.Duration {
	if !Moved(s) || s.Plan.Old.IsZero() || s.Plan.Old.Key() == s.Plan.Release.Key() {
		return 0
	}
	var sum time.Duration
	var from, to time.Time
	for _, way := range []struct {
		plan     *Plan
		outcomes Outcomes
	}{{s.Plan, s.Outcomes}, {s.Undo, s.UndoOutcomes}} {
		for i, o := range way.outcomes.All() {
			if o.Attempts == 0 {
				continue
			}
			ended := o.Ended
			if ended.IsZero() {
				ended = now
			}
			switch way.plan.Steps[i].Op {
			case OpIn:
				if to = later(to, ended); from.IsZero() {
					from = o.Started
				}
			case OpRoute, OpDrain:
				sum += ended.Sub(o.Started)
			}
		}
	}
	if s.Plan.Rolls() {
		return to.Sub(from)
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// evidences gives every record of the deploy in the order in which it was made.
func evidences(s State) []Evidence {
	var out []Evidence
	for _, list := range []Outcomes{s.Outcomes, s.UndoOutcomes} {
		for _, o := range list.All() {
			out = append(out, o.Before, o.After)
		}
	}
	return out
}

// Silence gives the report's line about whether anybody noticed.
func (r Report) Silence() string {
	if r.Measured == "" {
		return "silence not measured (set verify, or use the built-in proxy)"
	}
	line := fmt.Sprintf("%s of %s requests failed (%s)", thousands(r.Failures), thousands(r.Requests), r.Measured)
	if r.Errors5 > 0 {
		line += fmt.Sprintf(", %s answered 5xx by the app", thousands(r.Errors5))
	}
	return line
}

// Lines gives the report's lines about what users could have noticed, the
// first of them Silence.
func (r Report) Lines() []string {
	lines := []string{r.Silence()}
	w := r.Watched
	if w == nil {
		return lines
	}
	if parts := w.Parts(); len(parts) > 0 {
		lines = append(lines, fmt.Sprintf("p50/p99 in ms: %s before, %s during, %s after; two versions for %s",
			parts[Before].text(), parts[During].text(), parts[After].text(), w.TwoVersions.D().Round(100*time.Millisecond)))
	}
	if len(w.Kinds) > 0 {
		lines = append(lines, fmt.Sprintf("probes that failed: %s", kindsText(w.Kinds)))
	}
	for _, g := range w.Gaps[:min(len(w.Gaps), gapLines)] {
		lines = append(lines, fmt.Sprintf("nobody watched for %s from %s on, because the bot was away", g.To.Sub(g.From).Round(100*time.Millisecond), g.From.UTC().Format("15:04:05 UTC")))
	}
	if more := len(w.Gaps) - gapLines; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more times", more))
	}
	return lines
}

// gapLines is how many gaps a message tells one by one.
const gapLines = 3

// text gives p50/p99 in milliseconds; a dash where nothing was asked.
func (q Quantiles) text() string {
	if q.Requests == 0 {
		return "–"
	}
	ms := func(d Duration) string {
		return strconv.FormatFloat(math.Round(float64(d.D().Microseconds())/100)/10, 'f', -1, 64)
	}
	return ms(q.P50) + "/" + ms(q.P99)
}

// kindsText gives "refused 3, timeout 1".
func kindsText(kinds map[string]uint64) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, fmt.Sprintf("%s %d", k, kinds[k]))
	}
	return strings.Join(out, ", ")
}

func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// AlarmText says that what is live fails its users, and the way back where there
// is one.
func AlarmText(l Live, why string, now time.Time) string {
	what := fmt.Sprintf("%s on %s, live since %s: %s", l.Release.Commit.Short(), l.Slot, l.Deploy, why)
	switch back := slices.ContainsFunc(l.Good, func(p Past) bool { return p.Release.Key() != l.Release.Key() }); {
	case !back:
		return fmt.Sprintf("%s; there is no earlier release to go back to", what)
	case l.Warm == nil || !l.Warm.Until.After(now):
		return fmt.Sprintf("%s; `rollback %s %s` goes back", what, l.Target.App, l.Target.Env)
	}
	return fmt.Sprintf("%s; `rollback %s %s` goes back (instant until %s)", what, l.Target.App, l.Target.Env, l.Warm.Until.UTC().Format("15:04 UTC"))
}
