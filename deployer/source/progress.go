package source

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// often is the least time between two lines about the same piece of work.
const often = time.Second

// progress passes a server's progress text on as lines. Of those that overwrite
// each other only one a second is told.
type progress struct {
	tell func(string)
	line []byte
	last time.Time
}

// Write implements io.Writer; it never fails.
func (p *progress) Write(b []byte) (int, error) {
	for _, c := range b {
		switch {
		case c == '\n', c == '\r' && time.Since(p.last) >= often:
			p.flush()
		case c == '\r':
			p.line = p.line[:0]
		case len(p.line) < maxLine:
			p.line = append(p.line, c)
		}
	}
	return len(b), nil
}

func (p *progress) flush() {
	text := strings.TrimSpace(clip(string(p.line), maxLine))
	p.line = p.line[:0]
	if text == "" {
		return
	}
	p.last = time.Now()
	p.tell(text)
}

// meter counts what is read, tells it once a second, and ends with ctx.
type meter struct {
	ctx  context.Context
	from io.Reader
	tell func(string)
	n    int64
	last time.Time
}

// Read implements io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.from.Read(b)
	m.n += int64(n)
	if now := time.Now(); now.Sub(m.last) >= often {
		if !m.last.IsZero() {
			m.tell("received " + inBytes(m.n))
		}
		m.last = now
	}
	return n, err
}

// inBytes prints a size for people.
func inBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, suffix := float64(n)/unit, "KiB"
	for _, s := range []string{"MiB", "GiB"} {
		if v < unit {
			break
		}
		v, suffix = v/unit, s
	}
	return fmt.Sprintf("%.1f %s", v, suffix)
}
