package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	slackapi "github.com/slack-go/slack"

	"ipublish/deploy"
)

// Post implements bot.Chat. A ref is "CHANNEL:TS" and holds for ever, also
// after a restart. A message that was deleted or can no longer be edited is
// posted anew.
func (c *Chat) Post(ctx context.Context, m deploy.Message) (ref string, err error) {
	channel, ok := strings.CutPrefix(m.Channel, "slack:")
	if !ok || !isID(channel) {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Subject: m.Channel,
			Message: "this is not a channel of Slack: write it as slack: and the channel's id, such as slack:C0DEPLOYS; `whoami` in the channel tells it"}
	}
	l := render(m)
	if len(l.blocks) == 0 {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Subject: m.Channel, Message: "the message is empty"}
	}
	options := contents(l)
	if in, ts, ok := splitRef(m.Ref); ok {
		_, _, _, err := c.api.UpdateMessageContext(ctx, in, ts, options...)
		if err == nil {
			return m.Ref, nil
		}
		if !isGone(err) {
			return "", explain(ctx, "edit", m.Channel, err)
		}
	}
	if in, ts, ok := splitRef(m.Thread); ok && in == channel {
		options = append(options, slackapi.MsgOptionTS(ts))
	}
	in, ts, err := c.api.PostMessageContext(ctx, channel, options...)
	if err != nil {
		return "", explain(ctx, "post", m.Channel, err)
	}
	return in + ":" + ts, nil
}

// contents sends text and blocks together, every time: an edit with text alone
// removes the blocks, and parsing falls back to Slack's default unless resent.
func contents(l letter) []slackapi.MsgOption {
	return []slackapi.MsgOption{
		slackapi.MsgOptionText(l.text, false),
		slackapi.MsgOptionBlocks(l.blocks...),
		slackapi.MsgOptionParse(false),
		slackapi.MsgOptionLinkNames(false),
		slackapi.MsgOptionDisableLinkUnfurl(),
		slackapi.MsgOptionDisableMediaUnfurl(),
	}
}

// ephemeral is an answer that the asker alone sees.
type ephemeral struct {
	Type    string           `json:"response_type"`
	Text    string           `json:"text"`
	Blocks  []slackapi.Block `json:"blocks,omitempty"`
	Parse   string           `json:"parse,omitempty"`
	Replace bool             `json:"replace_original"`
}

// Reply implements bot.Replier by the command's response_url, which works
// RepliesPerCommand times within RepliesWithin.
func (c *Chat) Reply(ctx context.Context, cmd deploy.Command, m deploy.Message) error {
	if cmd.Reply == "" {
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "reply", Subject: "slack", Message: "this command has no response_url to answer at"}
	}
	l := render(m)
	if len(l.blocks) == 0 {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "reply", Subject: "slack", Message: "the message is empty"}
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	status, answer, err := c.outlet.Post(ctx, cmd.Reply, ephemeral{Type: "ephemeral", Text: l.text, Blocks: l.blocks, Parse: "none"})
	if err != nil {
		return err
	}
	return judgeReply(status, answer)
}

// judgeReply reads the plain "ok", or an error in plain text or JSON.
func judgeReply(status int, answer []byte) error {
	said := strings.TrimSpace(string(answer))
	var in struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &in) == nil && in.Error != "" {
		said = in.Error
	}
	switch {
	case status == http.StatusOK && (said == "ok" || in.OK):
		return nil
	case status == http.StatusTooManyRequests:
		return throttled("reply", "slack", 0)
	case status >= 500:
		return unavailable("reply", "slack", said)
	case said == "used_url" || said == "expired_url" || status == http.StatusNotFound || status == http.StatusGone:
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "reply", Subject: "slack",
			Message: "the answer came too late: Slack takes 5 answers within 30 minutes of a command; ask again"}
	}
	return failed("reply", "slack", said)
}

// splitRef reads what Post returned.
func splitRef(ref string) (channel, ts string, ok bool) {
	channel, ts, ok = strings.Cut(ref, ":")
	return channel, ts, ok && isID(channel) && ts != "" && strings.Trim(ts, "0123456789.") == ""
}
