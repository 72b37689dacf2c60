package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ipublish/deploy"
)

// Follow tells a deploy's events from the first to its end, each once, and
// blocks until then or until ctx ends. A stream that is cut is taken up again
// where it ended; a server that stays away for 15 s is ErrUnreachable.
func (c *Client) Follow(ctx context.Context, id deploy.ID, tell func(deploy.Event)) error {
	f := &followed{client: c, id: id, tell: tell}
	lost := time.Now()
	for {
		before := f.after
		err := f.stream(ctx)
		if f.ended || ctx.Err() != nil || !passing(err) {
			return err
		}
		if f.after > before || f.alive {
			lost = time.Now()
		}
		if time.Since(lost) >= c.waits.gone {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(c.waits.retry):
		}
	}
}

// passing reports whether it may be otherwise a moment later.
func passing(err error) bool {
	return errors.Is(err, ErrUnreachable) || deploy.CodeOf(err) == deploy.CodeUnavailable
}

// followed is one deploy as far as it was told.
type followed struct {
	client *Client
	id     deploy.ID
	tell   func(deploy.Event)
	after  uint64 // N of the last event told
	alive  bool   // the last stream gave a sign of life
	ended  bool
}

// stream reads one stream to its end or its cut.
func (f *followed) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.alive = false
	res, err := f.client.do(ctx, f.client.quick, http.MethodGet, fmt.Sprintf("/api/v1/deploys/%d/events?after=%d", f.id, f.after), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	mute := time.AfterFunc(f.client.waits.silence, cancel)
	defer mute.Stop()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	lines.Split(wholeLines)
	for !f.ended && lines.Scan() {
		mute.Reset(f.client.waits.silence)
		f.alive = true
		if err := f.line(lines.Text()); err != nil {
			return err
		}
	}
	if f.ended {
		return nil
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return lines.Err()
	}
	return fmt.Errorf("%w: the stream was cut: %w", ErrUnreachable, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// wholeLines splits into lines and leaves out a last one that was cut.
func wholeLines(data []byte, _ bool) (advance int, line []byte, err error) {
	return bufio.ScanLines(data, false)
}

// line takes one line of the stream; all but events is passed over.
func (f *followed) line(text string) error {
	data, ok := strings.CutPrefix(text, "data:")
	if !ok {
		return nil
	}
	var ev deploy.Event
	if err := json.Unmarshal([]byte(strings.TrimSpace(data)), &ev); err != nil {
		return err
	}
	if ev.N <= f.after {
		return nil
	}
	f.after, f.ended = ev.N, ev.Kind == deploy.KindEnded
	f.tell(ev)
	return nil
}
