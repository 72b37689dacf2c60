package bottest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Slack is a workspace of Slack with one app in it, as far as a bot over HTTP
// sees it: auth.test, chat.postMessage, chat.update, response_url, slash
// commands, limits and rate limits.
type Slack struct {
	Clock
	URL           string // of the server
	Token         string // xoxb-…
	SigningSecret string

	t        testing.TB
	mu       sync.Mutex
	messages []*SlackMessage
	replies  []*SlackMessage
	absent   map[string]bool // channels that the bot has left
	posts    map[string]*meter
	edits    meter
	urls     map[string]*responseURL
	faults   []slackFault
	serial   int
}

// slackFault is an answer that replaces the next one of the API.
type slackFault struct {
	status int
	after  time.Duration
	code   string
}

// Slack's documented limits; "short bursts" over one message a second are
// allowed without a figure, taken here as five within five seconds.
const (
	slackBurst        = 5
	slackEditsPerMin  = 50
	slackReplyUses    = 5
	slackReplyWithin  = 30 * time.Minute
	slackTextLimit    = 4000
	slackBlocksLimit  = 50
	slackHeaderLimit  = 150
	slackSectionLimit = 3000
	slackSumLimit     = 12000
)

// NewSlack starts a workspace; it ends with the test.
func NewSlack(t testing.TB) *Slack {
	t.Helper()
	s := &Slack{
		Token: "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy", SigningSecret: "8f742231b10e8888abcd99yyyzzz85a5",
		t: t, absent: map[string]bool{}, posts: map[string]*meter{}, urls: map[string]*responseURL{},
		edits: meter{most: slackEditsPerMin, window: time.Minute},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth.test", s.method(s.authTest))
	mux.HandleFunc("POST /api/chat.postMessage", s.method(s.postMessage))
	mux.HandleFunc("POST /api/chat.update", s.method(s.update))
	mux.HandleFunc("POST /commands/", s.respond)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// APIURL is what a driver takes as api_url.
func (s *Slack) APIURL() string { return s.URL + "/api/" }

// Messages returns what a channel shows, oldest first; an empty channel means all.
func (s *Slack) Messages(channel string) []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []SlackMessage
	for _, m := range s.messages {
		if channel == "" || m.Channel == channel {
			out = append(out, m.clone())
		}
	}
	return out
}

// Replies returns what was answered through response_urls, oldest first.
func (s *Slack) Replies() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []SlackMessage
	for _, m := range s.replies {
		out = append(out, m.clone())
	}
	return out
}

// Throttle makes the next n calls of the API answer 429 with this Retry-After.
func (s *Slack) Throttle(n int, after time.Duration) {
	s.fault(n, slackFault{status: http.StatusTooManyRequests, after: after})
}

// Break makes the next n calls of the API answer 503 with a page of HTML.
func (s *Slack) Break(n int) { s.fault(n, slackFault{status: http.StatusServiceUnavailable}) }

// Fail makes the next call of the API answer {"ok":false,"error":code}.
func (s *Slack) Fail(code string) { s.fault(1, slackFault{code: code}) }

func (s *Slack) fault(n int, f slackFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.faults = append(s.faults, f)
	}
}

// Leave takes the bot out of a channel: posting there is not_in_channel.
func (s *Slack) Leave(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent[channel] = true
}

// Delete removes a message, named "CHANNEL:TS", as a person would.
func (s *Slack) Delete(ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.messages {
		if m.Ref() == ref {
			s.messages = append(s.messages[:i], s.messages[i+1:]...)
			return
		}
	}
	s.t.Errorf("there is no message %s to delete", ref)
}

// Say posts a message of a person and returns its "CHANNEL:TS".
func (s *Slack) Say(channel, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &SlackMessage{Channel: channel, TS: s.ts(), Foreign: true, SlackVersion: SlackVersion{Text: text}}
	s.messages = append(s.messages, m)
	return m.Ref()
}

// ts returns a timestamp that no other message has: Slack's own count in
// microseconds.
func (s *Slack) ts() string {
	s.serial++
	return fmt.Sprintf("%d.%06d", s.Now().Unix(), s.serial)
}

// method serves one API method: token, faults, then call.
func (s *Slack) method(call func(r *http.Request) (object, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			answer(w, http.StatusOK, object{"ok": false, "error": "invalid_form_data"})
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token != s.Token && r.PostForm.Get("token") != s.Token {
			answer(w, http.StatusOK, object{"ok": false, "error": "invalid_auth"})
			return
		}
		if s.faulty(w) {
			return
		}
		out, failure := call(r)
		if wait, limited := strings.CutPrefix(failure, "ratelimited "); limited {
			d, _ := time.ParseDuration(wait)
			tooMany(w, d)
			return
		}
		if failure != "" {
			out = object{"ok": false, "error": failure}
		}
		w.Header().Set("X-OAuth-Scopes", "commands,chat:write,chat:write.public,app_mentions:read")
		answer(w, http.StatusOK, out)
	}
}

func (s *Slack) faulty(w http.ResponseWriter) bool {
	if len(s.faults) == 0 {
		return false
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	switch {
	case f.code != "":
		answer(w, http.StatusOK, object{"ok": false, "error": f.code})
	case f.status == http.StatusTooManyRequests:
		tooMany(w, f.after)
	default:
		http.Error(w, "<html>Sorry!</html>", f.status)
	}
	return true
}

func tooMany(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(after.Seconds())))))
	answer(w, http.StatusTooManyRequests, object{"ok": false, "error": "ratelimited"})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}
