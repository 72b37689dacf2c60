package dingtalk

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// markdown is a robot message without any at: nobody is ever mentioned.
type markdown struct {
	MsgType  string       `json:"msgtype"`
	Markdown markdownText `json:"markdown"`
}

type markdownText struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

func newMarkdown(l letter) markdown {
	return markdown{MsgType: "markdown", Markdown: markdownText{Title: l.title, Text: l.text}}
}

// postWebhook sends through a custom robot: signed, or with its keyword.
func (c *Chat) postWebhook(ctx context.Context, name string, l letter) error {
	subject := "dingtalk:webhook/" + name
	w, ok := c.config.Webhooks[name]
	if !ok {
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "post", Subject: subject,
			Message: "there is no custom robot of that name: add it under chat.dingtalk.webhooks of the configuration"}
	}
	if w.Keyword != "" && !strings.Contains(l.text, w.Keyword) {
		l.text += "\n\n" + w.Keyword
	}
	status, answer, err := hostile.PostJSON(ctx, c.client, c.signed(w), nil, newMarkdown(l))
	if err != nil {
		return err
	}
	return judge("post", subject, status, answer)
}

// signed is the robot's address; with a secret it holds for one hour.
func (c *Chat) signed(w Webhook) string {
	u, err := url.Parse(w.URL)
	if err != nil || w.Secret == "" {
		return w.URL
	}
	ms := strconv.FormatInt(c.config.Now().UnixMilli(), 10)
	q := u.Query()
	q.Set("timestamp", ms)
	q.Set("sign", base64.StdEncoding.EncodeToString(mac(w.Secret, ms)))
	u.RawQuery = q.Encode()
	return u.String()
}

// Reply implements bot.Replier by the message's sessionWebhook, which works for
// some 90 minutes. In a group everybody there sees the answer.
func (c *Chat) Reply(ctx context.Context, cmd deploy.Command, m deploy.Message) error {
	if cmd.Reply == "" {
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "reply", Subject: "dingtalk", Message: "this message has no sessionWebhook to answer at"}
	}
	l := render(m)
	if l.empty() {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "reply", Subject: "dingtalk", Message: "the message is empty"}
	}
	status, answer, err := c.outlet.Post(ctx, cmd.Reply, newMarkdown(l))
	if err != nil {
		return err
	}
	return judge("reply", "dingtalk", status, answer)
}

// judge reads a robot's answer: 200 with another errcode than 0 is a failure.
func judge(op, subject string, status int, answer []byte) error {
	var in struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	switch {
	case status == http.StatusTooManyRequests:
		return throttled(op, subject, RobotPenalty)
	case status >= 500:
		return unavailable(op, subject, http.StatusText(status))
	case status != http.StatusOK || json.Unmarshal(answer, &in) != nil || in.Code == nil:
		return failed(op, subject, "an answer that is no robot's, status "+strconv.Itoa(status))
	case *in.Code == 0:
		return nil
	}
	return explain(op, subject, *in.Code, in.Message)
}
