package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// appendAttempts bounds how often a command is decided anew because the deploy
// moved on meanwhile.
const appendAttempts = 20

// rollbackWhy marks a cancel that a rollback asked for; deploy.Describe tells it so.
const rollbackWhy = deploy.RolledBack

// recent is how many deploys of an environment are searched for the one that ended last.
const recent = 10

// control carries out cancel, pause, resume and abandon.
func (h *Handler) control(ctx context.Context, cmd deploy.Command, p Parsed) (Answer, error) {
	if a, ok, err := h.repeated(ctx, cmd.Key, p); ok || err != nil {
		return a, err
	}
	s, err := h.chosen(p)
	if err != nil {
		return Answer{}, err
	}
	return h.appendDecided(s, func(s deploy.State) (deploy.Event, error) { return controlEvent(s, cmd, p) })
}

// appendDecided appends what decide says of the newest state. An event without
// a kind means that there is nothing left to do; its text says so.
func (h *Handler) appendDecided(s deploy.State, decide func(deploy.State) (deploy.Event, error)) (Answer, error) {
	for range appendAttempts {
		ev, err := decide(s)
		if err != nil {
			return Answer{}, err
		}
		if ev.Kind == "" {
			return Answer{Text: ev.Text, Deploy: s.ID}, nil
		}
		err = h.Journal.Append(s.ID, s.N, ev)
		if err == nil {
			return controlAnswer(ev), nil
		}
		if deploy.CodeOf(err) != deploy.CodeConflict {
			return Answer{}, err
		}
		if s, err = h.Records.State(s.ID); err != nil {
			return Answer{}, err
		}
	}
	return Answer{}, &deploy.Error{Code: deploy.CodeConflict, Op: "command", Subject: s.ID.String(), Message: fmt.Sprintf("%s is moving too fast just now: type it again", s.ID)}
}

// controlEvent decides what a command means for a deploy as it stands.
func controlEvent(s deploy.State, cmd deploy.Command, p Parsed) (deploy.Event, error) {
	if s.Ending == deploy.Succeeded && s.Request.Want == deploy.WantLock {
		return deploy.Event{}, refused("%s is a lock: `unlock %s %s` ends it", s.ID, s.Target.App, s.Target.Env)
	}
	if s.Ended() {
		return deploy.Event{}, refused("%s has ended already: %s", s.ID, s.Ending)
	}
	ev := newEvent(s, cmd)
	switch p.Verb {
	case VerbCancel:
		return cancelEvent(s, ev)
	case VerbPause:
		return pauseEvent(s, ev)
	case VerbResume:
		return resumeEvent(s, ev)
	}
	ev.Kind, ev.Text = deploy.KindAbandon, p.Why
	return ev, onlyIf(s.Phase == deploy.PhaseStuck, "only a stuck deploy is abandoned, and %s is %s: `cancel %s` goes back in order", s.ID, s.Phase, s.ID)
}

func onlyIf(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return refused(format, args...)
}

// cancelEvent takes a waiting deploy back and asks a running one to go back.
func cancelEvent(s deploy.State, ev deploy.Event) (deploy.Event, error) {
	switch {
	case s.Phase == deploy.PhaseQueued:
		ev.Kind, ev.Ending = deploy.KindEnded, deploy.Cancelled
		ev.Err = &deploy.Error{Code: deploy.CodeCancelled, Message: fmt.Sprintf("cancelled by %s before it started", ev.By)}
		return ev, nil
	case s.Broken != nil:
		return ev, refused("the records of %s cannot be trusted, so nothing is undone: `abandon %s \"why\"` (admin) ends it", s.ID, s.ID)
	case s.Undo != nil || s.Cancel != nil:
		return deploy.Event{Text: fmt.Sprintf("%s is going back already", s.ID)}, nil
	case s.Baked():
		return ev, refused("%s is live for good and only cleans up: `rollback %s %s` goes back", s.ID, s.Target.App, s.Target.Env)
	case s.Committed() && s.Plan.OldSlot == "":
		return ev, refused("%s", noWayBack(s))
	}
	ev.Kind = deploy.KindCancel
	return ev, nil
}

