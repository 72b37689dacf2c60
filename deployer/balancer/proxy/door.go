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
	headerTimeout = 30 * time.Second
	// clientIdle is longer than the 60 s that nginx and the cloud's balancers keep
	// an unused connection to us: they close first, so that none of their requests
	// meets a closing one.
	clientIdle = 180 * time.Second
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
	buffers  *buffers
	silent   *log.Logger

	ending atomic.Bool
	busy   atomic.Int64
	quiet  chan struct{} // signalled when busy fell to 0 while ending
}

// openDoor listens at the address without answering yet. deploy.CodeRefused when
// it is taken or not ours to take, deploy.CodeInvalid when this machine has no such address.
func openDoor(l *lane, addr string, b *buffers, logger *slog.Logger) (*door, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	base, cut := context.WithCancel(context.Background())
	d := &door{
		lane: l, listener: listener, cut: cut, buffers: b,
		served: make(chan struct{}), quiet: make(chan struct{}, 1),
		silent: log.New(io.Discard, "", 0),
	}
	d.server = &http.Server{
		Handler:                      d,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  clientIdle,
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return base },
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	return d, nil
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
	x := exchange{door: d, w: w, client: r}
	x.serve()
}

func (d *door) leave() {
	if d.busy.Add(-1) == 0 && d.ending.Load() {
		select {
		case d.quiet <- struct{}{}:
		default:
		}
	}
}

// announceEnd asks the client to open its next connection anew once the door is
// to be shut.
func (d *door) announceEnd(w http.ResponseWriter) {
	if d.ending.Load() {
		w.Header().Set("Connection", "close")
	}
}

// shut stops accepting; requests that are running go on.
func (d *door) shut() {
	d.ending.Store(true)
	_ = d.listener.Close() // the accept loop closes it as well
}

// drain waits until the requests have ended, then closes the idle connections;
// what still runs when ctx ends is cut.
func (d *door) drain(ctx context.Context) {
	d.awaitQuiet(ctx)
	_ = d.server.Shutdown(ctx) // only ctx's end can be its error: then they are cut
	d.cut()
	_ = d.server.Close()
	grace, cancel := context.WithTimeout(context.Background(), cutGrace)
	defer cancel()
	d.awaitQuiet(grace)
}

func (d *door) awaitQuiet(ctx context.Context) {
	for d.busy.Load() > 0 {
		select {
		case <-d.quiet:
		case <-ctx.Done():
			return
		}
	}
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
