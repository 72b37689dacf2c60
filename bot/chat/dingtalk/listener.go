package dingtalk

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"ipublish/bot"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// maxHandlers is how many messages are handled at once, on all connections.
const maxHandlers = 100

// pace are the times of a stream.
type pace struct {
	ping, pong  time.Duration // a probe every so often, and how soon something must come after it
	write       time.Duration // for one acknowledgement
	overlap     time.Duration // how long a connection that was announced to close is read on
	first, most time.Duration // pauses between attempts
	stable      time.Duration // a connection that held so long makes the pauses short again
}

// steady is the pace of DingTalk's own clients; it closes a connection ten
// seconds after it announced that.
func steady() pace {
	return pace{
		ping: time.Minute, pong: 5 * time.Second, write: 10 * time.Second, overlap: 15 * time.Second,
		first: 3 * time.Second, most: time.Minute, stable: time.Minute,
	}
}

// listener keeps a stream open and hands on what it brings.
type listener struct {
	chat   *Chat
	handle func(deploy.Command) error
	pace   pace
	log    *slog.Logger
	slots  chan struct{}

	failures int    // since a connection held
	said     bool   // that the stream is open was logged, and it still holds
	trouble  string // why it is not, as logged
}

func newListener(c *Chat, handle func(deploy.Command) error) *listener {
	return &listener{
		chat: c, handle: handle, pace: c.pace, slots: make(chan struct{}, maxHandlers),
		log: c.config.Log.With("chat", "dingtalk"),
	}
}

// run holds one connection open until ctx ends, and a second one only while the
// first is about to be closed. It has joined everything when it returns.
func (l *listener) run(ctx context.Context) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for ctx.Err() == nil {
		conn, err := l.chat.dialStream(ctx)
		if err != nil {
			pause(ctx, l.refused(ctx, err))
			continue
		}
		l.opened()
		began := time.Now()
		s := newSession(conn, l.pace, l.slots, l.robot, l.log)
		sessions.Go(func() { s.run(ctx) })
		select {
		case <-ctx.Done():
		case <-s.leaving:
			pause(ctx, l.left(time.Since(began)))
		case <-s.lost:
			pause(ctx, l.lost(ctx, s.err, time.Since(began)))
		}
	}
}

// opened says that there is a connection, unless there was one all the time.
func (l *listener) opened() {
	if !l.said {
		l.log.Info("the stream of DingTalk is open")
	}
	l.said, l.trouble = true, ""
}

// refused says why there is no connection, once for each reason, and how long to
// wait.
func (l *listener) refused(ctx context.Context, err error) time.Duration {
	if trouble := deploy.MessageOf(err); trouble != l.trouble && ctx.Err() == nil {
		l.said, l.trouble = false, trouble
		l.log.Log(ctx, severity(err), "the stream of DingTalk cannot be opened; it is tried again and again", "err", err)
	}
	wait := l.next()
	var throttled *bot.Throttled
	if errors.As(err, &throttled) {
		wait = max(wait, throttled.After)
	}
	return wait
}

// severity tells what a person must mend from what passes by itself.
func severity(err error) slog.Level {
	switch deploy.CodeOf(err) {
	case deploy.CodeRefused, deploy.CodeInvalid, deploy.CodeFailed:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// left tells how long to wait before a connection is replaced that DingTalk is
// about to close: not at all, unless it closes one after the other.
func (l *listener) left(held time.Duration) time.Duration {
	l.log.Debug("DingTalk is about to close the connection of the stream; another one is opened")
	if held >= l.pace.stable {
		l.failures = 0
		return 0
	}
	return l.next()
}

// lost says that the connection is gone, once, and how long to wait.
func (l *listener) lost(ctx context.Context, err error, held time.Duration) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	if held >= l.pace.stable {
		l.failures = 0
	}
	l.said = false
	l.log.Warn("the connection to DingTalk was lost and is opened again; what is said meanwhile has to be said again", "err", hostile.Line(err.Error(), 200))
	return l.next()
}

// next is the pause before the next attempt: 3 s, 6 s, 12 s … at most a minute,
// each shortened at random by up to half, so that a crowd does not return at once.
func (l *listener) next() time.Duration {
	full := min(l.pace.first<<min(l.failures, 10), l.pace.most)
	l.failures++
	return full/2 + rand.N(full/2+1)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// robot is the robot of each session: it hands a command on. Whoever sent
// something that is no command is told so.
func (l *listener) robot(ctx context.Context, data string) (status int, afterwards func()) {
	cmd, err := readCommand([]byte(data))
	switch deploy.CodeOf(err) {
	case "":
		err = l.handle(cmd)
	case deploy.CodeNotFound:
		return http.StatusOK, func() { l.tell(ctx, cmd, err) }
	case deploy.CodeRefused:
		l.log.Info("a message was not taken", "err", err)
		return http.StatusOK, nil
	}
	if err != nil {
		l.log.Warn("a message was not taken", "err", err)
		return http.StatusInternalServerError, nil
	}
	return http.StatusOK, nil
}

func (l *listener) tell(ctx context.Context, cmd deploy.Command, why error) {
	err := l.chat.Reply(ctx, cmd, deploy.Message{Lines: []string{l.chat.config.Translate(deploy.MessageOf(why))}})
	if err != nil && ctx.Err() == nil {
		l.log.Warn("an answer could not be sent", "err", err)
	}
}
