package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Intake takes requests in.
type Intake interface {
	// Submit makes the request durable before it returns, exactly once by its
	// Key; a Key that was seen gives the first one's ID and fresh false.
	Submit(ctx context.Context, r deploy.Request) (id deploy.ID, fresh bool, err error)
}

// Records are the folded states.
type Records interface {
	// State gives one deploy; deploy.CodeNotFound for an unknown number.
	State(id deploy.ID) (deploy.State, error)
	// Live gives an environment; the zero Live for one without a deploy.
	Live(t deploy.Target) (deploy.Live, error)
	// History lists deploys with numbers below before (0: all), newest first, at
	// most limit; those of every environment for a nil t.
	History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error)
}

// Queue tells what was not claimed yet.
type Queue interface {
	// Waiting lists the unclaimed deploys of an environment in turn.
	Waiting(t deploy.Target) ([]deploy.State, error)
}

// Journal holds the events of single deploys.
type Journal interface {
	// Events returns the events with N > afterN; it blocks while there is none.
	Events(ctx context.Context, id deploy.ID, afterN uint64) ([]deploy.Event, error)
	// Append makes ev the event afterN+1, durable when it returns;
	// deploy.CodeConflict if the deploy moved on.
	Append(id deploy.ID, afterN uint64, ev deploy.Event) error
}

// Planner plans without doing: it observes, so it may take a minute.
type Planner interface {
	Plan(ctx context.Context, r deploy.Request) (deploy.Plan, error)
}

// Handler turns commands of people into requests and control events. All
// fields must be set; then it may be used by several goroutines at once.
type Handler struct {
	Config  func() Config // the snapshot in force; called once a command
	Intake  Intake
	Records Records
	Queue   Queue
	Journal Journal
	Planner Planner
}

// Answer is what the asker is told.
type Answer struct {
	Text   string      // plain text without control characters but line feeds
	Deploy deploy.ID   // the deploy it is about, where there is one
	Code   deploy.Code // empty: understood and done
	Verb   Verb        // what the command asks for; empty where it was not understood
	// Later, where set, is slow work that yields the final answer; Text is to be
	// shown meanwhile. Nothing is lost if it is never called.
	Later func(ctx context.Context) Answer
}

// Handle understands, authorises and carries out one command; what the command
// changed is durable when it returns. A command whose Key was carried out
// before changes nothing and gets the first one's deploy. It never waits for a
// deploy.
func (h *Handler) Handle(ctx context.Context, cmd deploy.Command) Answer {
	if cmd.Key == "" {
		cmd.Key = "once:" + rand.Text()
	}
	cmd.User.Name = hostile.Line(cmd.User.Name, 60)
	cfg := h.Config()
	p, err := understand(cfg, cmd)
	var a Answer
	if err == nil {
		a, err = h.do(ctx, cfg, cmd, p)
	}
	if err != nil {
		a = answerError(err)
	}
	a.Verb = p.Verb
	return a
}

// understand reads the command and asks for the right to it; after a refusal it
// still tells the verb.
func understand(cfg Config, cmd deploy.Command) (Parsed, error) {
	// A stranger is not told which apps there are.
	if err := Authorize(cfg, cmd.User, string(VerbHelp)); err != nil {
		return Parsed{}, err
	}
	p, err := Parse(cmd.Text, cfg.scope(cmd.Channel))
	if err != nil {
		return Parsed{Verb: p.Verb}, err
	}
	return p, authorizeParsed(cfg, cmd.User, p)
}

// authorizeParsed: a plan with --force only shows, so it needs no more than a plan.
func authorizeParsed(cfg Config, by deploy.Actor, p Parsed) error {
	if err := Authorize(cfg, by, string(p.Verb)); err != nil || p.Force == "" || p.Verb == VerbPlan {
		return err
	}
	return Authorize(cfg, by, string(VerbForce))
}

func (h *Handler) do(ctx context.Context, cfg Config, cmd deploy.Command, p Parsed) (Answer, error) {
	switch p.Verb {
	case VerbDeploy, VerbAccept, VerbAdopt, VerbStart, VerbStop, VerbRestart, VerbOffline, VerbOnline, VerbDrill:
		return h.submit(ctx, cfg, cmd, p)
	case VerbRollback:
		return h.rollback(ctx, cfg, cmd, p)
	case VerbCancel, VerbPause, VerbResume, VerbAbandon:
		return h.control(ctx, cmd, p)
	case VerbLock:
		return h.lock(ctx, cfg, cmd, p)
	case VerbUnlock:
		return h.unlock(ctx, cfg, cmd, p)
	case VerbLocks:
		return h.locks(cfg, p.Targets)
	case VerbStatus:
		return h.status(cfg, p.Targets)
	case VerbHistory:
		return h.history(p)
	case VerbPlan:
		return h.plan(cfg, cmd, p), nil
	case VerbWhoami:
		return Answer{Text: whoami(cmd)}, nil
	}
	return Answer{Text: help(p.Topic)}, nil
}

