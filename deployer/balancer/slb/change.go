package slb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

const (
	// firstWatch is how long a change may take to be readable before it is asked
	// for again; each time it was not, the next watch is twice as long.
	firstWatch = time.Second
	longWatch  = 30 * time.Second
	// backLimit bounds the way back after a refusal in the middle of a change.
	backLimit = 10 * time.Second
)

// change brings some entries of a group to other weights.
type change struct {
	api  *client
	now  group
	aims []server
	sent bool // a part of it was accepted
}

// run asks for the weights until the group has them. It asks also for those that
// the group has already: a change that another process was killed in may still be
// pending and turn them over, and the API accepts ours only after that one. Nor is
// its word enough: what it accepted and did not do is asked for again, until ctx
// ends.
func (c *change) run(ctx context.Context) error {
	ask := c.aims
	for watch := firstWatch; len(ask) > 0; watch = min(2*watch, longWatch) {
		for part := range slices.Chunk(ask, batch) {
			if err := c.api.set(ctx, part); err != nil {
				return err
			}
			c.sent = true
		}
		if err := c.await(ctx, watch); err != nil {
			return err
		}
		ask = c.now.open(c.aims)
	}
	return nil
}

// await reads the group again until it has the weights or the watch is over.
func (c *change) await(ctx context.Context, watch time.Duration) error {
	until := time.Now().Add(watch)
	for pause := time.Duration(0); ; pause = min(max(2*pause, firstPause), longPause) {
		if !wait(ctx, pause) {
			return c.unapplied(ctx)
		}
		now, err := c.api.group(ctx)
		if err != nil {
			return err
		}
		c.now = now
		if len(now.open(c.aims)) == 0 || time.Now().After(until) {
			return nil
		}
	}
}

// unapplied is the error of a change that was accepted and not done.
func (c *change) unapplied(ctx context.Context) error {
	var which []string
	for _, s := range c.now.open(c.aims) {
		which = append(which, fmt.Sprintf("%s:%d", s.ServerID, s.Port))
	}
	return &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Err: ctx.Err(),
		Message: fmt.Sprintf("Aliyun accepted other weights in %s and has not set them: %s", c.api.settings.VServerGroupID, strings.Join(which, ", "))}
}

// undone answers for a change that ended with err: what of it was done before a
// definite refusal is put back. Where nothing is decided (no answer, no time)
// nothing is done; the same step can be run again.
func (c *change) undone(ctx context.Context, before group, err error) error {
	decided := err != nil && ctx.Err() == nil && deploy.CodeOf(err) != deploy.CodeUnavailable
	if !decided || !c.sent {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	if back := c.putBack(ctx, before); back != nil {
		return &deploy.Error{Code: deploy.CodeHold, Err: errors.Join(err, back),
			Message: fmt.Sprintf("only some servers of %s have their new weight, and they could not be given the old one again: look at the group, then repeat", c.api.settings.VServerGroupID)}
	}
	return err
}

func (c *change) putBack(ctx context.Context, before group) error {
	now, err := c.api.group(ctx)
	if err != nil {
		return err
	}
	var old []server
	for _, s := range before.servers() {
		if slices.ContainsFunc(c.aims, s.same) {
			old = append(old, s)
		}
	}
	return (&change{api: c.api, now: now, aims: old}).run(ctx)
}
