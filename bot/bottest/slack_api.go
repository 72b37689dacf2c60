package bottest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"
)

func (s *Slack) authTest(*http.Request) (object, string) {
	return object{"ok": true, "url": s.URL, "team": "testteamnow", "team_id": "T1DC2JH3J", "user": "ipublish", "user_id": "U0IPUBLISH", "bot_id": "B0IPUBLISH"}, ""
}

var slackChannel = regexp.MustCompile(`^[CDG][A-Z0-9]{2,}$`)

func (s *Slack) postMessage(r *http.Request) (object, string) {
	channel := r.PostForm.Get("channel")
	switch {
	case !slackChannel.MatchString(channel):
		return nil, "channel_not_found"
	case s.absent[channel]:
		return nil, "not_in_channel"
	}
	v, failure := s.version(r)
	if failure != "" {
		return nil, failure
	}
	if s.posts[channel] == nil {
		s.posts[channel] = &meter{most: slackBurst, window: slackBurst * time.Second}
	}
	if wait := s.posts[channel].take(s.Now()); wait > 0 {
		return nil, "ratelimited " + wait.String()
	}
	m := &SlackMessage{Channel: channel, TS: s.ts(), Thread: r.PostForm.Get("thread_ts"), SlackVersion: v}
	s.messages = append(s.messages, m)
	return object{"ok": true, "channel": channel, "ts": m.TS, "message": object{"text": v.Text, "ts": m.TS, "bot_id": "B0IPUBLISH"}}, ""
}

func (s *Slack) update(r *http.Request) (object, string) {
	channel, ts := r.PostForm.Get("channel"), r.PostForm.Get("ts")
	if !slackChannel.MatchString(channel) {
		return nil, "channel_not_found"
	}
	if wait := s.edits.take(s.Now()); wait > 0 {
		return nil, "ratelimited " + wait.String()
	}
	m := s.find(channel, ts)
	switch {
	case m == nil:
		return nil, "message_not_found"
	case m.Foreign:
		return nil, "cant_update_message"
	}
	v, failure := s.version(r)
	if failure != "" {
		return nil, failure
	}
	m.History = append(m.History, m.SlackVersion)
	m.SlackVersion = v // text without blocks removes the blocks
	return object{"ok": true, "channel": channel, "ts": ts, "text": v.Text}, ""
}

func (s *Slack) find(channel, ts string) *SlackMessage {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts {
			return m
		}
	}
	return nil
}

// version reads text and blocks of a call and judges them by Slack's limits.
func (s *Slack) version(r *http.Request) (SlackVersion, string) {
	v := SlackVersion{Text: r.PostForm.Get("text"), Parse: r.PostForm.Get("parse"), LinkNames: r.PostForm.Get("link_names") == "true", At: s.Now()}
	if raw := r.PostForm.Get("blocks"); raw != "" {
		if err := json.Unmarshal([]byte(raw), &v.Blocks); err != nil {
			return v, "invalid_blocks_format"
		}
	}
	return v, v.judge()
}

// judge returns the error code that Slack would answer, "" if none.
func (v SlackVersion) judge() string {
	if v.Text == "" && len(v.Blocks) == 0 {
		return "no_text"
	}
	if units(v.Text) > slackTextLimit {
		return "msg_too_long"
	}
	sum := 0
	for _, b := range v.Blocks {
		if !b.valid() {
			return "invalid_blocks"
		}
		if b.Text != nil {
			sum += units(b.Text.Text)
		}
	}
	switch {
	case len(v.Blocks) > slackBlocksLimit:
		return "invalid_blocks"
	case sum > slackSumLimit:
		return "msg_blocks_too_long"
	}
	return ""
}

func (b SlackBlock) valid() bool {
	switch b.Type {
	case "divider":
		return true
	case "header":
		return b.Text != nil && b.Text.Type == "plain_text" && within(b.Text.Text, slackHeaderLimit)
	case "section":
		return b.Text != nil && within(b.Text.Text, slackSectionLimit)
	}
	return false // blocks that no driver here sends are not known
}

func within(text string, limit int) bool { return text != "" && units(text) <= limit }

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// responseURL is the state of one command's response_url.
type responseURL struct {
	born time.Time
	uses int
}

// respond serves response_urls: plain "ok", and no ts to edit later.
func (s *Slack) respond(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.urls[r.URL.Path]
	switch {
	case u == nil:
		http.Error(w, "No such webhook", http.StatusNotFound)
	case s.Now().Sub(u.born) > slackReplyWithin:
		answer(w, http.StatusNotFound, object{"ok": false, "error": "expired_url"})
	case u.uses >= slackReplyUses:
		answer(w, http.StatusNotFound, object{"ok": false, "error": "used_url"})
	default:
		u.uses++
		s.reply(w, r)
	}
}

func (s *Slack) reply(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SlackVersion
		Type string `json:"response_type"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	if failure := in.judge(); failure != "" {
		http.Error(w, failure, http.StatusBadRequest)
		return
	}
	in.At = s.Now()
	s.replies = append(s.replies, &SlackMessage{SlackVersion: in.SlackVersion, Ephemeral: in.Type != "in_channel"})
	fmt.Fprint(w, "ok")
}

// newResponseURL makes a response_url for a command.
func (s *Slack) newResponseURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	path := fmt.Sprintf("/commands/T1DC2JH3J/%d/%s", 397700885554+s.serial, strings.ToUpper(Hash(fmt.Sprint(s.serial))[:24]))
	s.urls[path] = &responseURL{born: s.Now()}
	return s.URL + path
}
