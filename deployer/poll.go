package deployer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"ipublish/deploy"
)

// History is what polling reads of an environment's past.
type History interface {
	// History returns at most limit deploys with an ID below before (0: all),
	// newest first; of one target unless t is nil. With deploy.CodeDamaged the
	// returned ones are right nevertheless.
	History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error)
}

const (
	// pollNotice is how soon a reload is noticed.
	pollNotice = 10 * time.Second
	// pollPatience bounds one look at a repository.
	pollPatience = time.Minute
	// pollSlowest is how many times slower a branch is looked at that fails.
	pollSlowest = 10
	// pollMemory is how many deploys of an environment are looked through.
	pollMemory = 200
)

// poll looks at branch tips in the place of git hosts that cannot reach us, until
// ctx ends: one goroutine an app, so that no repository delays another one's. A
// tip that is new is asked for as a push would ask; what was asked before is
// read from the journal, so that a restart neither loses nor repeats one.
func (e *Engine) poll(ctx context.Context) {
	var apps sync.WaitGroup
	defer apps.Wait()
	stops := map[string]context.CancelFunc{}
	for {
		polled := e.polledApps()
		for name, stop := range stops {
			if !slices.Contains(polled, name) {
				stop()
				delete(stops, name)
			}
		}
		for _, name := range polled {
			if stops[name] == nil {
				mine, stop := context.WithCancel(ctx)
				stops[name] = stop
				apps.Go(func() { e.pollApp(mine, name) })
			}
		}
		if !wait(ctx, pollNotice) {
			return
		}
	}
}

// pollApp looks at an app's branches until ctx ends.
func (e *Engine) pollApp(ctx context.Context, app string) {
	p := &poller{Engine: e, app: app, watches: map[string]*watch{}}
	for wait(ctx, p.round(ctx)) {
	}
}

// followed is one branch of an app and the environments that it is deployed to.
type followed struct {
	branch   string
	every    time.Duration
	settings deploy.Settings
	targets  []deploy.Target
}

func (e *Engine) polledApps() []string {
	var out []string
	for _, t := range e.Targets() {
		if _, _, ok := e.polls(t); ok && !slices.Contains(out, t.App) {
			out = append(out, t.App)
		}
	}
	return out
}

// polls gives the target's configuration if its branch is to be looked at.
func (e *Engine) polls(t deploy.Target) (deploy.App, deploy.Environment, bool) {
	app, env, ok := e.Config(t)
	return app, env, ok && app.Poll > 0 && env.AutoDeploy && env.Branch != ""
}

// followedBy lists the app's branches as configured now, in the order of its
// environments.
func (e *Engine) followedBy(name string) []followed {
	var out []followed
	for _, t := range e.Targets() {
		app, env, ok := e.polls(t)
		if !ok || t.App != name {
			continue
		}
		i := slices.IndexFunc(out, func(f followed) bool { return f.branch == env.Branch })
		if i < 0 {
			i = len(out)
			out = append(out, followed{branch: env.Branch, every: app.Poll.D(), settings: deploy.SettingsOf(app, env)})
		}
		out[i].targets = append(out[i].targets, t)
	}
	return out
}

// poller looks at the branches of one app; one goroutine owns it.
type poller struct {
	*Engine
	app     string
	watches map[string]*watch // by branch
}

// watch is one branch as it was seen, and when it is looked at again.
type watch struct {
	looked   time.Time
	failures int                      // in a row
	jitter   float64                  // of the next look, so that a crowd does not come at once
	seen     map[deploy.Target]string // the tip that was dealt with last
}

// due is when the next look is: the interval ±10 %, after failures up to ten times as long.
func (w *watch) due(every time.Duration) time.Time {
	slower := min(1<<min(w.failures, 10), pollSlowest)
	return w.looked.Add(time.Duration(float64(every) * float64(slower) * w.jitter))
}

func (w *watch) note(err error) {
	w.looked, w.jitter = time.Now(), 0.9+0.2*rand.Float64()
	if w.failures++; err == nil {
		w.failures = 0
	}
}

// round looks at every branch that is due and returns how long to wait.
func (p *poller) round(ctx context.Context) time.Duration {
	left := pollNotice
	for _, f := range p.followedBy(p.app) {
		w := p.watches[f.branch]
		if w == nil {
			w = &watch{seen: map[deploy.Target]string{}}
			p.watches[f.branch] = w
		}
		if !time.Now().Before(w.due(f.every)) {
			err := p.look(ctx, f, w)
			p.complain(ctx, f, w, err)
			w.note(err)
		}
		left = min(left, time.Until(w.due(f.every)))
	}
	return left
}

// complain logs the first failure of a row.
func (p *poller) complain(ctx context.Context, f followed, w *watch, err error) {
	if err != nil && w.failures == 0 && ctx.Err() == nil {
		p.Log.Warn("a branch could not be polled and is tried again, ever more rarely", "app", p.app, "branch", f.branch, "err", err)
	}
}

