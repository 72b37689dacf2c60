package dingtalkgateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"ipublish/bot/bottest"
)

// ticket opens one connection.
type ticket struct {
	topics []string // of callbacks that are subscribed
	born   time.Time
	spent  bool
}

// opening is how one call of open is answered.
type opening struct {
	status   int // 0: as documented
	body     any
	endpoint string // empty: the gateway's own
	stale    bool   // with a ticket that is too old already
	spent    bool   // with a ticket that was used already
}

type openRequest struct {
	ClientID      string `json:"clientId"`
	ClientSecret  string `json:"clientSecret"`
	Subscriptions []struct{ Type, Topic string }
}

// open hands out tickets.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request) {
	var in openRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		respond(w, http.StatusBadRequest, failure("invalidParameter", "the body is not JSON"))
		return
	}
	var how opening
	g.locked(func() {
		if len(g.next) > 0 {
			how, g.next = g.next[0], g.next[1:]
		}
	})
	topics, bad := in.topics()
	switch {
	case how.status != 0:
		respond(w, how.status, how.body)
	case in.ClientID != g.ClientID || in.ClientSecret != g.ClientSecret:
		respond(w, http.StatusUnauthorized, failure("authFailed", "鉴权失败"))
	case bad != "":
		respond(w, http.StatusBadRequest, failure("invalidParameter.subscriptions", bad))
	default:
		respond(w, http.StatusOK, map[string]string{"endpoint": g.endpoint(how), "ticket": g.issue(how, topics)})
	}
}

// topics gives the callbacks that are subscribed, or says what is wrong.
func (in openRequest) topics() (topics []string, bad string) {
	if len(in.Subscriptions) == 0 {
		return nil, "nothing is subscribed"
	}
	for _, s := range in.Subscriptions {
		switch {
		case s.Topic == "":
			return nil, "a topic is empty"
		case s.Type == "CALLBACK":
			topics = append(topics, s.Topic)
		case s.Type != "EVENT" && s.Type != "SYSTEM":
			return nil, fmt.Sprintf("the type %q is unknown", s.Type)
		}
	}
	return topics, ""
}

func (g *Gateway) endpoint(how opening) string {
	if how.endpoint != "" {
		return how.endpoint
	}
	return "ws" + strings.TrimPrefix(g.server.URL, "http") + "/connect"
}

// issue makes a ticket; its text has to be escaped in a query.
func (g *Gateway) issue(how opening, topics []string) (text string) {
	t := &ticket{topics: topics, born: g.Now(), spent: how.spent}
	if how.stale {
		t.born = t.born.Add(-ticketLife - time.Second)
	}
	g.locked(func() {
		text = "ticket+" + g.id("") + "/=="
		g.tickets[text] = t
	})
	return text
}

// redeem spends a ticket.
func (g *Gateway) redeem(text string) (topics []string, ok bool) {
	g.locked(func() {
		t := g.tickets[text]
		if ok = t != nil && !t.spent && g.Now().Sub(t.born) <= ticketLife; ok {
			t.spent, topics = true, slices.Clone(t.topics)
		}
	})
	return topics, ok
}

func failure(code, message string) map[string]string {
	return map[string]string{"code": code, "message": message, "requestid": bottest.Hash(message)}
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a bot that is gone needs no answer
}
