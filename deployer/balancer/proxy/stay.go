package proxy

import (
	"io"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"
)

// stay is an exchange that has no end of its own: a tunnel, as a WebSocket is
// one, or an answer of which nobody said how long it will be, as server-sent
// events are one. No drain can wait for it for ever.
type stay struct {
	backend *backend
	door    *door
	body    io.Closer // of the backend's answer; closing it ends the exchange
	client  *taker
	tunnel  bool
	events  bool        // server-sent events: their end is no error to the client
	cut     atomic.Bool // by us
}

// newStay returns nil for an answer that ends by itself.
func newStay(x *exchange, res *http.Response) *stay {
	tunnel := res.StatusCode == http.StatusSwitchingProtocols
	if !tunnel && (res.ContentLength >= 0 || res.Body == http.NoBody) {
		return nil
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return &stay{backend: x.backend, door: x.door, body: res.Body, client: &x.w, tunnel: tunnel, events: !tunnel && kind == "text/event-stream"}
}

// ends reports whether it is an answer that its application is to finish.
func (s *stay) ends() bool { return !s.tunnel && !s.events }

// end cuts the exchange, at its client too, which may take nothing any more, and
// reports whether that was the first cut.
func (s *stay) end() bool {
	if !s.cut.CompareAndSwap(false, true) {
		return false
	}
	_ = s.body.Close() // it may have ended just now
	if s.events {
		s.client.cut(lastWord)
	} else {
		s.client.cut(0)
	}
	return true
}

// stays are those of one lane.
type stays struct {
	mu   sync.Mutex
	open map[*stay]struct{}
}

// add makes s one of them. One whose backend's drain is over already is cut.
func (a *stays) add(s *stay) {
	a.mu.Lock()
	if a.open == nil {
		a.open = map[*stay]struct{}{}
	}
	a.open[s] = struct{}{}
	a.mu.Unlock()
	if s.backend.over.Load() && s.end() {
		s.backend.tally(s)
	}
}

func (a *stays) remove(s *stay) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, s)
}

// cut ends every one that is meant, and tells each to count.
func (a *stays) cut(meant func(*stay) bool, count func(*stay)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.open {
		if meant(s) && s.end() {
			count(s)
		}
	}
}
