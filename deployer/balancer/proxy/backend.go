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

func (b *backend) status() addressStatus {
	return addressStatus{
		InFlight: int(b.inflight.Load()),
		Counter: deploy.Counter{
			Requests: b.requests.Load(),
			Failures: b.failures.Load(),
			Errors5:  b.errors5.Load(),
		},
	}
}
