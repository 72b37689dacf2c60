package proxy

import (
	"sync"
	"time"
)

// pacer is a connection of which a client's next piece of a body is expected
// within a limit.
type pacer struct {
	limit time.Duration
	conn  interface{ SetReadDeadline(time.Time) error } // nil: nobody waits
}

// pace ends the wait for a client that does not go on with its request's body:
// a piece has to come within the limit, until the application has answered.
// From then on the application decides how long it listens; what it did not
// want of the body has to come within the limit again.
type pace struct {
	pacer
	mu   sync.Mutex
	free bool // of the limit
	all  bool // of the body has come
}

// begin allows the limit for the next piece.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.free {
		p.expect()
	}
}

// whole notes that all of the body is here.
func (p *pace) whole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = true
	p.lift()
}

// complete reports whether all of the body is here.
func (p *pace) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

// answered notes that the application has begun to answer.
func (p *pace) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lift()
}

// end notes that the request was answered.
func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = true
	if !p.all {
		p.expect()
	}
}

func (p *pace) lift() {
	if !p.free {
		p.free = true
		p.set(time.Time{})
	}
}

// expect does nothing for a request without a body.
func (p *pace) expect() {
	if p.conn != nil {
		p.set(time.Now().Add(p.limit))
	}
}

// set does nothing for a connection that was closed or given away: nobody waits
// for it then.
func (p *pace) set(t time.Time) {
	if p.conn != nil {
		_ = p.conn.SetReadDeadline(t)
	}
}
