package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"ipublish/bot"
	"ipublish/deploy"
)

const (
	missedPatience = time.Minute      // for one repository
	missedGrace    = 10 * time.Second // for a delivery that is on its way while we start
	missedHistory  = 50               // deploys of an environment that are looked through
)

// tellMissed tells the channels, once for each tip, which branches moved while
// nobody was there to take the push. It deploys nothing: a person decides. What was
// told is remembered as a reader of the journal that stands at 1, named by
// channel, environment and commit; there is one a missed push, as there is a key
// in the store for each push that was taken. A kill just after the telling tells twice.
func (w *worker) tellMissed(ctx context.Context) error {
	found := w.missed(ctx)
	if len(found) > 0 {
		found = w.stillMissed(ctx, found)
	}
	var tellers sync.WaitGroup
	for channel, all := range w.untold(found) {
		tellers.Go(func() { w.tellChannel(ctx, channel, all) })
	}
	tellers.Wait()
	if ctx.Err() == nil {
		w.log.Info("branches were compared with what is deployed", "missed", len(found))
	}
	return nil
}

// missed asks every repository at the same time; one that does not answer within
// a minute is left out.
func (w *worker) missed(ctx context.Context) []bot.Missed {
	var mu sync.Mutex
	var asking sync.WaitGroup
	var found []bot.Missed
	for _, app := range w.config.Load().Apps {
		asking.Go(func() {
			mine := w.missedOf(ctx, app)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, mine...)
		})
	}
	asking.Wait()
	slices.SortFunc(found, func(a, b bot.Missed) int { return strings.Compare(a.Target.String(), b.Target.String()) })
	return found
}

// stillMissed waits for deliveries that are on their way, and keeps what came
// by none.
func (w *worker) stillMissed(ctx context.Context, found []bot.Missed) []bot.Missed {
	grace := time.NewTimer(missedGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
		return nil
	}
	var out []bot.Missed
	for _, m := range found {
		if unknown, err := w.unknown(m.Target, m.Tip); err != nil {
			w.log.Warn("it cannot be told whether a push was missed", "target", m.Target.String(), "branch", m.Branch, "err", err)
		} else if unknown {
			w.log.Warn("a push was missed while ipublish was away", "target", m.Target.String(), "branch", m.Branch, "tip", m.Tip.SHA, "live", m.Live.SHA)
			out = append(out, m)
		}
	}
	return out
}

// missedOf compares an app's branches with what is known of its environments. A
// polled app is left out, because its poll deploys what was missed.
func (w *worker) missedOf(ctx context.Context, app deploy.App) []bot.Missed {
	if app.Poll > 0 {
		return nil
	}
	try, cancel := context.WithTimeout(ctx, missedPatience)
	defer cancel()
	tips := map[string]deploy.Commit{}
	var found []bot.Missed
	for _, env := range app.Environments {
		t := deploy.Target{App: app.Name, Env: env.Name}
		m, err := w.missedIn(try, t, app, env, tips)
		switch {
		case err != nil && ctx.Err() == nil:
			w.log.Warn("it cannot be told whether a push was missed", "target", t.String(), "branch", env.Branch, "err", err)
		case err == nil && m != nil:
			found = append(found, *m)
		}
	}
	return found
}

// missedIn compares one environment; nil: nothing was missed. tips are what is
// known of the app's branches.
func (w *worker) missedIn(ctx context.Context, t deploy.Target, app deploy.App, env deploy.Environment, tips map[string]deploy.Commit) (*bot.Missed, error) {
	live, err := w.store.Live(t)
	if err != nil || !env.AutoDeploy || live.Slot == "" || live.Release.Adopted() {
		return nil, err
	}
	tip, ok := tips[env.Branch]
	if !ok {
		if tip, err = w.engine.Source.Resolve(ctx, deploy.SettingsOf(app, env), env.Branch); err != nil {
			return nil, err
		}
		tips[env.Branch] = tip
	}
	unknown, err := w.unknown(t, tip)
	if err != nil || !unknown {
		return nil, err
	}
	return &bot.Missed{Target: t, Branch: env.Branch, Tip: tip, Live: live.Release.Commit}, nil
}

// unknown looks up whether a tip is missing among the environment's deploys: the
// newest ones and those that wait. What is damaged hides nothing else.
func (w *worker) unknown(t deploy.Target, tip deploy.Commit) (bool, error) {
	live, err := w.store.Live(t)
	if err != nil {
		return false, err
	}
	recent, err := w.store.History(&t, 0, missedHistory)
	if err != nil && deploy.CodeOf(err) != deploy.CodeDamaged {
		return false, err
	}
	waiting, err := w.store.Waiting(t)
	if err != nil && deploy.CodeOf(err) != deploy.CodeDamaged {
		return false, err
	}
	return missing(tip, live, append(recent, waiting...)), nil
}

// missing reports whether nobody here knows the tip, although its push should
// have been taken: its title does not say [skip deploy].
func missing(tip deploy.Commit, live deploy.Live, deploys []deploy.State) bool {
	is := func(sha string) bool { return sha == tip.SHA }
	names := func(key string) bool {
		digits, _, ok := strings.Cut(key, "-")
		return ok && strings.HasPrefix(tip.SHA, digits)
	}
	switch {
	case strings.Contains(strings.ToLower(tip.Title), "[skip deploy]"), is(live.Release.Commit.SHA):
		return false
	case slices.ContainsFunc(live.Good, func(p deploy.Past) bool { return is(p.Release.Commit.SHA) }):
		return false
	case slices.ContainsFunc(live.Bad, names), slices.ContainsFunc(live.Left, names):
		return false
	}
	return !slices.ContainsFunc(deploys, func(st deploy.State) bool { return is(cmp.Or(st.Commit.SHA, st.Request.Commit)) })
}

// untold gives each channel what it was not told yet.
func (w *worker) untold(found []bot.Missed) map[string][]bot.Missed {
	out := map[string][]bot.Missed{}
	for _, m := range found {
		_, env, _ := w.config.Load().Environment(m.Target)
		for _, channel := range slices.Compact(slices.Sorted(slices.Values(env.Channels))) {
			told, err := w.store.Cursor(toldKey(channel, m))
			if err != nil {
				w.log.Warn("it cannot be read whether a missed push was told", "channel", channel, "err", err)
			}
			if told == 0 {
				out[channel] = append(out[channel], m)
			}
		}
	}
	return out
}

// tellChannel tells one channel, and remembers it once it was shown.
func (w *worker) tellChannel(ctx context.Context, channel string, all []bot.Missed) {
	if err := w.notifier.Announce(ctx, channel, bot.MissedLines(all)); err != nil {
		w.log.Warn("a channel could not be told of missed pushes", "channel", channel, "err", err)
		return
	}
	for _, m := range all {
		if err := w.store.Enqueue(toldKey(channel, m), 1, nil); err != nil {
			w.log.Error("a channel may be told again of a missed push", "channel", channel, "err", err)
		}
	}
}

func toldKey(channel string, m bot.Missed) string {
	return "missed:" + channel + ":" + m.Target.String() + ":" + m.Tip.SHA
}

// targets lists every configured environment, sorted.
func (w *worker) targets() []deploy.Target {
	var out []deploy.Target
	for _, app := range w.config.Load().Apps {
		for _, env := range app.Environments {
			out = append(out, deploy.Target{App: app.Name, Env: env.Name})
		}
	}
	return out
}