// look asks the remote once for all environments of the branch.
func (p *poller) look(ctx context.Context, f followed, w *watch) error {
	try, cancel := context.WithTimeout(ctx, pollPatience)
	defer cancel()
	tip, err := p.Source.Resolve(try, f.settings, f.branch)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range f.targets {
		err := p.follow(ctx, t, tip, sight{branch: f.branch, was: w.seen[t], tip: tip.SHA})
		if err == nil {
			w.seen[t] = tip.SHA
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// follow asks for a deploy of the tip if it is new to the environment. As with a
// push, "[skip deploy]" keeps it from that; the remote tells only the first line
// of the message, so that it has to stand there.
func (p *poller) follow(ctx context.Context, t deploy.Target, tip deploy.Commit, s sight) error {
	var err error
	if s.live, err = p.Ledger.Live(t); err != nil || s.live.Release.Commit.SHA == tip.SHA {
		return err
	}
	s.recent, err = p.History.History(&t, 0, pollMemory)
	if err != nil && deploy.CodeOf(err) != deploy.CodeDamaged {
		return err
	}
	switch {
	case !s.fresh():
		return nil
	case !strings.Contains(strings.ToLower(tip.Title), "[skip deploy]"):
		return p.ask(ctx, s.request(t, tip))
	case s.was != s.tip:
		p.Log.Info("a branch's new tip is not deployed: its title says [skip deploy]", "target", t.String(), "branch", s.branch, "commit", tip.SHA)
	}
	return nil
}

func (p *poller) ask(ctx context.Context, r deploy.Request) error {
	id, _, err := p.Ledger.Submit(ctx, r)
	if err == nil {
		p.Log.Info("a branch has a new tip", "deploy", id.String(), "target", r.Target().String(), "branch", r.Ref, "commit", r.Commit, "key", r.Key)
	}
	return err
}

// sight is what is known when a branch was looked at for an environment.
type sight struct {
	live   deploy.Live
	recent []deploy.State // newest first
	branch string
	was    string // the tip at the look before; empty: this is the first one
	tip    string // which is not live
}

// fresh reports whether the tip, which is not live, is to be asked for. What is
// open, failed or left here is not. A tip that moved since the look before is.
// Else, as after a restart, it is unless the newest deploy that tells where the
// branch was had it: so a branch that comes back to an earlier commit is
// deployed again, and a person's choice of another commit is left alone.
func (s sight) fresh() bool {
	if s.open() || holdsCommit(s.live.Bad, s.tip) || holdsCommit(s.live.Left, s.tip) {
		return false
	}
	moved := s.was != "" && s.was != s.tip
	return moved || wished(s.news()) != s.tip
}

// open reports whether a deploy of the tip waits or runs, or one of the branch
// of which it is not known yet.
func (s sight) open() bool {
	return slices.ContainsFunc(s.recent, func(st deploy.State) bool {
		c := wished(st)
		return !st.Ended() && st.Request.Want == deploy.WantDeploy && (c == s.tip || c == "" && s.ofBranch(st))
	})
}

// news is the newest deploy that tells where the branch was: one of the branch,
// or of the tip by whatever name. What ipublish itself brings back after a reboot
// tells nothing of the branch.
func (s sight) news() deploy.State {
	for _, st := range s.recent {
		r, c := st.Request, wished(st)
		own := r.By == deploy.SystemActor() && !r.Auto
		if r.Want == deploy.WantDeploy && !own && c != "" && (c == s.tip || s.ofBranch(st)) {
			return st
		}
	}
	return deploy.State{}
}

func (s sight) ofBranch(st deploy.State) bool {
	ref := strings.TrimPrefix(st.Request.Ref, "refs/heads/")
	return ref == "" || ref == s.branch
}

// request asks for the tip as a push does. Its key names the deploy that told of
// the branch last: the same move of the branch is the same request, another move
// to the same commit is another one.
func (s sight) request(t deploy.Target, tip deploy.Commit) deploy.Request {
	return deploy.Request{
		App: t.App, Env: t.Env, Want: deploy.WantDeploy, Auto: true,
		Ref: s.branch, Commit: tip.SHA, Title: tip.Title, Author: tip.Author,
		By:  deploy.Actor{ID: "push:poll", Name: "poll"},
		Key: fmt.Sprintf("poll:%s:%d..%s", t, uint64(s.news().ID), tip.SHA), At: time.Now().UTC(),
	}
}

// wished is the commit that a deploy is of; empty while it is not known.
func wished(st deploy.State) string { return cmp.Or(st.Commit.SHA, st.Request.Commit) }

// holdsCommit reports whether any of the releases' keys is of the commit.
func holdsCommit(keys []string, sha string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		digits, _, ok := strings.Cut(key, "-")
		return ok && strings.HasPrefix(sha, digits)
	})
}
