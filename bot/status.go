package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Overview is one environment as status shows it.
type Overview struct {
	Live    deploy.Live    `json:"live"`
	Active  *deploy.State  `json:"active,omitempty"`
	Waiting []deploy.State `json:"waiting,omitempty"`
	Damaged bool           `json:"damaged,omitempty"` // some records cannot be read and are missing here

	hosts []deploy.Host // as configured
}

func (h *Handler) status(cfg Config, targets []deploy.Target) (Answer, error) {
	all, err := h.overviews(cfg, targets)
	return Answer{Text: overviewsText(all, time.Now())}, err
}

func overviewsText(all []Overview, now time.Time) string {
	parts := make([]string, len(all))
	for i, o := range all {
		parts[i] = statusText(o, now)
	}
	return strings.Join(parts, "\n\n")
}

func (h *Handler) overviews(cfg Config, targets []deploy.Target) ([]Overview, error) {
	out := make([]Overview, len(targets))
	for i, t := range targets {
		var err error
		if out[i], err = h.overview(t); err != nil {
			return nil, err
		}
		out[i].hosts = cfg.environment(t).Hosts
	}
	return out, nil
}

// overview collects what is known of an environment; what cannot be read is
// left out and marked, so that it hides nothing else.
func (h *Handler) overview(t deploy.Target) (Overview, error) {
	live, err := h.Records.Live(t)
	live.Target = t
	o := Overview{Live: live, Damaged: err != nil}
	if untold(err) != nil {
		return o, err
	}
	if live.Active != 0 {
		s, err := h.Records.State(live.Active)
		if untold(err) != nil {
			return o, err
		}
		s.ID = live.Active
		o.Active, o.Damaged = &s, o.Damaged || err != nil
	}
	o.Waiting, err = h.Queue.Waiting(t)
	o.Live, o.Damaged = standing(o.Live, o.Waiting), o.Damaged || err != nil
	return o, untold(err)
}

// untold passes every error but deploy.CodeDamaged of single records: what came
// besides is right, and one bad record must not hide it.
func untold(err error) error {
	if deploy.CodeOf(err) == deploy.CodeDamaged {
		return nil
	}
	return err
}

// statusText is what a person wants to know of an environment, in lines.
func statusText(o Overview, now time.Time) string {
	lines := []string{fmt.Sprintf("%s → %s", o.Live.Target.App, o.Live.Target.Env), "  " + liveLine(o.Live, now)}
	if w := o.Live.Warm; w != nil && w.Until.After(now) {
		lines = append(lines, fmt.Sprintf("  warm: %s keeps %s until %s: a rollback is instant", w.Slot, commitText(w.Release.Commit), clock(w.Until)))
	}
	for _, l := range append(fleetLines(o, now), lockLines(o.Live, now)...) {
		lines = append(lines, "  "+l)
	}
	if o.Active != nil {
		lines = append(lines, activeLines(*o.Active)...)
	}
	for i, s := range o.Waiting {
		lines = append(lines, fmt.Sprintf("  queue %d: %s", i+1, wishText(s)))
	}
	if o.Damaged {
		lines = append(lines, "  "+damagedLine)
	}
	return strings.Join(lines, "\n")
}

func liveLine(l deploy.Live, now time.Time) string {
	if l.Release.IsZero() {
		return "live: nothing yet"
	}
	if l.Slot == deploy.Main {
		return fmt.Sprintf("live: %s since %s (%s) by %s, %s", commitText(l.Release.Commit), clock(l.Since), ago(now.Sub(l.Since)), actorText(l.By), l.Deploy)
	}
	return fmt.Sprintf("live: %s on %s since %s (%s) by %s, %s",
		commitText(l.Release.Commit), l.Slot, clock(l.Since), ago(now.Sub(l.Since)), actorText(l.By), l.Deploy)
}

// activeLines tell of the deploy that holds the environment, and what to type.
func activeLines(s deploy.State) []string {
	m := deploy.Describe(s)
	lines := []string{fmt.Sprintf("  now: %s %s%s", wishText(s), m.Status, doing(m))}
	if s.Phase != deploy.PhaseStuck && s.Pause == nil {
		return lines
	}
	for _, l := range m.Lines {
		lines = append(lines, "    "+hostile.Line(l, 500))
	}
	return lines
}

