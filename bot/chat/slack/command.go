package slack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const (
	signatureWindow = 5 * time.Minute // docs.slack.dev, verifying requests
	mostText        = 8000            // bytes of a command; Slack's own input is shorter
	mostID          = 255
)

// Command implements bot.Chat for a slash command. Slack's certificate probe
// (ssl_check=1) need not be signed and asks for nothing: deploy.CodeNotFound, as
// for a command of another name, which comes back with its asker. With the
// socket transport every request is refused: there is no secret to prove it by.
func (c *Chat) Command(r *http.Request, body []byte) (deploy.Command, error) {
	if c.transport == transportSocket {
		return deploy.Command{}, refused("commands come by Slack's socket here, not by HTTP: chat.slack.transport is socket")
	}
	if string(body) == "ssl_check=1" || strings.HasPrefix(string(body), "ssl_check=1&") {
		return deploy.Command{}, nothing("a certificate probe of Slack")
	}
	if err := c.verify(r.Header, body); err != nil {
		return deploy.Command{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return deploy.Command{}, malformed("the body is not a form")
	}
	if form.Get("ssl_check") == "1" {
		return deploy.Command{}, nothing("a certificate probe of Slack")
	}
	return c.decode(form)
}

// decode reads the fields of a slash command, which are the same by HTTP and by
// socket.
func (c *Chat) decode(form url.Values) (deploy.Command, error) {
	cmd, err := readCommand(form)
	if err == nil && c.command != "" && form.Get("command") != c.command {
		err = nothing("the command " + hostile.Line(form.Get("command"), 40) + " is not ours: chat.slack.command is " + c.command)
	}
	return cmd, err
}

func readCommand(form url.Values) (deploy.Command, error) {
	user, channel, trigger := form.Get("user_id"), form.Get("channel_id"), form.Get("trigger_id")
	if !isID(user) || !isID(channel) || trigger == "" || len(trigger) > mostID {
		return deploy.Command{}, malformed("user_id, channel_id or trigger_id is missing or malformed")
	}
	if len(form.Get("text")) > mostText {
		return deploy.Command{}, malformed("the command is too long")
	}
	cmd := deploy.Command{
		Chat:    "slack",
		Channel: "slack:" + channel,
		User:    deploy.Actor{ID: "slack:" + user, Name: hostile.Line(form.Get("user_name"), 80)},
		Text:    strings.TrimSpace(form.Get("text")),
		Key:     "slack:" + trigger,
		Reply:   form.Get("response_url"),
	}
	if strings.HasPrefix(channel, "D") {
		cmd.Channel = ""
	}
	return cmd, nil
}

// verify checks the v0 signature. slack-go's verifier has no clock to inject.
func (c *Chat) verify(h http.Header, body []byte) error {
	at, signature := h.Values("X-Slack-Request-Timestamp"), h.Values("X-Slack-Signature")
	if len(at) != 1 || len(signature) != 1 {
		return refused("X-Slack-Signature or X-Slack-Request-Timestamp is missing")
	}
	seconds, err := strconv.ParseInt(at[0], 10, 64)
	if err != nil || c.now().Sub(time.Unix(seconds, 0)).Abs() > signatureWindow {
		return refused("X-Slack-Request-Timestamp is more than five minutes off; check the clock of this machine")
	}
	mac := hmac.New(sha256.New, c.secret)
	mac.Write([]byte("v0:" + at[0] + ":"))
	mac.Write(body)
	got, err := hex.DecodeString(strings.TrimPrefix(signature[0], "v0="))
	if err != nil || !strings.HasPrefix(signature[0], "v0=") || !hmac.Equal(got, mac.Sum(nil)) {
		return refused("X-Slack-Signature does not match; check chat.slack.signing_secret")
	}
	return nil
}

// Ack implements bot.Acker: text becomes an ephemeral message.
func (c *Chat) Ack(w http.ResponseWriter, _ deploy.Command, text string) (shown bool) {
	if text == "" {
		w.WriteHeader(http.StatusOK)
		return false
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	enc := json.NewEncoder(w)
	return enc.Encode(ephemeral{Type: "ephemeral", Text: escape(hostile.Block(text, maxText), maxText)}) == nil
}

// isID tells Slack's ids of users and channels.
func isID(s string) bool {
	return s != "" && len(s) <= mostID && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func nothing(message string) error {
	return &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: "slack request", Message: message}
}

func refused(message string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: "slack request", Message: message}
}

func malformed(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: "slack request", Message: message}
}