// noWayBack says why a deploy without an old slot cannot be undone any more.
func noWayBack(s deploy.State) string {
	if s.Plan.Old.IsZero() {
		return fmt.Sprintf("%s is the first release here: there is no earlier one to go back to", s.ID)
	}
	return fmt.Sprintf("no process of an earlier release runs any more, so %s cannot go back: wait for its end, then `rollback %s %s` starts one again",
		s.ID, s.Target.App, s.Target.Env)
}

// newEvent starts an event by the asker. It carries the command's key, so that
// the same command is recognised when it is delivered again.
func newEvent(s deploy.State, cmd deploy.Command) deploy.Event {
	by := cmd.User
	return deploy.Event{
		Deploy: s.ID, Target: s.Target, At: time.Now().UTC(), V: deploy.EventVersion, By: &by,
		Request: &deploy.Request{App: s.Target.App, Env: s.Target.Env, By: by, Key: cmd.Key, Origin: cmd.Channel},
	}
}

// controlAnswer tells what an event of a person led to, from the event alone:
// a repeated command gets the same words.
func controlAnswer(ev deploy.Event) Answer {
	text := ""
	switch {
	case ev.Kind == deploy.KindEnded:
		text = fmt.Sprintf("%s cancelled: it had not started", ev.Deploy)
	case ev.Kind == deploy.KindCancel && ev.Text == rollbackWhy:
		text = fmt.Sprintf("%s is going back: %s was not for good yet, so the rollback is its revert", ev.Deploy, ev.Deploy)
	case ev.Kind == deploy.KindCancel:
		text = fmt.Sprintf("%s is being cancelled: what it changed is undone", ev.Deploy)
	case ev.Kind == deploy.KindPause:
		text = fmt.Sprintf("%s pauses %s: `resume %s` goes on, `cancel %s` goes back", ev.Deploy, ev.Text, ev.Deploy, ev.Deploy)
	case ev.Kind == deploy.KindResume && ev.Text == pauseOver:
		text = fmt.Sprintf("%s goes on: %s", ev.Deploy, pauseOver)
	case ev.Kind == deploy.KindResume:
		text = fmt.Sprintf("%s looks again and goes on", ev.Deploy)
	case ev.Kind == deploy.KindAbandon:
		text = fmt.Sprintf("%s is given up: what is observed now will be recorded as live", ev.Deploy)
	}
	return Answer{Text: text, Deploy: ev.Deploy}
}

// rollback reverts a deploy that is not live for good yet, else queues a request.
func (h *Handler) rollback(ctx context.Context, cfg Config, cmd deploy.Command, p Parsed) (Answer, error) {
	if a, ok, err := h.repeated(ctx, cmd.Key, p); ok || err != nil {
		return a, err
	}
	live, err := h.Records.Live(p.Target())
	if err != nil {
		return Answer{}, err
	}
	if live.Active == 0 {
		return h.submit(ctx, cfg, cmd, p)
	}
	s, err := h.Records.State(live.Active)
	if err != nil {
		return Answer{}, err
	}
	a, err := h.appendDecided(s, func(s deploy.State) (deploy.Event, error) { return revertEvent(s, cmd) })
	if err == nil && a.Text == "" {
		return h.submit(ctx, cfg, cmd, p)
	}
	return notThat(a, s, p), err
}

// revertEvent is the cancel that a rollback means for a deploy before the end
// of its bake; for any other, the empty event.
func revertEvent(s deploy.State, cmd deploy.Command) (deploy.Event, error) {
	if !s.Active() || s.Request.Want != deploy.WantDeploy || s.Baked() || s.Broken != nil {
		return deploy.Event{}, nil
	}
	ev, err := cancelEvent(s, newEvent(s, cmd))
	if ev.Kind != "" {
		ev.Text = rollbackWhy
	}
	return ev, err
}

