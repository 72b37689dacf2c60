package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

var errNobody = errors.New("no address is up")

// exchange is one request on its way: it picks the address, moves on when a
// connect is refused, and counts how it ended. It is the transport of the
// reverse proxy that serves this one request.
type exchange struct {
	door   *door
	w      taker
	client *http.Request // as it came
	began  time.Time     // when its head was there
	proxy  httputil.ReverseProxy

	backend *backend // in flight there; nil: nowhere
	taken   role
	tried   []*backend // refused the connect, in this order

	upload   upload
	answer   answer
	stay     *stay // nil: the answer ends by itself
	answered bool
	failed   bool
}

func (x *exchange) serve() {
	defer x.end()
	x.proxy = httputil.ReverseProxy{
		Rewrite:      rewrite,
		Transport:    x,
		BufferPool:   x.door.buffers,
		ErrorLog:     x.door.silent,
		ErrorHandler: x.refuse,
	}
	x.proxy.ServeHTTP(&x.w, x.client)
	x.measure()
}

// RoundTrip sends the request to the table's address, and on to the next one as
// long as connects fail and nothing of the request was used.
func (x *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	if err := x.upload.take(out, x.door.pace(x.w.ResponseWriter)); err != nil {
		return nil, err
	}
	err := errNobody
	for x.next() {
		var res *http.Response
		if res, err = x.try(out); err == nil {
			x.accept(res)
			return res, nil
		}
		if !x.mayMove(err) {
			break
		}
		x.backend.refused.Add(1)
		x.door.lane.bell.ring()
		x.tried = append(x.tried, x.backend)
	}
	return nil, err
}

// try sends the request to the address, anew where it met a connection that had
// just been closed: of those there are only so many.
func (x *exchange) try(out *http.Request) (*http.Response, error) {
	out.URL.Host = x.backend.addr
	for {
		if err := x.upload.attach(out); err != nil {
			return nil, err
		}
		res, err := x.backend.transport.RoundTrip(out)
		if err == nil || !metClosed(err) || !x.upload.unused() {
			return res, err
		}
	}
}

// metClosed reports whether the transport took an unused connection just when
// the backend had closed it, and so sent nothing. It repeats by itself only what
// may be sent twice, and does not export its error.
func metClosed(err error) bool { return err.Error() == "http: server closed idle connection" }

// next leaves the address that the request is at and takes another.
func (x *exchange) next() bool {
	x.leave()
	x.backend, x.taken = x.door.lane.acquire(x.tried)
	return x.backend != nil
}

func (x *exchange) leave() {
	if x.backend != nil {
		x.backend.release(x.taken)
		x.backend = nil
	}
}

func (x *exchange) mayMove(err error) bool {
	var refused *dialError
	return errors.As(err, &refused) && x.upload.unused() && x.client.Context().Err() == nil
}

func (x *exchange) accept(res *http.Response) {
	x.answered = true
	x.backend.requests.Add(1)
	if res.StatusCode >= http.StatusInternalServerError {
		x.backend.errors5.Add(1)
		x.door.lane.bell.ring()
	}
	x.upload.pace.answered()
	if x.stay = newStay(x, res); x.stay != nil {
		x.door.lane.stays.add(x.stay)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	if res.Body != http.NoBody {
		x.answer = answer{ReadCloser: res.Body, x: x}
		res.Body = &x.answer
	}
	x.announceEnd()
}

// announceEnd asks the client to open its next connection anew where this one
// has no future: the door is shut, or what is left of the request's body, for
// which nobody waits long, could be taken for the next request.
func (x *exchange) announceEnd() {
	if x.door.ending.Load() || x.upload.unfinished() {
		x.w.Header().Set("Connection", "close")
	}
}

// refuse answers for a backend that did not.
func (x *exchange) refuse(w http.ResponseWriter, _ *http.Request, err error) {
	x.announceEnd()
	var short *shortageError
	switch {
	case errors.Is(err, errNobody):
		http.Error(w, "no release is live here yet", http.StatusServiceUnavailable)
		return
	case errors.As(err, &short):
		x.door.shortage.tell(err)
		http.Error(w, "the proxy has too few connections left", http.StatusServiceUnavailable)
		return
	case x.upload.late.Load():
		http.Error(w, "the request's body did not come in time", http.StatusRequestTimeout)
	case x.upload.broken.Load():
		http.Error(w, "the request's body could not be read", http.StatusBadRequest)
	default:
		http.Error(w, "the application did not answer", http.StatusBadGateway)
	}
	x.fail()
}

// fail counts the request as failed, unless its client went away by itself.
func (x *exchange) fail() {
	b := x.blamed()
	if b == nil || x.failed {
		return
	}
	if !x.answered {
		b.requests.Add(1)
	}
	if x.client.Context().Err() == nil && !x.upload.broken.Load() {
		b.failures.Add(1)
		x.door.lane.bell.ring()
	}
	x.answered, x.failed = true, true
}

func (x *exchange) blamed() *backend {
	if x.backend == nil && len(x.tried) > 0 {
		return x.tried[0]
	}
	return x.backend
}

// measure counts how long the answer took, which is whole now: one that broke
// ended in a panic. What has no end of its own took as long as somebody liked.
func (x *exchange) measure() {
	if x.answered && !x.failed && (x.stay == nil || x.stay.ends()) {
		x.backend.latencies.add(time.Since(x.began))
	}
}

func (x *exchange) end() {
	if x.stay != nil {
		_ = x.stay.body.Close() // usually closed already
		x.door.lane.stays.remove(x.stay)
	}
	x.upload.pace.end()
	x.leave()
}

// answer is the response's body on its way to the client.
type answer struct {
	io.ReadCloser
	x *exchange
}

// Read reads what the backend sends; an early end is the backend's failure
// unless it was our doing.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if s := a.x.stay; s != nil && s.cut.Load() {
		if s.events {
			return n, io.EOF
		}
		return n, err
	}
	a.x.fail()
	return n, err
}

// rewrite makes the request that the backend gets. What the reverse proxy drops
// as untrusted is put back: whom to trust is the application's to say.
func rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.Scheme = "http"
	out.URL.RawQuery = in.URL.RawQuery
	if out.Host == "" {
		out.Host = localAddress(in)
	}
	keep(out.Header, in.Header, "Forwarded", "X-Real-Ip", "Remote-Host", "X-Forwarded-Host", "X-Forwarded-Proto")
	peer, _, err := net.SplitHostPort(in.RemoteAddr)
	if through := in.Header["X-Forwarded-For"]; err == nil && len(through) > 0 {
		peer = strings.Join(through, ", ") + ", " + peer
	}
	values := []string{peer, out.Host, "http"} // one allocation for three headers
	if err == nil {
		out.Header["X-Forwarded-For"] = values[0:1:1]
	}
	setAbsent(out.Header, "X-Forwarded-Host", values[1:2:2])
	setAbsent(out.Header, "X-Forwarded-Proto", values[2:3:3])
}

// keep copies headers from the client's request, even where its Connection
// header asked to drop them.
func keep(out, in http.Header, names ...string) {
	for _, name := range names {
		if v, ok := in[name]; ok {
			out[name] = v
		}
	}
}

func setAbsent(h http.Header, name string, value []string) {
	if len(h[name]) == 0 {
		h[name] = value
	}
}

// localAddress stands in for the Host that an HTTP/1.0 client did not send.
func localAddress(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a.String()
	}
	return ""
}
