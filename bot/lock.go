package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// lock locks an environment, in the place of the lock that it may have.
func (h *Handler) lock(ctx context.Context, cfg Config, cmd deploy.Command, p Parsed) (Answer, error) {
	before, err := h.standingIn(p.Target())
	if err != nil {
		return Answer{}, err
	}
	s, err := h.accepted(ctx, cmd, p)
	if err != nil {
		return Answer{}, err
	}
	text := queuedText(cfg, s.ID, s.Request)
	if k := before.Lock; k != nil && k.Deploy < s.ID && s.Request.Want == deploy.WantLock {
		text += "\n" + fmt.Sprintf("it replaces the lock of %s, %s: %s", actorText(k.By), k.Deploy, hostile.Line(k.Reason, maxReason))
	}
	return Answer{Text: text, Deploy: s.ID}, nil
}

// unlock ends the lock and the pause of an environment; where there is neither
// it says so and asks for nothing.
func (h *Handler) unlock(ctx context.Context, cfg Config, cmd deploy.Command, p Parsed) (Answer, error) {
	if s, ok, err := h.submitted(p.Target(), cmd.Key); ok || err != nil {
		return Answer{Text: queuedText(cfg, s.ID, s.Request), Deploy: s.ID}, err
	}
	before, err := h.standingIn(p.Target())
	if err != nil {
		return Answer{}, err
	}
	if before.Lock == nil && before.Paused == nil {
		return Answer{Text: fmt.Sprintf("%s → %s is not locked: there is nothing to unlock", p.Target().App, p.Target().Env)}, nil
	}
	s, err := h.accepted(ctx, cmd, p)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Text: queuedText(cfg, s.ID, s.Request) + wasText(before), Deploy: s.ID}, nil
}

// wasText tells what an unlock ends.
func wasText(l deploy.Live) string {
	text := ""
	if k := l.Lock; k != nil {
		text += "\n" + fmt.Sprintf("it was locked by %s with %s: %s", actorText(k.By), k.Deploy, hostile.Line(k.Reason, maxReason))
	}
	if k := l.Paused; k != nil {
		text += "\n" + fmt.Sprintf("it was paused: %s had rolled back with %s", actorText(k.By), k.Deploy)
	}
	return text
}

// submitted finds the recent request that a command with this very key made.
func (h *Handler) submitted(t deploy.Target, key string) (deploy.State, bool, error) {
	all, err := h.Records.History(&t, 0, recent)
	i := slices.IndexFunc(all, func(s deploy.State) bool { return s.Request.Key == key })
	if i < 0 {
		return deploy.State{}, false, untold(err)
	}
	return all[i], true, nil
}

// standingIn is the environment as standing gives it.
func (h *Handler) standingIn(t deploy.Target) (deploy.Live, error) {
	live, err := h.Records.Live(t)
	if err != nil {
		return live, err
	}
	live.Target = t
	waiting, err := h.Queue.Waiting(t)
	return standing(live, waiting), untold(err)
}

// standing is an environment with the locks and unlocks that wait: each is in
// force before anything else is claimed.
func standing(l deploy.Live, waiting []deploy.State) deploy.Live {
	for _, s := range waiting {
		if s.Request.Instant() && s.Broken == nil {
			ended := deploy.Event{Deploy: s.ID, Target: s.Target, At: s.Last, Seq: l.Seq, Kind: deploy.KindEnded, Ending: deploy.Succeeded}
			folded := deploy.FoldEnv(l, s, ended)
			l.Lock, l.Paused = folded.Lock, folded.Paused
		}
	}
	return l
}

// obstacles says what holds a deploy back, and how to pass; nothing where the
// environment cannot be read.
func (h *Handler) obstacles(r deploy.Request) []string {
	if r.Want != deploy.WantDeploy {
		return nil
	}
	live, err := h.standingIn(r.Target())
	if err != nil {
		return nil
	}
	var out []string
	if why := live.Waits(r); why != "" {
		out = append(out, hostile.Line(why, maxLine), "an admin passes the lock with `--force \"why\"`")
	} else if k := live.Lock; k != nil {
		out = append(out, fmt.Sprintf("--force passes the lock of %s: %s", actorText(k.By), hostile.Line(k.Reason, maxReason)))
	}
	if live.Paused != nil && !r.Auto {
		out = append(out, fmt.Sprintf("automatic deploys stay paused until `unlock %s %s`", r.App, r.Env))
	}
	return out
}

// locks lists what is locked or paused.
func (h *Handler) locks(cfg Config, targets []deploy.Target) (Answer, error) {
	all, err := h.overviews(cfg, targets)
	return Answer{Text: locksText(all, time.Now())}, err
}

func locksText(all []Overview, now time.Time) string {
	var parts []string
	damaged := false
	for _, o := range all {
		damaged = damaged || o.Damaged
		if lines := lockLines(o.Live, now); len(lines) > 0 {
			place := fmt.Sprintf("%s → %s", o.Live.Target.App, o.Live.Target.Env)
			parts = append(parts, strings.Join(append([]string{place}, append(lines, waitLine(o))...), "\n  "))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing is locked"}
	}
	if damaged {
		parts = append(parts, damagedLine)
	}
	return strings.Join(parts, "\n\n")
}

// lockLines tell who holds an environment back, since when and until when.
func lockLines(l deploy.Live, now time.Time) []string {
	var out []string
	if k := l.Lock; k != nil {
		out = append(out, lockLine(*k, now))
	}
	if k := l.Paused; k != nil {
		out = append(out, fmt.Sprintf("paused since %s (%s): %s rolled back with %s, so nothing is deployed automatically until `unlock %s %s`",
			clock(k.At), ago(now.Sub(k.At)), actorText(k.By), k.Deploy, l.Target.App, l.Target.Env))
	}
	return out
}

func lockLine(k deploy.Lock, now time.Time) string {
	since, reason := clock(k.At), hostile.Line(k.Reason, maxReason)
	if k.Until.IsZero() {
		return fmt.Sprintf("locked by %s since %s (%s), %s: %s", actorText(k.By), since, ago(now.Sub(k.At)), k.Deploy, reason)
	}
	return fmt.Sprintf("locked by %s since %s (%s) until %s, %s: %s", actorText(k.By), since, ago(now.Sub(k.At)), clock(k.Until), k.Deploy, reason)
}

// waitLine counts the deploys that a lock or a pause holds back.
func waitLine(o Overview) string {
	n := 0
	for _, s := range o.Waiting {
		if o.Live.Waits(s.Request) != "" {
			n++
		}
	}
	switch n {
	case 0:
		return "no deploy waits"
	case 1:
		return "1 deploy waits"
	}
	return fmt.Sprintf("%d deploys wait", n)
}
