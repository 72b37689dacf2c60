package deployer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ipublish/deploy"
)

// lockPatience is how late the end of a lock may be noticed that was made since
// the last look.
const lockPatience = 15 * time.Second

// keepLeases asks for the stop of a warm slot when its lease runs out, and for
// the unlock when a lock does. Both are wall time; a change of the clock is
// noticed at most a minute later.
func (e *Engine) keepLeases(ctx context.Context) {
	for {
		next, err := e.expireLeases(ctx)
		if err != nil && ctx.Err() == nil {
			e.Log.Error("leases not kept, trying again", "err", err)
		}
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-e.changed:
			t.Stop()
		case <-t.C:
		}
	}
}

// retireAttempts are when, after its end, a lease's slot is to be stopped; what
// cannot be stopped is tried again ever more rarely, and told each time.
var retireAttempts = []time.Duration{0, time.Minute, 5 * time.Minute, 30 * time.Minute, 3 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// expireLeases submits a retire for every lease that has run out and returns
// how long to wait for the next one.
func (e *Engine) expireLeases(ctx context.Context) (time.Duration, error) {
	next := lockPatience
	lives, err := e.Ledger.Lives()
	if err != nil {
		return time.Minute, err
	}
	for _, l := range lives {
		left, err := e.expireLock(ctx, l)
		if err != nil {
			return time.Minute, err
		}
		next = min(next, left)
		if _, _, configured := e.Config(l.Target); l.Warm == nil || l.Warm.Release.Adopted() || l.Active != 0 || !configured {
			continue
		}
		attempt, left := attemptDue(time.Since(l.Warm.Until.Round(0)))
		next = min(next, left, time.Minute)
		if attempt == 0 {
			continue
		}
		if _, _, err := e.Ledger.Submit(ctx, retireRequest(l, attempt)); err != nil {
			return time.Minute, err
		}
	}
	return next, nil
}

// expireLock submits the unlock of a lock whose time is over, and returns how
// long to wait for that.
func (e *Engine) expireLock(ctx context.Context, l deploy.Live) (time.Duration, error) {
	if l.Lock == nil || l.Lock.Until.IsZero() {
		return time.Hour, nil
	}
	if left := time.Until(l.Lock.Until.Round(0)); left > 0 {
		return min(left, time.Minute), nil
	}
	_, _, err := e.Ledger.Submit(ctx, deploy.Request{
		App: l.Target.App, Env: l.Target.Env, Want: deploy.WantUnlock, Lock: l.Lock.Deploy, By: deploy.SystemActor(), At: time.Now(),
		Key: fmt.Sprintf("unlock:%s:%d", l.Target, l.Lock.Deploy),
	})
	return time.Hour, err
}

// attemptDue gives the number of attempts that are due so long after a lease's
// end, 0 before it, and how long it is until the next one.
func attemptDue(over time.Duration) (attempt int, left time.Duration) {
	for _, at := range retireAttempts {
		if over < at {
			return attempt, at - over
		}
		attempt++
	}
	return attempt, time.Hour
}

func retireRequest(l deploy.Live, attempt int) deploy.Request {
	return deploy.Request{
		App: l.Target.App, Env: l.Target.Env, Want: deploy.WantRetire, By: deploy.SystemActor(), At: time.Now(),
		Key: fmt.Sprintf("retire:%s:%s:%d:%d", l.Target, l.Warm.Slot, l.Warm.Until.UnixNano(), attempt),
	}
}

// ended wakes keepLeases and guardAll.
func (e *Engine) ended() {
	for _, wakes := range []chan struct{}{e.changed, e.settled} {
		select {
		case wakes <- struct{}{}:
		default:
		}
	}
}

func portText(port int) string { return strconv.Itoa(port) }
