package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ipublish/deploy"
)

const (
	heartbeat   = 15 * time.Second
	writeWithin = 20 * time.Second
)

// apiEvents streams a deploy's events as server-sent events, from the one after
// "after" (or the Last-Event-ID header): "id" is N, "data" the event as JSON.
// The stream ends after the deploy's end.
func (s *Server) apiEvents(w http.ResponseWriter, r *http.Request) {
	st, err := s.deployOf(r)
	if err != nil {
		s.apiError(w, err)
		return
	}
	after, err := afterN(r)
	if err != nil {
		s.apiError(w, err)
		return
	}
	ctx, leave, ok := s.streams.join(r.Context())
	if !ok {
		busy(w)
		return
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if !st.Ended() || after < st.N {
		s.stream(ctx, w, st.ID, after)
	}
}

func afterN(r *http.Request) (uint64, error) {
	text := r.URL.Query().Get("after")
	if text == "" {
		text = r.Header.Get("Last-Event-ID")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("after is the number of an event, such as after=12")
	}
	return n, nil
}

// stream writes until the deploy's end, the client's, or the server's.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, id deploy.ID, after uint64) {
	for {
		events, err := s.nextEvents(ctx, id, after)
		if err != nil && len(events) == 0 {
			return
		}
		unhurried(w, writeWithin)
		ended, gone := writeEvents(w, events)
		if err != nil || gone != nil || ended {
			return
		}
		if len(events) > 0 {
			after = events[len(events)-1].N
		}
	}
}

// nextEvents waits for newer events; none when a heartbeat's time passed.
func (s *Server) nextEvents(ctx context.Context, id deploy.ID, after uint64) ([]deploy.Event, error) {
	wait, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	events, err := s.Handler.Journal.Events(wait, id, after)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return events, err
}

// writeEvents writes the events, or a heartbeat for none, and sends them off.
func writeEvents(w http.ResponseWriter, events []deploy.Event) (ended bool, gone error) {
	if len(events) == 0 {
		fmt.Fprint(w, ": waiting\n\n")
	}
	for _, ev := range events {
		b, err := json.Marshal(publishedEvent(ev))
		if err != nil {
			return false, err
		}
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", ev.N, b)
		ended = ended || ev.Kind == deploy.KindEnded
	}
	return ended, http.NewResponseController(w).Flush()
}

// streams are the event streams that are open: at most so many, and none after
// end.
type streams struct {
	limit int

	mu    sync.Mutex
	next  int
	open  map[int]context.CancelFunc
	ended bool
}

func newStreams(limit int) *streams {
	return &streams{limit: limit, open: map[int]context.CancelFunc{}}
}

// join gives a context that end cancels; leave must be called.
func (s *streams) join(parent context.Context) (ctx context.Context, leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.open) >= s.limit {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(parent)
	id := s.next
	s.next++
	s.open[id] = cancel
	return ctx, func() { s.leave(id) }, true
}

func (s *streams) leave(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.open[id]; cancel != nil {
		cancel()
		delete(s.open, id)
	}
}

func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, cancel := range s.open {
		cancel()
	}
}
