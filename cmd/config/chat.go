package config

import (
	"cmp"
	"slices"
)

// The transports of the chats. A socket needs no address that the chat reaches.
const (
	TransportHTTP   = "http"
	TransportSocket = "socket" // Slack
	TransportStream = "stream" // DingTalk
)

func (b *building) chat(c *Config, f chatFile) {
	if f.Slack != nil {
		c.Slack = b.slack(*f.Slack)
	}
	if f.DingTalk != nil {
		c.DingTalk = b.dingtalk(c.Public, *f.DingTalk)
	}
}

// slack speaks by the socket where there is an app-level token for it.
func (b *building) slack(f slackFile) *Slack {
	transport := TransportHTTP
	if f.AppToken != "" {
		transport = TransportSocket
	}
	s := &Slack{
		Transport: b.oneOf("chat.slack.transport", cmp.Or(f.Transport, transport), TransportSocket, TransportHTTP),
		BotToken:  b.expand("chat.slack.bot_token", f.BotToken), AppToken: b.expand("chat.slack.app_token", f.AppToken),
		Command: cmp.Or(f.Command, "/ipub"), APIURL: f.APIURL, Language: b.language("chat.slack.language", f.Language),
	}
	switch {
	case s.Transport == TransportHTTP && f.SigningSecret == "":
		b.fail("chat.slack", "set app_token (Socket Mode: `ipublish slack manifest` says how), or signing_secret (HTTP: Basic Information of the app at api.slack.com/apps)")
	case f.SigningSecret != "":
		s.SigningSecret = b.expand("chat.slack.signing_secret", f.SigningSecret)
	case s.AppToken == "":
		b.fail("chat.slack.app_token", "transport: socket needs it: an app-level token, xapp-…, with the scope connections:write")
	}
	return s
}

// dingtalk speaks by the stream where nothing says that DingTalk reaches us.
func (b *building) dingtalk(public string, f dingtalkFile) *DingTalk {
	transport := TransportStream
	if public != "" || f.ClientID == "" {
		transport = TransportHTTP
	}
	d := &DingTalk{
		Transport: b.oneOf("chat.dingtalk.transport", cmp.Or(f.Transport, transport), TransportStream, TransportHTTP),
		ClientID:  b.expand("chat.dingtalk.client_id", f.ClientID), RobotCode: b.expand("chat.dingtalk.robot_code", f.RobotCode),
		APIURL: f.APIURL, Language: b.language("chat.dingtalk.language", f.Language), Webhooks: map[string]Webhook{},
	}
	if f.ClientSecret != "" {
		d.ClientSecret = b.expand("chat.dingtalk.client_secret", f.ClientSecret)
	}
	if d.Transport == TransportStream && d.ClientID == "" {
		b.fail("chat.dingtalk.client_id", "transport: stream needs the app's client_id and client_secret")
	}
	for name, w := range f.Webhooks {
		key := "chat.dingtalk.webhooks." + name
		d.Webhooks[name] = Webhook{URL: b.expand(key+".url", w.URL), Secret: b.expand(key+".secret", w.Secret), Keyword: w.Keyword}
	}
	return d
}

func (b *building) language(key, text string) string {
	return b.oneOf(key, cmp.Or(text, "en"), "en", "zh")
}

func (b *building) oneOf(key, text string, allowed ...string) string {
	if !slices.Contains(allowed, text) {
		b.fail(key, "%q is not one of %v", text, allowed)
	}
	return text
}