// submit queues what the command asks for.
func (h *Handler) submit(ctx context.Context, cfg Config, cmd deploy.Command, p Parsed) (Answer, error) {
	s, err := h.accepted(ctx, cmd, p)
	if err != nil {
		return Answer{}, err
	}
	lines := []string{queuedText(cfg, s.ID, s.Request)}
	if s.Phase == deploy.PhaseQueued {
		lines = append(lines, h.obstacles(s.Request)...)
	}
	return Answer{Text: strings.Join(lines, "\n"), Deploy: s.ID}, nil
}

// accepted submits what the command asks for and gives its deploy: as it stands
// where the very same command was carried out before.
func (h *Handler) accepted(ctx context.Context, cmd deploy.Command, p Parsed) (deploy.State, error) {
	r := request(cmd, p)
	id, fresh, err := h.Intake.Submit(ctx, r)
	if err != nil {
		return deploy.State{}, err
	}
	if !fresh {
		if s, err := h.Records.State(id); err == nil && s.Broken == nil {
			return s, nil
		}
	}
	return deploy.State{ID: id, Target: r.Target(), Phase: deploy.PhaseQueued, Request: r}, nil
}

func request(cmd deploy.Command, p Parsed) deploy.Request {
	t := p.Target()
	return deploy.Request{
		App: t.App, Env: t.Env, Want: wantOf(p.Verb), Ref: p.Ref, Release: p.Release, Force: p.Force, Reason: p.Reason, For: p.For,
		Hosts: p.Hosts, Without: p.Without,
		By: cmd.User, Key: cmd.Key, Origin: cmd.Channel, At: time.Now().UTC(),
	}
}

func wantOf(v Verb) deploy.Want {
	switch v {
	case VerbRollback:
		return deploy.WantRollback
	case VerbAccept:
		return deploy.WantAccept
	case VerbAdopt:
		return deploy.WantAdopt
	case VerbLock:
		return deploy.WantLock
	case VerbUnlock:
		return deploy.WantUnlock
	case VerbStart, VerbStop, VerbRestart, VerbOffline, VerbOnline, VerbDrill:
		return deploy.Want(v)
	}
	return deploy.WantDeploy
}

func (h *Handler) plan(cfg Config, cmd deploy.Command, p Parsed) Answer {
	r := request(cmd, p)
	return Answer{
		Text: "planning " + whatText(cfg, r) + " …",
		Later: func(ctx context.Context) Answer {
			plan, err := h.Planner.Plan(ctx, r)
			if err != nil {
				return answerError(err)
			}
			return Answer{Text: strings.Join(slices.Concat([]string{planText(plan)}, h.expected(plan), h.obstacles(r)), "\n")}
		},
	}
}

// expected foretells how long a rolling plan takes, where the past tells.
func (h *Handler) expected(plan deploy.Plan) []string {
	if !plan.Rolls() || len(plan.Steps) == 0 {
		return nil
	}
	past, err := h.Records.History(&plan.Target, 0, maxLimit)
	i := slices.IndexFunc(past, func(s deploy.State) bool { return sameWork(s, plan.Want) })
	if untold(err) != nil || i < 0 {
		return nil // what is only foretold is left out
	}
	whole, err := h.Records.State(past[i].ID) // lists tell of no steps
	if line := expectedLine(plan, whole); err == nil && line != "" {
		return []string{line}
	}
	return nil
}

// answerError explains an error to the asker.
func answerError(err error) Answer {
	code := deploy.CodeOf(err)
	text := deploy.MessageOf(err)
	switch code {
	case deploy.CodeInternal, deploy.CodeCancelled, deploy.CodeTimeout:
		var e *deploy.Error
		if !errors.As(err, &e) || e.Message == "" {
			text = "that did not work, and the operator's log says why; nothing was changed as far as is known: look at `status`, then try again"
		}
	}
	return Answer{Text: hostile.Block(text, maxBlock), Code: code}
}
