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

// Pace is how patient the socket transport is. A zero field has its default.
type Pace struct {
	// Silence is how long Slack may send no ping before the connection is given
	// up, which then happens within twice that; default 30 s.
	Silence time.Duration
	// FirstPause is the pause after the first failure in a row, doubled with each
	// further one up to MaxPause; all are shortened at random by up to half.
	// Defaults 1 s and 60 s.
	FirstPause, MaxPause time.Duration
	// Stable is how long a connection must have stood to be opened again at once,
	// as after Slack's hourly refresh, and to start the pauses anew; default 1 min.
	Stable time.Duration
}

func (p Pace) filled() Pace {
	for field, otherwise := range map[*time.Duration]time.Duration{
		&p.Silence: 30 * time.Second, &p.FirstPause: time.Second, &p.MaxPause: time.Minute, &p.Stable: time.Minute,
	} {
		if *field <= 0 {
			*field = otherwise
		}
	}
	return p
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
func (p *pauses) after(e ending, pace Pace) time.Duration {
	if e.stood >= pace.Stable {
		p.failures = 0
		return 0
	}
	full := min(pace.FirstPause<<min(p.failures, 16), pace.MaxPause)
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
	case e.stood >= c.pace.Stable:
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
