package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// pushPrefix begins the actor of every verified push.
const pushPrefix = "push:"

// accepted is the one answer to every verified delivery: it does not tell which
// repositories are known.
var accepted = map[string]string{"status": "accepted"}

// hook receives a delivery of a git host. It answers 202 only when everything
// that the delivery asks for is durable.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	provider, app := chi.URLParam(r, "provider"), chi.URLParam(r, "app")
	h, ok := s.Hooks(hookName(provider, app))
	if !ok {
		s.Log.Warn("a delivery came for a hook that is not configured", "provider", hostile.Line(provider, 40), "app", hostile.Line(app, 40))
		unauthorised(w)
		return
	}
	if err := knock(h, r); err != nil {
		s.hookRefusal(w, hookName(provider, app), err)
		return
	}
	mine := s.gate(r, s.hooks)
	raw, release := s.body(w, r, mine, maxHookBody)
	if release == nil {
		return
	}
	defer release()
	turn := mine.turn(r.Context())
	if turn == nil {
		busy(w)
		return
	}
	defer turn()
	push, err := h.Parse(r, raw)
	if err != nil {
		s.hookRefusal(w, hookName(provider, app), err)
		return
	}
	push.Provider = provider
	if err := s.take(r.Context(), app, push); err != nil {
		s.Log.Error("a push could not be recorded", "hook", hookName(provider, app), "delivery", push.Delivery, "err", err)
		busy(w)
		return
	}
	writeJSON(w, http.StatusAccepted, accepted)
}

// knock lets a driver refuse by the headers, before the body is read.
func knock(driver any, r *http.Request) error {
	if d, ok := driver.(Doorkeeper); ok {
		return d.Knock(r.Header)
	}
	return nil
}

func hookName(provider, app string) string {
	if app == "" {
		return provider
	}
	return provider + "/" + app
}

func (s *Server) hookRefusal(w http.ResponseWriter, name string, err error) {
	s.Log.Log(context.Background(), refusalLevel(err), "a delivery was not taken", "hook", hostile.Line(name, 80), "err", err)
	switch deploy.CodeOf(err) {
	case deploy.CodeNotFound:
		writeJSON(w, http.StatusAccepted, accepted)
	case deploy.CodeRefused:
		unauthorised(w)
	default:
		http.Error(w, "malformed", http.StatusBadRequest)
	}
}

// refusalLevel: a captured signature is somebody at work, the rest is noise.
func refusalLevel(err error) slog.Level {
	if errors.Is(err, hostile.ErrCaptured) {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// take submits what a verified push asks for.
func (s *Server) take(ctx context.Context, app string, push deploy.Push) error {
	wishes, why := s.wishes(app, push)
	if why != "" {
		s.Log.Info("a push was ignored", "why", why, "repo", hostile.Line(push.Repo, 100), "ref", hostile.Line(push.Ref, 100))
	}
	for _, r := range wishes {
		id, fresh, err := s.Handler.Intake.Submit(ctx, r)
		if err != nil {
			return err
		}
		s.Log.Info("a push was taken", "deploy", id.String(), "fresh", fresh, "target", r.Target().String(), "commit", r.Commit, "key", r.Key)
	}
	return nil
}

// wishes decides what a push asks for: one request per environment that deploys
// its branch by itself; none, with the reason.
func (s *Server) wishes(app string, push deploy.Push) (wishes []deploy.Request, why string) {
	branch, isBranch := push.Branch()
	switch {
	case !isBranch:
		return nil, "it is not a branch"
	case push.Deleted():
		return nil, "the branch was deleted"
	case skips(push.Message):
		return nil, "its message says [skip deploy]"
	}
	for _, t := range s.Config().pushed(push.Repo, branch) {
		if s.speaksFor(push.Provider, app, t.App) {
			wishes = append(wishes, pushRequest(t, branch, push))
		}
	}
	if len(wishes) == 0 {
		why = "no environment deploys this repository's branch on push by this hook"
	}
	return wishes, why
}

// skipMark follows a bracket in the message of a commit that is not to be deployed.
const skipMark = "skip deploy]"

// skips looks for the mark in any case, without a copy of the message.
func skips(message string) bool {
	for rest, more := message, true; more; {
		_, rest, more = strings.Cut(rest, "[")
		if len(rest) >= len(skipMark) && strings.EqualFold(rest[:len(skipMark)], skipMark) {
			return true
		}
	}
	return false
}

// speaksFor reports whether a hook's secret is good for an app: an app's own
// hook for that app only, a shared one for every app without any of its own, be
// it of another git host.
func (s *Server) speaksFor(provider, bound, app string) bool {
	if bound != "" {
		return bound == app
	}
	_, own := s.Hooks(hookName(provider, app))
	return !own && !s.Config().hasHook(app)
}

func pushRequest(t deploy.Target, branch string, p deploy.Push) deploy.Request {
	return deploy.Request{
		App: t.App, Env: t.Env, Want: deploy.WantDeploy, Auto: true,
		Ref: branch, Commit: p.After, Title: hostile.Line(p.Title, 200), Author: hostile.Line(p.Author, 100),
		By:  deploy.Actor{ID: pushPrefix + p.Provider, Name: hostile.Line(p.Pusher.Name, 100)},
		Key: pushKey(t, p), At: time.Now().UTC(),
	}
}

// pushKey is the same for every delivery of the same push to the same environment.
func pushKey(t deploy.Target, p deploy.Push) string {
	delivery := p.Delivery
	if delivery == "" {
		delivery = p.Before + ".." + p.After
	}
	return fmt.Sprintf("%s:%s:%s", p.Provider, delivery, t)
}
