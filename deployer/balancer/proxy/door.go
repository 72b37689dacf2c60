package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ipublish/deploy"
)

const (
	// cutGrace is what requests get to notice that they were cut at the drain's end.
	cutGrace   = time.Second
	bufferSize = 32 << 10
)

// door is one open listen address and the requests that came in through it.
type door struct {
	lane     *lane
	listener net.Listener
	server   *http.Server
	cut      context.CancelFunc // ends every request that is still running
	served   chan struct{}      // closed when the accept loop has ended
	limits   limits
	buffers  *buffers
	shortage *shortage
	silent   *log.Logger

	ending  atomic.Bool
	busy    atomic.Int64  // requests
	clients atomic.Int64  // connections, but those that became tunnels
	stirred chan struct{} // signalled when one of them ended while ending
}

// house is what all doors of a process share.
type house struct {
	buffers  *buffers
	shortage *shortage
	limits   limits
	log      *slog.Logger
}

// openDoor listens at the address without answering yet. deploy.CodeRefused when
// it is taken or not ours to take, deploy.CodeInvalid when this machine has no such address.
func openDoor(l *lane, addr string, h house) (*door, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	return newDoor(l, listener, h), nil
}

func newDoor(l *lane, listener net.Listener, h house) *door {
	base, cut := context.WithCancel(context.Background())
	d := &door{
		lane: l, listener: listener, cut: cut, limits: h.limits, buffers: h.buffers, shortage: h.shortage,
		served: make(chan struct{}), stirred: make(chan struct{}, 1),
		silent: log.New(io.Discard, "", 0),
	}
	d.server = &http.Server{
		Handler:                      d,
		ReadHeaderTimeout:            h.limits.head,
		MaxHeaderBytes:               h.limits.headBytes,
		IdleTimeout:                  h.limits.idle,
		DisableGeneralOptionsHandler: true,
		ConnState:                    d.count,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ErrorLog:                     slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	return d
}

// serve accepts connections until the door is shut.
func (d *door) serve() {
	defer close(d.served)
	_ = d.server.Serve(d.listener) // always ends with the listener's end
}

// ServeHTTP passes one request on.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.busy.Add(1)
	defer d.leave()
	if r.Method == http.MethodConnect {
		http.Error(w, "this is no forward proxy", http.StatusMethodNotAllowed)
		return
	}
	if r.ContentLength != 0 && !mayHold(r) {
		// An application may answer while it still reads.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 always can
	}
	x := exchange{door: d, client: r, began: time.Now()}
	x.w.begin(w, d.limits.answer)
	x.serve()
}

func (d *door) leave() {
	d.busy.Add(-1)
	d.stir()
}

// count follows the clients' connections, and lifts the limit of an answer that was taken.
func (d *door) count(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		d.clients.Add(1)
	case http.StateIdle:
		_ = c.SetWriteDeadline(time.Time{}) // the last answer's; it may have been closed just now
	case http.StateClosed, http.StateHijacked:
		d.clients.Add(-1)
		d.stir()
	}
}

func (d *door) stir() {
	if !d.ending.Load() {
		return
	}
	select {
	case d.stirred <- struct{}{}:
	default:
	}
}

// pace is how fast a request's client has to send its body.
func (d *door) pace(w http.ResponseWriter) pacer {
	conn, _ := w.(interface{ SetReadDeadline(time.Time) error }) // HTTP/1 always can
	return pacer{limit: d.limits.body, conn: conn}
}

// shut stops accepting; requests that are running go on.
func (d *door) shut() {
	d.ending.Store(true)
	_ = d.listener.Close() // the accept loop closes it as well
}

// drain waits until the requests have ended, then closes the idle connections;
// what still runs when ctx ends is cut.
func (d *door) drain(ctx context.Context) {
	<-d.served // from here on every connection counts
	d.await(ctx, d.quiet)
	_ = d.server.Shutdown(ctx) // only ctx's end can be its error: then they are cut
	d.cut()
	_ = d.server.Close()
	grace, cancel := context.WithTimeout(context.Background(), cutGrace)
	defer cancel()
	d.await(grace, d.quiet)
}

// fade waits until every client has gone by itself, which its next answer asks
// it to: so that no request meets a closing connection. What has no end of its
// own is cut after the stays' time. When ctx ends there is no more time for idle
// connections, and running requests get the stays' time, or until last ends.
func (d *door) fade(ctx, last context.Context, stays time.Duration) {
	<-d.served // from here on every connection counts
	first, cancel := context.WithTimeout(ctx, stays)
	defer cancel()
	if !d.await(first, d.empty) && ctx.Err() == nil {
		d.lane.stays.cut(func(s *stay) bool { return s.door == d }, func(*stay) {})
		rest, cancel := context.WithTimeout(ctx, d.limits.idle)
		defer cancel()
		d.await(rest, d.empty)
	}
	limit, cancel := context.WithTimeout(last, stays)
	defer cancel()
	d.drain(limit)
}

func (d *door) quiet() bool { return d.busy.Load() == 0 }
func (d *door) empty() bool { return d.quiet() && d.clients.Load() == 0 }

// await blocks until so is true, and reports whether it is: ctx may end first.
func (d *door) await(ctx context.Context, so func() bool) bool {
	for !so() {
		select {
		case <-d.stirred:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// abandon closes a door that never answered.
func (d *door) abandon() {
	d.cut()
	_ = d.listener.Close()
}

func listenError(addr string, err error) error {
	e := &deploy.Error{Code: deploy.CodeRefused, Op: "listen", Subject: addr, Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Message = addr + " is taken by another process: stop that one, or give the proxy another listen address"
	case errors.Is(err, syscall.EACCES):
		e.Message = addr + " may not be opened by the proxy's user: use a port from 1024 up, or allow it with setcap cap_net_bind_service=+ep"
	default:
		e.Code = deploy.CodeInvalid
		e.Message = addr + " cannot be opened on this machine: check the listen address"
	}
	return e
}

// buffers are the copy buffers that all requests share.
type buffers struct{ pool sync.Pool }

// Get returns a buffer of bufferSize bytes.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes back what Get gave.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
