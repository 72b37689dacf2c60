package slacksocket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ipublish/bot/bottest"
)

// BotUser is the id of the app's bot, which people mention.
const BotUser = "U0IPUBLISH"

// mostAck is the size from which Slack drops an ack silently (slack-go's
// socketmode.go: measured with it and with Slack's own SDK for Node).
const mostAck = 20 * 1024

// How a person learns that nothing came of a command.
var (
	// ErrNobody says that no connection stood when it was typed: dispatch_failed.
	ErrNobody = errors.New("dispatch_failed: no connection stood")
	// ErrBroken says that its connection ended before the ack.
	ErrBroken = errors.New("operation_timeout: the connection ended before the ack")
	// ErrLate says that there was no ack in time.
	ErrLate = errors.New("operation_timeout: no ack in time")
)

// Ack is how a payload was acknowledged.
type Ack struct {
	Envelope string
	Payload  json.RawMessage // nil: none
	Text     string          // of the payload: what the asker alone sees
	After    time.Duration   // since the payload was sent
}

// envelope is one payload on its way.
type envelope struct {
	kind    string
	payload any
	accepts bool
	line    *line // nil: nobody was there
	sent    time.Time
	ack     *Ack
	broken  bool
}

// Say lets a person type "/ipub text" in a channel; empty: U024BE7LH, C0DEPLOYS.
func (s *Slack) Say(user, channel, text string) (envelopeID, triggerID string) {
	return s.Type(bottest.SlackCommand{User: user, Channel: channel, Text: text})
}