// doing names the step at work: ", step 4 of 12: start green".
func doing(m deploy.Message) string {
	i := slices.IndexFunc(m.Steps, func(k deploy.Mark) bool { return k.State == "doing" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf(", step %d of %d: %s", i+1, len(m.Steps), hostile.Line(m.Steps[i].Label, maxLine))
}

// wishText is a request in a few words: "#142 deploy main 4f2a91c Fix it by alice".
func wishText(s deploy.State) string {
	parts := []string{s.ID.String(), string(s.Request.Want)}
	if s.Request.Ref != "" {
		parts = append(parts, hostile.Line(s.Request.Ref, 60))
	}
	if hosts := s.Request.Hosts; len(hosts) > 0 {
		parts = append(parts, someHosts(hosts))
	} else if c := commitText(shown(s)); c != "" {
		parts = append(parts, c)
	}
	return strings.Join(append(parts, "by "+actorText(s.Request.By)), " ") + aboutLock(s.Request) + aboutRest(s.Request)
}

// aboutRest names the hosts that a request leaves as they are.
func aboutRest(r deploy.Request) string {
	if len(r.Without) == 0 {
		return ""
	}
	return ", without " + someHosts(r.Without)
}

// aboutLock is what a lock, unlock or alarm is about, after its wish: " until …: reason".
func aboutLock(r deploy.Request) string {
	text := ""
	switch {
	case r.Want == deploy.WantUnlock && r.Lock != 0:
		text = fmt.Sprintf(", the time of %s is over", r.Lock)
	case r.Want == deploy.WantLock && r.For > 0:
		text = fmt.Sprintf(" until %s: %s", clock(r.At.Add(r.For.D())), hostile.Line(r.Reason, maxReason))
	case r.Want == deploy.WantLock, r.Want == deploy.WantAlarm:
		text = ": " + hostile.Line(r.Reason, maxReason)
	}
	return text
}

// shown is the commit that a deploy is about.
func shown(s deploy.State) deploy.Commit {
	if s.Commit.SHA == "" && s.Plan != nil && s.Request.Want != deploy.WantDrill {
		return s.Plan.Release.Commit
	}
	return s.Commit
}

// damagedLine tells of records that cannot be read.
const damagedLine = "some records cannot be read and are missing here: the server's log names them"

// queuedText acknowledges a request by the request alone, so that a repeated
// delivery gets the same words.
func queuedText(cfg Config, id deploy.ID, r deploy.Request) string {
	switch {
	case r.Want == deploy.WantLock && r.For > 0:
		return fmt.Sprintf("%s locks %s → %s until %s: %s\n`unlock %s %s` ends it", id, r.App, r.Env, clock(r.At.Add(r.For.D())), hostile.Line(r.Reason, maxReason), r.App, r.Env)
	case r.Want == deploy.WantLock:
		return fmt.Sprintf("%s locks %s → %s: %s\n`unlock %s %s` ends it", id, r.App, r.Env, hostile.Line(r.Reason, maxReason), r.App, r.Env)
	case r.Want == deploy.WantUnlock:
		return fmt.Sprintf("%s unlocks %s → %s: what waits goes on", id, r.App, r.Env)
	}
	text := fmt.Sprintf("%s queued: %s. `cancel %s` takes it back", id, whatText(cfg, r), id)
	if len(r.Without) > 0 {
		text += "\n" + fmt.Sprintf("left as they are: %s", someHosts(r.Without))
	}
	return text
}

// whatText is "shop → production main".
func whatText(cfg Config, r deploy.Request) string {
	place := r.App + " → " + r.Env
	switch {
	case r.Want == deploy.WantRollback && r.Release != "":
		return "rollback of " + place + " to " + r.Release
	case r.Want == deploy.WantRollback:
		return "rollback of " + place
	case r.Want == deploy.WantAccept:
		return "accept the balancer's file of " + place
	case r.Want == deploy.WantAdopt:
		return "adopt what runs in " + place
	case r.Want == deploy.WantDrill, r.Want == deploy.WantRestart && len(r.Hosts) == 0:
		return fmt.Sprintf("%s of %s", r.Want, place)
	case len(r.Hosts) > 0:
		return fmt.Sprintf("%s %s of %s", r.Want, someHosts(r.Hosts), place)
	case r.Ref != "":
		return place + " " + hostile.Line(r.Ref, 60)
	}
	e := cfg.environment(r.Target())
	return strings.TrimSpace(place + " " + e.Branch)
}

// commitText is "4f2a91c Fix the basket"; empty for no commit.
func commitText(c deploy.Commit) string {
	return strings.TrimSpace(hostile.Line(c.Short()+" "+c.Title, 72))
}

func actorText(a deploy.Actor) string { return hostile.Line(a.String(), 60) }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// ago rounds a duration to what a person wants to know.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
