package proxy

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// takeRenewal is after which part of its limit a client gets all of it anew:
	// not with every write, which may be of a few bytes.
	takeRenewal = 12
	// lastWord is what a client gets to take the end of a stream that is cut.
	lastWord = 250 * time.Millisecond
)

// taker is the client's side of an answer. A client that takes nothing of what is
// written for the limit loses its connection, and so it does when we cut what
// has no end of its own.
type taker struct {
	http.ResponseWriter
	patience
	conn *tunnel // nil: it is no tunnel
}

// patience is how long a connection's other side may take nothing.
type patience struct {
	limit time.Duration
	to    interface{ SetWriteDeadline(time.Time) error } // nil: for ever

	mu    sync.Mutex
	given time.Time // last
	over  bool      // nothing is given any more
}

// renew allows the limit from now on. It does nothing for a connection that was
// closed: the write says so.
func (p *patience) renew() {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !p.over && now.Sub(p.given) >= p.limit/takeRenewal {
		p.given = now
		_ = p.to.SetWriteDeadline(now.Add(p.limit))
	}
}

// last allows no more than this time, whatever is written.
func (p *patience) last(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.to != nil {
		_ = p.to.SetWriteDeadline(time.Now().Add(d)) // it may have been closed just now
	}
}

// begin makes w the one that takes.
func (t *taker) begin(w http.ResponseWriter, limit time.Duration) {
	t.ResponseWriter, t.limit = w, limit
	t.to, _ = w.(interface{ SetWriteDeadline(time.Time) error }) // HTTP/1 always can
	t.renew()
}

// cut ends the wait for the client: at once, or when it had the time for a
// stream's proper end.
func (t *taker) cut(in time.Duration) {
	t.last(in)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		_ = t.conn.Close() // it may have ended just now
	}
}

// WriteHeader writes the status.
func (t *taker) WriteHeader(code int) {
	t.renew()
	t.ResponseWriter.WriteHeader(code)
}

// Write writes some of the answer.
func (t *taker) Write(p []byte) (int, error) {
	t.renew()
	return t.ResponseWriter.Write(p)
}

// FlushError sends what is buffered.
func (t *taker) FlushError() error {
	t.renew()
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Hijack gives the connection away for a tunnel; what was cut already is closed.
func (t *taker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	opened := &tunnel{Conn: c, patience: patience{limit: t.limit, to: c}}
	opened.renew()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn = opened; t.over {
		_ = c.Close() // the first write says so
	}
	return opened, rw, nil
}

// tunnel is a client's connection that switched protocols.
type tunnel struct {
	net.Conn
	patience
}

// Write writes what the backend sends.
func (t *tunnel) Write(p []byte) (int, error) {
	t.renew()
	return t.Conn.Write(p)
}

// CloseWrite ends our half, where the connection has halves.
func (t *tunnel) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Close()
}