// Type lets a person type any slash command.
func (s *Slack) Type(c bottest.SlackCommand) (envelopeID, triggerID string) {
	body, err := io.ReadAll(s.Web.Command("/", c).Body)
	if err != nil {
		s.t.Fatal(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		s.t.Fatal(err)
	}
	payload := map[string]any{}
	for name := range form {
		payload[name] = form.Get(name)
	}
	payload["response_url"] = s.URL + strings.TrimPrefix(form.Get("response_url"), s.Web.URL)
	// Samples of this field differ: a text as in the form, or a boolean.
	if rand.N(2) == 0 {
		payload["is_enterprise_install"] = false
	}
	return s.Send("slash_commands", payload, true), form.Get("trigger_id")
}

// Mention lets a person write "@ipublish text" in a channel; thread is the ts of
// the message whose thread it is written in, or empty. ts is the message's own.
func (s *Slack) Mention(user, channel, thread, text string) (envelopeID, eventID, ts string) {
	said := "<@" + BotUser + "> " + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	_, ts, _ = strings.Cut(s.Web.Say(channel, said), ":")
	inner := map[string]any{
		"type": "app_mention", "user": user, "channel": channel, "text": said, "ts": ts, "event_ts": ts, "team": "T1DC2JH3J", "client_msg_id": "c9b466b5-845c-49c6-a371-57ae44359bf1",
		"blocks": []any{map[string]any{"type": "rich_text", "block_id": "1HBPc", "elements": []any{}}},
	}
	if thread != "" {
		inner["thread_ts"] = thread
	}
	envelopeID, eventID = s.Event(inner)
	return envelopeID, eventID, ts
}

// Event sends any event of the Events API.
func (s *Slack) Event(inner map[string]any) (envelopeID, eventID string) {
	s.mu.Lock()
	s.serial++
	eventID = fmt.Sprintf("Ev%08dMk", s.serial)
	s.mu.Unlock()
	return s.Send("events_api", map[string]any{
		"token": "xyzz0WbapA4vBCDEFasx0q6G", "team_id": "T1DC2JH3J", "api_app_id": "A0IPUBLISH", "type": "event_callback",
		"event": inner, "event_id": eventID, "event_time": time.Now().Unix(), "event_context": "1-app_mention-T1DC2JH3J",
		"authorizations": []any{map[string]any{"enterprise_id": nil, "team_id": "T1DC2JH3J", "user_id": BotUser, "is_bot": true, "is_enterprise_install": false}},
	}, false), eventID
}

// Send gives a payload of any type to one of the connections, if there is one.
func (s *Slack) Send(kind string, payload any, accepts bool) (envelopeID string) {
	return s.send(&envelope{kind: kind, payload: payload, accepts: accepts}, frame{})
}

// Redeliver sends the payload of an envelope again, in a new one, as Slack does
// with events that nobody acknowledged.
func (s *Slack) Redeliver(envelopeID string) (again string) {
	s.mu.Lock()
	old := s.envelopes[envelopeID]
	s.mu.Unlock()
	if old == nil {
		s.t.Fatalf("there is no envelope %s", envelopeID)
	}
	return s.send(&envelope{kind: old.kind, payload: old.payload, accepts: old.accepts}, frame{"retry_attempt": 1, "retry_reason": "timeout"})
}

func (s *Slack) send(e *envelope, extra frame) (id string) {
	s.mu.Lock()
	s.serial++
	id = fmt.Sprintf("%s-0ffb-41f3-a080-%012d", bottest.Hash(fmt.Sprint("envelope", s.serial))[:8], s.serial)
	s.envelopes[id] = e
	if lines := s.linesThat(known); len(lines) > 0 {
		e.line = lines[rand.N(len(lines))]
	}
	e.sent = time.Now()
	lost := e.line == nil || e.line.silent
	s.mu.Unlock()
	if !lost {
		extra["envelope_id"], extra["type"], extra["payload"], extra["accepts_response_payload"] = id, e.kind, e.payload, e.accepts
		e.line.send(extra)
	}
	return id
}

// acknowledged reads what came over a connection.
func (s *Slack) acknowledged(l *line, b []byte) {
	var in struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		s.t.Errorf("an ack is not JSON: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.envelopes[in.EnvelopeID]
	switch {
	case l.silent:
	case len(b) >= mostAck:
		s.t.Errorf("an ack has %d bytes: Slack drops it", len(b))
	case e == nil:
		s.t.Errorf("an ack for %q, which was never sent", in.EnvelopeID)
	case e.line != l:
	case e.ack != nil:
		s.t.Errorf("%s is acknowledged twice", in.EnvelopeID)
	case in.Payload != nil && !e.accepts:
		s.t.Errorf("%s takes no payload and got %s", in.EnvelopeID, in.Payload)
	default:
		e.ack = &Ack{Envelope: in.EnvelopeID, Payload: in.Payload, Text: textOf(in.Payload), After: time.Since(e.sent)}
		s.touch()
	}
}

func textOf(payload []byte) string {
	var in struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(payload, &in) // none, or no message: no text
	return in.Text
}

// WaitAck waits for an envelope's ack. It returns early, with ErrNobody,
// ErrBroken or ErrLate, when the person is told that nothing came of it.
func (s *Slack) WaitAck(ctx context.Context, envelopeID string) (Ack, error) {
	limit, cancel := context.WithDeadlineCause(ctx, s.lookup(envelopeID).sent.Add(s.options.AckWithin), ErrLate)
	defer cancel()
	var got Ack
	var failed error
	err := s.wait(limit, "an ack", func() bool {
		e := s.envelopes[envelopeID]
		switch {
		case e.ack != nil && e.ack.After > s.options.AckWithin:
			failed = ErrLate
		case e.ack != nil:
			got = *e.ack
		case e.line == nil:
			failed = ErrNobody
		case e.broken:
			failed = ErrBroken
		}
		return e.ack != nil || failed != nil
	})
	if err != nil && errors.Is(context.Cause(limit), ErrLate) {
		err = ErrLate
	}
	return got, errors.Join(failed, err)
}

// Acks returns every ack until now, in time or late, in no order.
func (s *Slack) Acks() []Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Ack
	for _, e := range s.envelopes {
		if e.ack != nil {
			out = append(out, *e.ack)
		}
	}
	return out
}

func (s *Slack) lookup(envelopeID string) envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.envelopes[envelopeID]
	if e == nil {
		s.t.Fatalf("there is no envelope %s", envelopeID)
	}
	return *e
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}
