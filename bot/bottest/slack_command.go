package bottest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// SlackCommand is a slash command. Every empty field has a default.
type SlackCommand struct {
	Command     string    // default "/ipub"
	Text        string    // what follows it
	User        string    // default "U024BE7LH"
	UserName    string    // default "ada"
	Channel     string    // default "C0DEPLOYS"; "D…" is a private conversation
	Trigger     string    // default a new one: another message
	ResponseURL string    // default a new one of this workspace
	At          time.Time // when it is signed; default now
}

// Command builds the request that Slack sends to an app's request URL when a
// person types c.
func (s *Slack) Command(to string, c SlackCommand) *http.Request {
	if c.ResponseURL == "" {
		c.ResponseURL = s.newResponseURL()
	}
	if c.Trigger == "" {
		s.mu.Lock()
		s.serial++
		c.Trigger = fmt.Sprintf("%d.47445629121.%s", 398738663015+s.serial, Hash(fmt.Sprint(s.serial))[:32])
		s.mu.Unlock()
	}
	if c.At.IsZero() {
		c.At = s.Now()
	}
	form := url.Values{
		"token": {"xyzz0WbapA4vBCDEFasx0q6G"}, "team_id": {"T1DC2JH3J"}, "team_domain": {"testteamnow"}, "api_app_id": {"A0IPUBLISH"},
		"channel_id": {or(c.Channel, "C0DEPLOYS")}, "channel_name": {"deploys"}, "is_enterprise_install": {"false"},
		"user_id": {or(c.User, "U024BE7LH")}, "user_name": {or(c.UserName, "ada")},
		"command": {or(c.Command, "/ipub")}, "text": {c.Text}, "response_url": {c.ResponseURL}, "trigger_id": {c.Trigger},
	}
	return s.Sign(to, []byte(form.Encode()), c.At)
}

// Sign builds a request with any body that is signed as Slack signs at a time.
func (s *Slack) Sign(to string, body []byte, at time.Time) *http.Request {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		panic(err) // a malformed URL in a test
	}
	ts := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	r.Header.Set("X-Slack-Request-Timestamp", ts)
	r.Header.Set("X-Slack-Signature", "v0="+hexMAC(s.SigningSecret, append([]byte("v0:"+ts+":"), body...)))
	return r
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
