package bot

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// gate is what one kind of sender may take of the server. Each kind has its own,
// so that whatever one of them does the others are served.
type gate struct {
	bodies *bodies
	crowd  *crowd
	turns  chan struct{} // requests being handled, after their bodies were read
}

// newGate opens a gate that takes large bodies only within a budget of their own.
func newGate(large int64) *gate {
	return &gate{bodies: newBodies(maxBodies, large), crowd: newCrowd(maxPerClient), turns: make(chan struct{}, maxHandling)}
}

// turn waits a moment for the right to handle a request. release is nil if
// there was none: the caller answers 503.
func (g *gate) turn(ctx context.Context) (release func()) { return seat(ctx, g.turns) }

// seat waits a moment for a free one; leave is nil if there was none.
func seat(ctx context.Context, seats chan struct{}) (leave func()) {
	wait := time.NewTimer(waitForTurn)
	defer wait.Stop()
	select {
	case seats <- struct{}{}:
		return func() { <-seats }
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil
}

// crowd bounds how many bodies of one client address are read at once.
type crowd struct {
	limit int

	mu sync.Mutex
	at map[netip.Prefix]*client
}

// client is one address that sends just now.
type client struct {
	seats chan struct{}
	here  int // holding or awaiting a seat
}

func newCrowd(limit int) *crowd { return &crowd{limit: limit, at: map[netip.Prefix]*client{}} }

// enter waits a moment for the client's turn; leave is nil if there was none.
// This machine's own addresses are not counted: everybody behind a reverse proxy
// has one of them, and the proxy knows its clients better.
func (c *crowd) enter(r *http.Request) (leave func()) {
	from, ok := clientOf(r)
	if !ok {
		return func() {}
	}
	at := c.join(from)
	free := seat(r.Context(), at.seats)
	if free == nil {
		c.part(from)
		return nil
	}
	return func() { free(); c.part(from) }
}

func (c *crowd) join(from netip.Prefix) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.at[from]
	if at == nil {
		at = &client{seats: make(chan struct{}, c.limit)}
		c.at[from] = at
	}
	at.here++
	return at
}

func (c *crowd) part(from netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[from].here--; c.at[from].here == 0 {
		delete(c.at, from)
	}
}

// clientOf names the client by its address, in IPv6 by the network that one
// client usually has; ok is false for this machine and for unix sockets.
func clientOf(r *http.Request) (from netip.Prefix, ok bool) {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || addr.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}, false
	}
	ip, bits := addr.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	from, err = ip.Prefix(bits)
	return from, err == nil
}
