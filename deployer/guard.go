package deployer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ipublish/deploy"
)

const (
	// guardPeriod is what a release that is live for long is judged by: the last
	// minute, against all before it.
	guardPeriod = time.Minute
	// guardPatience is how long a release that does not answer may take to be
	// there again, before anybody is alarmed.
	guardPatience = time.Second
	// alarmPeriod is how often the same is told again.
	alarmPeriod = time.Hour
)

// guardAll watches what is live after its bake, in every environment whose
// balancer tells of real traffic, until ctx ends. It undoes nothing: it alarms.
func (e *Engine) guardAll(ctx context.Context) {
	var guards sync.WaitGroup
	defer guards.Wait()
	posted := map[deploy.Target]guard{}
	for {
		lives, err := e.Ledger.Lives()
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			e.Log.Error("what is live is not watched, trying again", "err", err)
			again = time.After(guardPeriod)
		}
		for _, l := range lives {
			g, ok := posted[l.Target]
			if ok && g.live.Deploy == l.Deploy {
				continue
			}
			if ok {
				g.leave()
			}
			within, leave := context.WithCancel(ctx)
			g = guard{engine: e, live: l, leave: leave}
			posted[l.Target] = g
			guards.Go(func() { g.stand(within) })
		}
		select {
		case <-ctx.Done():
			return
		case <-e.settled:
		case <-again:
		}
	}
}

// guard watches what one deploy made live.
type guard struct {
	engine *Engine
	live   deploy.Live
	leave  context.CancelFunc
}

// stand returns when ctx ends, or when there is nothing to watch.
func (g guard) stand(ctx context.Context) {
	defer g.leave()
	app, env, ok := g.engine.Config(g.live.Target)
	if !ok || g.live.Slot == "" || env.Rolling != nil {
		return
	}
	x, err := g.engine.effects(g.live.Target, deploy.SettingsOf(app, env))
	if err != nil {
		return // the next deploy says what is wrong with the configuration
	}
	b, err := x.watcher()
	w, tells := b.(Watcher)
	if err != nil || !tells {
		return
	}
	slots, route := deploy.ObserveSteps(app, env, g.live)
	l := &lookout{news: make(chan struct{}, 1), window: deploy.Window{From: time.Now()}}
	ctx, l.stop = context.WithCancel(ctx)
	l.work.Go(func() { l.stream(ctx, w, route) })
	defer l.end()
	for began := time.Now(); ; {
		if err := l.await(ctx, guardPeriod); err != nil {
			return
		}
		if why := g.trouble(ctx, x, l, slots[g.live.Slot], route); why != "" {
			if !wait(ctx, g.alarm(ctx, x.mask(why))) {
				return
			}
			l.renew()
		}
		if time.Since(began) >= guardPeriod {
			began = time.Now()
			l.renew()
		}
	}
}

// trouble says what is wrong with the live release, or nothing.
func (g guard) trouble(ctx context.Context, x *effects, l *lookout, s, route deploy.Step) string {
	if bl := l.blames(nil, upOf(route)); bl != nil {
		return bl.why
	}
	s.Release = g.live.Release
	if !l.doubted() || x.answers(ctx, s) == nil || !wait(ctx, guardPatience) {
		return ""
	}
	err := x.answers(ctx, s)
	if err == nil || ctx.Err() != nil {
		return ""
	}
	return fmt.Sprintf("does not answer any more: %s", deploy.MessageOf(err))
}

func upOf(route deploy.Step) []string {
	var out []string
	for _, t := range route.Targets {
		if t.Up {
			out = append(out, t.Addr)
		}
	}
	return out
}

// alarm tells people, once an hour of one deploy, and gives the time until the
// next look: at once after a deploy that is at it.
func (g guard) alarm(ctx context.Context, why string) time.Duration {
	now, err := g.engine.Ledger.Live(g.live.Target)
	if err != nil || now.Active != 0 || now.Deploy != g.live.Deploy {
		return guardPeriod
	}
	at := time.Now()
	_, _, err = g.engine.Ledger.Submit(ctx, deploy.Request{
		App: g.live.Target.App, Env: g.live.Target.Env, Want: deploy.WantAlarm, By: deploy.SystemActor(), At: at,
		Reason: deploy.AlarmText(now, why, at), Key: fmt.Sprintf("alarm:%s:%d:%d", g.live.Target, g.live.Deploy, at.Unix()/int64(alarmPeriod.Seconds())),
	})
	if err != nil {
		g.engine.Log.Error("an alarm could not be given, trying again", "target", g.live.Target, "why", why, "err", err)
		return guardPeriod
	}
	return alarmPeriod
}
