package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"ipublish/deploy"
)

const (
	// idleTimeout is how long a connection to a backend may lie unused. A request
	// that cannot be repeated fails when the backend closes the connection under
	// it, so this must be below every usual keep-alive timeout: gunicorn has 2 s,
	// Node, uvicorn and Apache 5 s, Tomcat 20 s. A fresh connect costs less than
	// a millisecond.
	idleTimeout = 1500 * time.Millisecond
	// dialTimeout leaves room for one lost SYN, which is sent again after 1 s.
	dialTimeout = 3 * time.Second
	// maxIdle connections an address; what is beyond is closed after its request.
	maxIdle = 512
)

// role is what an address is to its route.
type role int32

const (
	roleAway  role = iota // gets no request
	roleSpare             // gets those that no up address accepted
	roleUp                // gets requests
)

// backend is one address of a route: its connections and what happened there.
// It stays when the address leaves the table, so that its counts do.
type backend struct {
	addr      string
	transport *http.Transport
	role      atomic.Int32

	inflight atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64
	errors5  atomic.Uint64
	refused  atomic.Uint64 // connects

	latencies latencies // of answers that came whole

	left    time.Time   // when it left the table; the registry's lock guards it
	drain   *time.Timer // likewise; nil: no end was set
	over    atomic.Bool // the time for tunnels and streams is
	tunnels atomic.Int64
	streams atomic.Int64
	after   atomic.Int64 // how long they had, in nanoseconds
}

func newBackend(addr string) *backend {
	return &backend{addr: addr, transport: newTransport()}
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialBackend(ctx, dialer, network, addr)
		},
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}
}

// dialError marks a failure before anything was sent.
type dialError struct{ error }

// Unwrap returns the cause.
func (e *dialError) Unwrap() error { return e.error }

// release ends a request that was taken as the given role. Idle connections go
// first: when nothing is in flight to an address that left, nothing is open.
func (b *backend) release(taken role) {
	if role(b.role.Load()) < taken {
		b.transport.CloseIdleConnections()
	}
	b.inflight.Add(-1)
}

// leave notes when the address left the table.
func (b *backend) leave() { b.left = time.Now() }

// enter forgets what a drain before did: the address is in the table again.
func (b *backend) enter() {
	if b.drain != nil {
		b.drain.Stop()
	}
	b.drain, b.left = nil, time.Time{}
	b.over.Store(false)
	b.tunnels.Store(0)
	b.streams.Store(0)
}

// expire sets when the tunnels and streams that are still open are cut.
func (b *backend) expire(in time.Duration, of *stays) {
	if b.drain != nil {
		b.drain.Stop()
	}
	left := b.left
	b.drain = time.AfterFunc(in, func() {
		b.after.Store(int64(time.Since(left)))
		b.over.Store(true)
		of.cut(func(s *stay) bool { return s.backend == b }, b.tally)
	})
}

// legible rounds a time for people.
func legible(d time.Duration) time.Duration {
	if d < 2*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// tally counts a tunnel or stream that is cut.
func (b *backend) tally(s *stay) {
	if s.tunnel {
		b.tunnels.Add(1)
		return
	}
	b.streams.Add(1)
}

func (b *backend) status() addressStatus {
	return addressStatus{
		InFlight: int(b.inflight.Load()),
		Refused:  b.refused.Load(),
		Cut: cut{
			Tunnels: int(b.tunnels.Load()), Streams: int(b.streams.Load()),
			After: deploy.Duration(legible(time.Duration(b.after.Load()))),
		},
		Counter: deploy.Counter{
			Requests: b.requests.Load(),
			Failures: b.failures.Load(),
			Errors5:  b.errors5.Load(),
			Latency:  b.latencies.told(),
		},
	}
}
