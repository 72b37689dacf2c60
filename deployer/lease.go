package deployer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"ipublish/deploy"
)

// keepLeases asks for the stop of a warm slot when its lease runs out. Leases
// are wall time; a change of the clock is noticed at most a minute later.
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

// expireLeases submits a retire for every lease that has run out and returns
// how long to wait for the next one.
func (e *Engine) expireLeases(ctx context.Context) (time.Duration, error) {
	next := time.Hour
	lives, err := e.Ledger.Lives()
	if err != nil {
		return time.Minute, err
	}
	for _, l := range lives {
		if l.Warm == nil || l.Active != 0 {
			continue
		}
		if left := time.Until(l.Warm.Until.Round(0)); left > 0 {
			next = min(next, left, time.Minute)
			continue
		}
		if _, _, err := e.Ledger.Submit(ctx, retireRequest(l)); err != nil {
			return time.Minute, err
		}
		next = min(next, time.Minute)
	}
	return next, nil
}

func retireRequest(l deploy.Live) deploy.Request {
	return deploy.Request{
		App: l.Target.App, Env: l.Target.Env, Want: deploy.WantRetire, By: deploy.SystemActor(), At: time.Now(),
		Key: fmt.Sprintf("retire:%s:%s:%d", l.Target, l.Warm.Slot, l.Ends),
	}
}

// leaseChanged wakes keepLeases.
func (e *Engine) leaseChanged() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func portText(port int) string { return strconv.Itoa(port) }
