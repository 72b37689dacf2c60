package slacksocket

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
)

// MostConnections is how many connections one app may have (docs.slack.dev,
// Socket Mode); a further one is told too_many_websockets and closed.
const MostConnections = 10

// Options are what a test may change before anything connects. A zero field has
// its default.
type Options struct {
	PingEvery time.Duration // default 100 ms
	AckWithin time.Duration // default 3 s, as Slack
}

// Slack is a workspace with one app in Socket Mode.
type Slack struct {
	URL      string         // of the server
	AppToken string         // xapp-…
	Web      *bottest.Slack // the Web API: bot token, messages, replies, faults

	options Options
	t       testing.TB

	mu        sync.Mutex
	changed   chan struct{}   // closed and replaced at every change
	tickets   map[string]bool // issued and not used
	lines     []*line
	envelopes map[string]*envelope
	refusals  []refusal
	opens     int
	serial    int
	ended     bool
	serving   sync.WaitGroup
}

// refusal is what the next apps.connections.open is answered.
type refusal struct {
	code   string // empty: 503
	after  time.Duration
	noLink bool // opened, but the URL takes no connection
}

// New starts a workspace; it ends with the test.
func New(t testing.TB, o Options) *Slack {
	t.Helper()
	if o.PingEvery == 0 {
		o.PingEvery = 100 * time.Millisecond
	}
	if o.AckWithin == 0 {
		o.AckWithin = 3 * time.Second
	}
	s := &Slack{
		AppToken: "xapp-1-A0IPUBLISH-1234567890123-0123456789abcdef0123456789abcdef",
		Web:      bottest.NewSlack(t), options: o, t: t,
		changed: make(chan struct{}), tickets: map[string]bool{}, envelopes: map[string]*envelope{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/apps.connections.open", s.open)
	mux.HandleFunc("GET /link/", s.link)
	mux.Handle("/", s.web())
	srv := httptest.NewServer(mux)
	s.URL = srv.URL
	t.Cleanup(func() {
		srv.Close()
		s.end()
	})
	return s
}

// APIURL is what a driver takes as api_url.
func (s *Slack) APIURL() string { return s.URL + "/api/" }

// web passes everything else on to the Web API and tells who waits for it.
func (s *Slack) web() http.Handler {
	to, err := url.Parse(s.Web.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.touch()
	})
}

// open serves apps.connections.open; the token counts in the header only.
func (s *Slack) open(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	s.opens++
	switch token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case strings.HasPrefix(token, "xoxb-"):
		answer(w, map[string]any{"ok": false, "error": "not_allowed_token_type"})
		return
	case token != s.AppToken:
		answer(w, map[string]any{"ok": false, "error": "invalid_auth"})
		return
	}
	refused := refusal{}
	if len(s.refusals) > 0 {
		refused, s.refusals = s.refusals[0], s.refusals[1:]
		if !refused.noLink {
			refused.answer(w)
			return
		}
	}
	s.serial++
	ticket := fmt.Sprintf("%d-%s", s.serial, bottest.Hash(fmt.Sprint("ticket", s.serial))[:16])
	s.tickets[ticket] = !refused.noLink
	answer(w, map[string]any{"ok": true, "url": "ws" + strings.TrimPrefix(s.URL, "http") + "/link/?ticket=" + ticket + "&app_id=A0IPUBLISH"})
}

func (f refusal) answer(w http.ResponseWriter) {
	switch f.code {
	case "":
		http.Error(w, "<html>Sorry!</html>", http.StatusServiceUnavailable)
	case "ratelimited":
		w.Header().Set("Retry-After", fmt.Sprint(int(f.after.Seconds())))
		w.WriteHeader(http.StatusTooManyRequests)
	default:
		answer(w, map[string]any{"ok": false, "error": f.code})
	}
}

// RefuseOpen makes the next n calls of apps.connections.open answer 503.
func (s *Slack) RefuseOpen(n int) { s.refuse(n, refusal{}) }

// FailOpen makes the next n calls answer {"ok":false,"error":code}.
func (s *Slack) FailOpen(n int, code string) { s.refuse(n, refusal{code: code}) }

// ThrottleOpen makes the next call answer 429 with this Retry-After, in seconds.
func (s *Slack) ThrottleOpen(after time.Duration) {
	s.refuse(1, refusal{code: "ratelimited", after: after})
}

// RefuseLink makes the next n URLs take no connection.
func (s *Slack) RefuseLink(n int) { s.refuse(n, refusal{noLink: true}) }

func (s *Slack) refuse(n int, f refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.refusals = append(s.refusals, f)
	}
}

// Opens is how often apps.connections.open was called.
func (s *Slack) Opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// WaitOpens waits until apps.connections.open was called n times in all.
func (s *Slack) WaitOpens(ctx context.Context, n int) error {
	return s.wait(ctx, fmt.Sprintf("%d calls of apps.connections.open", n), func() bool { return s.opens >= n })
}

// WaitShown waits until a message in a channel, or an answer that its asker
// alone sees, shows part.
func (s *Slack) WaitShown(ctx context.Context, part string) (bottest.SlackMessage, error) {
	var found bottest.SlackMessage
	err := s.wait(ctx, fmt.Sprintf("a message with %q", part), func() bool {
		for _, m := range append(s.Web.Messages(""), s.Web.Replies()...) {
			if !m.Foreign && strings.Contains(m.Visible(), part) {
				found = m
				return true
			}
		}
		return false
	})
	return found, err
}

// touch tells everybody who waits to look again; the lock is held.
func (s *Slack) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until ok, which is asked under the lock, or ctx ends.
func (s *Slack) wait(ctx context.Context, what string, ok func() bool) error {
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}
