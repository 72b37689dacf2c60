package proxy

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// controlTimeout is how long a question on a control socket may take to arrive,
// and at the end to be answered.
const controlTimeout = 10 * time.Second

// desk answers on a control socket. A connection is one question, and each one
// that was accepted is answered: Shutdown of net/http would drop those that it
// is still reading.
type desk struct {
	listener net.Listener
	server   *http.Server
	callers  sync.WaitGroup
	ended    chan struct{} // closed when nobody is accepted any more
	err      error         // of accepting; to be read when it has ended
}

// openDesk answers until the desk is closed.
func openDesk(listener net.Listener, h http.Handler) *desk {
	d := &desk{listener: listener, ended: make(chan struct{})}
	d.server = &http.Server{Handler: h, ReadHeaderTimeout: controlTimeout, ConnState: d.count}
	d.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(d.ended)
		d.err = d.server.Serve(listener)
	}()
	return d
}

func (d *desk) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		d.callers.Add(1)
	case http.StateClosed, http.StateHijacked:
		d.callers.Done()
	}
}

// close answers those who were accepted, and leaves the others to a successor
// that has the listener too.
func (d *desk) close() {
	_ = d.listener.Close() // the server closes it as well
	<-d.ended
	impatient := time.AfterFunc(controlTimeout, func() { _ = d.server.Close() })
	d.callers.Wait()
	impatient.Stop()
	_ = d.server.Close() // nobody is connected
}
