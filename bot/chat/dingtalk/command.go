package dingtalk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// signatureWindow is how old a signature may be, either way. DingTalk documents
// one hour; a shorter one would lose what it queued. That a second body is
// refused makes up for its length.
const signatureWindow = time.Hour

const (
	mostText = 8000 // bytes of a command
	mostID   = 255
)

// incoming is a robot message, as far as it is needed.
type incoming struct {
	MsgType string `json:"msgtype"`
	Text    struct {
		Content string `json:"content"`
	} `json:"text"`
	MsgID            string `json:"msgId"`
	ConversationType string `json:"conversationType"` // "1" private, "2" group
	ConversationID   string `json:"conversationId"`
	SenderStaffID    string `json:"senderStaffId"`
	SenderNick       string `json:"senderNick"`
	SessionWebhook   string `json:"sessionWebhook"`
}

// Command implements bot.Chat for the HTTP callback of the app robot. People
// outside of the organisation have no staff id: deploy.CodeRefused.
func (c *Chat) Command(r *http.Request, body []byte) (deploy.Command, error) {
	if err := c.verify(r.Header, body); err != nil {
		return deploy.Command{}, err
	}
	return readCommand(body)
}

// readCommand reads a robot message that is known to be genuine: the body of a
// callback and the data of a frame are the same. Errors as of Command.
func readCommand(body []byte) (deploy.Command, error) {
	var in incoming
	if err := json.Unmarshal(body, &in); err != nil {
		return deploy.Command{}, malformed("the body is not the JSON of a robot message", errors.New(hostile.Line(err.Error(), 200)))
	}
	return in.command()
}

func (in incoming) command() (deploy.Command, error) {
	if in.SenderStaffID == "" {
		return deploy.Command{}, refused("the sender has no staff id: only members of the organisation may use the robot")
	}
	if !isID(in.SenderStaffID) || !isID(in.MsgID) || !isID(in.ConversationID) {
		return deploy.Command{}, malformed("senderStaffId, msgId or conversationId is missing or malformed", nil)
	}
	if len(in.Text.Content) > mostText {
		return deploy.Command{}, malformed("the command is too long", nil)
	}
	cmd := deploy.Command{
		Chat: "dingtalk",
		User: deploy.Actor{ID: "dingtalk:" + in.SenderStaffID, Name: hostile.Line(in.SenderNick, 80)},
		// The mention is cut off already, the space behind it is not.
		Text:  strings.TrimSpace(in.Text.Content),
		Key:   "dingtalk:" + in.MsgID,
		Reply: in.SessionWebhook,
	}
	switch in.ConversationType {
	case "1":
	case "2":
		cmd.Channel = "dingtalk:" + in.ConversationID
	default:
		return deploy.Command{}, malformed("conversationType is neither 1 nor 2", nil)
	}
	if in.MsgType != "text" {
		return cmd, &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: "dingtalk message", Message: "only text messages are understood"}
	}
	return cmd, nil
}

// Knock implements bot.Doorkeeper: the signature does not cover the body.
func (c *Chat) Knock(h http.Header) error {
	_, err := c.prove(h)
	return err
}

// verify checks the signature, and that it came with no other body before.
func (c *Chat) verify(h http.Header, body []byte) error {
	mac, err := c.prove(h)
	if err == nil && !c.replays.Fresh(mac, body, c.config.Now()) {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: "dingtalk message", Err: hostile.ErrCaptured,
			Message: "somebody may have captured a message: serve TLS only, and reset the app's secret"}
	}
	return err
}

// prove checks the signature of the timestamp and gives it back decoded: only
// the canonical one of its four spellings is taken.
func (c *Chat) prove(h http.Header) (signed []byte, err error) {
	at, signature := h.Values("timestamp"), h.Values("sign")
	if c.config.ClientSecret == "" {
		return nil, refused("chat.dingtalk.client_secret is not set, so that no callback can be verified")
	}
	if len(at) != 1 || len(signature) != 1 {
		return nil, refused("the header timestamp or sign is missing")
	}
	signed, err = base64.StdEncoding.Strict().DecodeString(signature[0])
	if err != nil || !hmac.Equal(signed, mac(c.config.ClientSecret, at[0])) {
		return nil, refused("the header sign does not match; check chat.dingtalk.client_secret")
	}
	ms, err := strconv.ParseInt(at[0], 10, 64)
	if err != nil || c.config.Now().Sub(time.UnixMilli(ms)).Abs() > signatureWindow {
		return nil, refused("the header timestamp is more than one hour off; check the clock of this machine")
	}
	return signed, nil
}

// mac signs a time in milliseconds, for callbacks and custom robots alike.
func mac(secret, ms string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(ms + "\n" + secret))
	return h.Sum(nil)
}

// Ack implements bot.Acker. DingTalk documents no way to answer in the
// response: text is never shown, use Reply.
func (c *Chat) Ack(w http.ResponseWriter, _ deploy.Command, _ string) (shown bool) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, `{"msgtype":"empty"}`) // a client that is gone needs no answer
	return false
}

// isID tells what DingTalk uses as an id: printable, without spaces.
func isID(s string) bool {
	return s != "" && len(s) <= mostID && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
	})
}

func refused(message string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "verify", Subject: "dingtalk message", Message: message}
}

func malformed(message string, cause error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Subject: "dingtalk message", Message: message, Err: cause}
}
