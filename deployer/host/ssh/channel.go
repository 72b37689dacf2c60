package ssh

import (
	"context"
	"io"

	gossh "golang.org/x/crypto/ssh"
)

// request asks a connection for a channel.
type request[T io.Closer] struct {
	ask func(*gossh.Client) (T, error)
	// doubts says whether a refusal speaks against the connection, so that it
	// is given up, rather than against what was asked for.
	doubts func(error) bool
}

// open returns a channel and its connection, which is to be released after the
// channel's end. A channel that a doubted connection does not give is asked for
// once more on a new one: the old one may have broken unnoticed, or be full of
// commands that outlived their calls. Nothing was started on it, so nothing
// happens twice.
func open[T io.Closer](ctx context.Context, l *link, r request[T]) (T, *connection, error) {
	for again := false; ; again = true {
		c, err := l.use(ctx)
		if err != nil {
			var none T
			return none, nil, err
		}
		channel, err := await(ctx, l, c, r)
		if err == nil || again || ctx.Err() != nil || !r.doubts(err) {
			return channel, c, err
		}
	}
}

// await returns the answer, or ctx's end; a channel that comes later is closed.
// Only with a channel the connection is still the caller's to release.
func await[T io.Closer](ctx context.Context, l *link, c *connection, r request[T]) (T, error) {
	type answer struct {
		channel T
		err     error
	}
	answers := make(chan answer)
	l.work.Go(func() {
		channel, err := r.ask(c.client)
		if err != nil {
			if r.doubts(err) {
				l.retire(c)
			}
			l.release(c)
		}
		select {
		case answers <- answer{channel, err}:
		case <-ctx.Done():
			if err == nil {
				_ = channel.Close()
				l.release(c)
			}
		}
	})
	select {
	case a := <-answers:
		return a.channel, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
