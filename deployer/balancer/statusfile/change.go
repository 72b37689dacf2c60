package statusfile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

const (
	askAgain  = 100 * time.Millisecond // between two questions to a page that has not followed
	undoLimit = 20 * time.Second       // what putting a file back may take
)

// change is the file of one host on its way to what a step wants.
type change struct {
	settings *settings
	target   deploy.Endpoint
	host     deployer.Host
	place    place
	moved    bool // the file was not as wanted before
	unheeded bool // the page did not follow the file
	err      error
}

// prepare opens the host and names the file; it does no I/O.
func (b *balancer) prepare(t deploy.Endpoint) *change {
	c := &change{settings: &b.settings, target: t}
	if c.place, c.err = b.settings.at(t); c.err == nil {
		c.host, c.err = b.host(string(t.Host))
	}
	return c
}

// apply makes the file as wanted and blocks until its page says so.
func (c *change) apply(ctx context.Context) {
	if c.err == nil {
		c.moved, c.err = c.move(ctx, c.target)
	}
	if c.err == nil {
		c.err = c.follow(ctx)
	}
}

// move makes the file be there for a target that is up, else absent.
func (c *change) move(ctx context.Context, t deploy.Endpoint) (changed bool, err error) {
	if t.Up {
		return c.settings.bringBack(ctx, c.host, c.place)
	}
	return c.settings.takeAway(ctx, c.host, c.place)
}

// follow asks the page until it says what the file does, for check_timeout.
func (c *change) follow(ctx context.Context) error {
	began := time.Now()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		seen := c.settings.look(ctx, c.host, c.place)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case seen.page == unknown:
			return seen.err
		case (seen.page == passes) == c.target.Up:
			return nil
		case time.Since(began) >= c.settings.CheckTimeout.D():
			return c.stubborn(seen)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stubborn is the error of a page that does not follow its file.
func (c *change) stubborn(seen sight) error {
	c.unheeded = true
	p, limit := c.place, c.settings.CheckTimeout
	var message string
	switch {
	case !c.target.Up:
		message = fmt.Sprintf("%s: %s still answers %d %s after %s was taken away: write `open_file_cache off;` in the location of that page and reload the web server, or correct path or url",
			p.host, p.url, seen.status, limit, p.path)
	case seen.status != 0:
		message = fmt.Sprintf("%s: %s still answers %d %s after %s was put in place: write `open_file_cache off;` in the location of that page and reload the web server, see that it may read the file, or correct path or url",
			p.host, p.url, seen.status, limit, p.path)
	default:
		message = fmt.Sprintf("%s: nothing answers at %s %s after %s was put in place: start the web server of that page, or correct url",
			p.host, p.url, limit, p.path)
	}
	return &deploy.Error{Code: deploy.CodeFailed, Message: message}
}

// giveBack puts the file back as it was before a step that failed as a whole. A
// file whose page did not follow may have been moved by an earlier try of the step.
func (c *change) giveBack(ctx context.Context) error {
	if !c.moved && !c.unheeded {
		return nil
	}
	before := c.target
	before.Up = !before.Up
	_, err := c.move(ctx, before)
	return err
}

// giveBack ends a step that failed: what was in force before is in force again,
// or the error is deploy.CodeHold. After a cancel, or when a host is gone, nothing
// is decided: a repeated step converges.
func giveBack(ctx context.Context, changes []*change, cause error) error {
	cancelled := errors.Is(ctx.Err(), context.Canceled)
	if cancelled || ctx.Err() == nil && deploy.CodeOf(cause) == deploy.CodeUnavailable {
		return cause
	}
	// The step's own deadline may have passed: putting back has its own.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	failed := make([]error, len(changes))
	each(len(changes), func(i int) { failed[i] = changes[i].giveBack(limited) })
	restored := false
	for i, err := range failed {
		restored = restored || err == nil && changes[i].unheeded && errors.Is(cause, changes[i].err)
		if err != nil && !unreachable(err) {
			return &deploy.Error{Code: deploy.CodeHold, Err: errors.Join(cause, err), Message: fmt.Sprintf(
				"%s: the change failed (%s), and the file could not be put back as it was (%s); look at %s before going on",
				changes[i].place.host, deploy.MessageOf(cause), deploy.MessageOf(err), changes[i].place.path)}
		}
	}
	if restored {
		return &deploy.Error{Code: deploy.CodeOf(cause), Err: cause, Message: fmt.Sprintf("%s; the file is as it was before", deploy.MessageOf(cause))}
	}
	return cause
}

// unreachable: the host is gone, so that its file is nobody's doing.
func unreachable(err error) bool {
	code := deploy.CodeOf(err)
	return code == deploy.CodeUnavailable || code == deploy.CodeTimeout
}