// notThat tells a person who named a release that the revert goes to another one.
func notThat(a Answer, s deploy.State, p Parsed) Answer {
	if p.Release == "" || s.Plan == nil || strings.HasPrefix(s.Plan.Old.Commit.SHA, p.Release) || s.Plan.Old.Key() == p.Release {
		return a
	}
	a.Text += fmt.Sprintf(" to %s; for %s type `rollback %s %s to %s` when it has ended",
		s.Plan.Old.Commit.Short(), p.Release, s.Target.App, s.Target.Env, p.Release)
	return a
}

// repeated finds the event that a command with this very key left before.
func (h *Handler) repeated(ctx context.Context, key string, p Parsed) (Answer, bool, error) {
	candidates, err := h.candidates(p)
	if err != nil {
		return Answer{}, false, err
	}
	for _, s := range candidates {
		events, err := h.Journal.Events(ctx, s.ID, 0)
		if untold(err) != nil {
			return Answer{}, false, err
		}
		i := slices.IndexFunc(events, func(e deploy.Event) bool {
			return e.Kind != deploy.KindRequested && e.Request != nil && e.Request.Key == key
		})
		if i >= 0 {
			return notThat(controlAnswer(events[i]), s, p), true, nil
		}
	}
	return Answer{}, false, nil
}

// candidates are the deploys that a control command can be about: those that
// have not ended, and in each environment the one that ended last.
func (h *Handler) candidates(p Parsed) ([]deploy.State, error) {
	if p.ID != 0 {
		s, err := h.Records.State(p.ID)
		if deploy.CodeOf(err) == deploy.CodeNotFound {
			err = invalid("there is no deploy %s: `history` lists them", p.ID)
		}
		return []deploy.State{s}, err
	}
	var out []deploy.State
	for _, t := range p.Targets {
		past, err := h.Records.History(&t, 0, recent)
		if untold(err) != nil {
			return nil, err
		}
		past = where(past, deploy.State.Ended)
		if len(past) > 0 {
			out = append(out, slices.MaxFunc(past, func(a, b deploy.State) int { return a.Last.Compare(b.Last) }))
		}
	}
	open, err := h.underWay(p.Targets)
	return append(open, out...), err
}

// chosen is the one deploy that a command means.
func (h *Handler) chosen(p Parsed) (deploy.State, error) {
	if p.ID != 0 {
		return h.Records.State(p.ID)
	}
	open, err := h.open(p.Targets)
	if err != nil {
		return deploy.State{}, err
	}
	switch p.Verb {
	case VerbPause:
		open = slices.DeleteFunc(open, func(s deploy.State) bool { return !s.Active() })
	case VerbResume:
		open = slices.DeleteFunc(open, func(s deploy.State) bool { return !resumable(s) })
	}
	switch len(open) {
	case 0:
		return deploy.State{}, refused("there is nothing to %s%s", p.Verb, inScope(p.Targets))
	case 1:
		return open[0], nil
	}
	return deploy.State{}, whichOne(p.Verb, open)
}

func inScope(targets []deploy.Target) string {
	if len(targets) == 1 {
		return " in " + targets[0].String()
	}
	return ""
}

func whichOne(v Verb, open []deploy.State) error {
	var names []string
	for _, s := range open {
		names = append(names, fmt.Sprintf("%s (%s, %s)", s.ID, s.Target, s.Phase))
	}
	return invalid("which one: %s? For example: %s %s", listed(names), v, open[0].ID)
}

// open lists what people can cancel, pause or resume: running deploys and waiting ones.
func (h *Handler) open(targets []deploy.Target) ([]deploy.State, error) {
	out, err := h.underWay(targets)
	return slices.DeleteFunc(out, func(s deploy.State) bool { return s.Request.Housekeeping() && s.Phase != deploy.PhaseStuck }), err
}

// underWay lists what has not ended.
func (h *Handler) underWay(targets []deploy.Target) ([]deploy.State, error) {
	var out []deploy.State
	for _, t := range targets {
		live, err := h.Records.Live(t)
		if err != nil {
			return nil, err
		}
		if live.Active != 0 {
			s, err := h.Records.State(live.Active)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		waiting, err := h.Queue.Waiting(t)
		if untold(err) != nil {
			return nil, err
		}
		out = append(out, waiting...)
	}
	return out, nil
}
