package slack

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"ipublish/bot"
	"ipublish/deploy"
)

// pace is how patient the socket transport is.
type pace struct {
	silence     time.Duration // without a ping of Slack the connection is given up within twice that
	first, most time.Duration // pauses after failures in a row, doubled, shortened at random by up to half
	stable      time.Duration // a connection that stood so long is opened again at once, as after Slack's hourly refresh
}

// steady is the pace of a real connection.
func steady() pace {
	return pace{silence: 30 * time.Second, first: time.Second, most: time.Minute, stable: time.Minute}
}

// Listen implements bot.Chat. With the http transport it only waits for ctx.
// With the socket transport it keeps one connection to Slack open whatever
// happens and calls handle for each command and each mention of the bot, one at
// a time; Slack is told that a command was taken only after handle returned
// nil. When it returns, everything that it started has ended.
func (c *Chat) Listen(ctx context.Context, handle func(deploy.Command) error) error {
	if c.transport != transportSocket {
		<-ctx.Done()
		return nil
	}
	l := c.newLink(handle)
	var p pauses
	for {
		e := l.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := p.after(e, c.pace)
		c.tell(e, wait)
		sleep(ctx, wait)
	}
}

// ending is how one connection, or the attempt at it, ended.
type ending struct {
	stood time.Duration // since Slack's hello; zero if there was none
	err   error         // explained; nil if Slack or the network just ended it
}

// pauses grow while connections fail.
type pauses struct {
	failures int
}

// after tells how long to wait before the next connection.
func (p *pauses) after(e ending, pace pace) time.Duration {
	if e.stood >= pace.stable {
		p.failures = 0
		return 0
	}
	full := min(pace.first<<min(p.failures, 16), pace.most)
	p.failures++
	wait := full/2 + rand.N(full/2+1)
	var limited *bot.Throttled
	if errors.As(e.err, &limited) {
		wait = max(wait, limited.After)
	}
	return wait
}

// tell logs an ending: what a person must mend is an error, a refresh is none.
func (c *Chat) tell(e ending, wait time.Duration) {
	level := slog.LevelWarn
	switch {
	case deploy.CodeOf(e.err) == deploy.CodeRefused:
		level = slog.LevelError
	case e.stood >= c.pace.stable:
		level = slog.LevelInfo
	}
	args := []any{"stood", e.stood.Round(time.Millisecond), "again_in", wait.Round(time.Millisecond)}
	if e.err != nil {
		args = append(args, "what", deploy.MessageOf(e.err), "err", e.err)
	}
	c.log.Log(context.Background(), level, "slack's socket is closed and is opened again", args...)
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
