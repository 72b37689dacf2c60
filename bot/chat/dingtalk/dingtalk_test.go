package dingtalk_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/chat/dingtalk"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

var (
	_ bot.Chat    = (*dingtalk.Chat)(nil)
	_ bot.Replier = (*dingtalk.Chat)(nil)
	_ bot.Acker   = (*dingtalk.Chat)(nil)
	_ bot.Editor  = (*dingtalk.Chat)(nil)
)

const (
	group  = "cidw1M9XtXqUwbkQeXnFbDw2m/4PVEPTSsRBgvJjwby6dg="
	secret = "SEC0123456789abcdef0123456789abcdef"
)

func open(t testing.TB, d *bottest.DingTalk) *dingtalk.Chat {
	t.Helper()
	c, err := dingtalk.New(dingtalk.Config{
		ClientID: d.ClientID, ClientSecret: d.ClientSecret, RobotCode: d.RobotCode, APIURL: d.URL, Now: d.Now,
		Webhooks: map[string]dingtalk.Webhook{
			"all": {URL: d.Robot("all", secret, ""), Secret: secret},
			"ops": {URL: d.Robot("ops", "", "发布"), Keyword: "发布"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rig(t testing.TB, channel string) bottest.ChatRig {
	d := bottest.NewDingTalk(t)
	return rigOf(d, open(t, d), channel)
}

func rigOf(d *bottest.DingTalk, c *dingtalk.Chat, channel string) bottest.ChatRig {
	return bottest.ChatRig{
		Name: "dingtalk", Chat: c, Channel: "dingtalk:" + channel, Asked: "dingtalk:" + group,
		User: deploy.Actor{ID: "dingtalk:manager4220", Name: "小钉"},
		Ask: func(text, id string) *http.Request {
			return d.Callback("/dingtalk/messages", bottest.DingTalkCommand{Text: text, MsgID: id})
		},
		Whisper: func(text string) *http.Request {
			return d.Callback("/dingtalk/messages", bottest.DingTalkCommand{Text: text, Private: true})
		},
		At: func(ago time.Duration) *http.Request {
			return d.Callback("/dingtalk/messages", bottest.DingTalkCommand{At: d.Stamp().Add(-ago)})
		},
		Window: time.Hour,
		Sign:   func(body []byte) *http.Request { return d.Sign("/dingtalk/messages", body, d.Stamp()) },
		Bodies: func() []bottest.Mutation {
			return bottest.Mutations(d.Body(bottest.DingTalkCommand{Text: "deploy main"}))
		},
		Signature: []string{"sign"},
		Loose:     true,
		Shown:     func() []bottest.Shown { return shown(d.Messages(channel)) },
		Told:      func() []bottest.Shown { return shown(d.Messages("session")) },
		Pass:      func() { d.Advance(4 * time.Second) },
		Throttle: func() {
			if channel == group {
				d.Answer(http.StatusTooManyRequests, map[string]any{"code": "Throttling", "message": "slow down"})
				return
			}
			d.Answer(http.StatusOK, map[string]any{"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"})
		},
	}
}

func shown(messages []bottest.DingTalkMessage) []bottest.Shown {
	var out []bottest.Shown
	for _, m := range messages {
		out = append(out, bottest.Shown{Ref: m.Ref, Text: m.Visible(), Mentions: m.Mentions, Links: m.Links})
	}
	return out
}

func TestContractInAGroup(t *testing.T) { bottest.Chat(t, rig(t, group)) }

func TestContractInStreamMode(t *testing.T) {
	s := newStream(t, brisk)
	bottest.Chat(t, rigOf(s.DingTalk, s.chat, group))
}

func TestContractOfASignedRobot(t *testing.T) { bottest.Chat(t, rig(t, "webhook/all")) }

func TestContractOfARobotWithAKeyword(t *testing.T) { bottest.Chat(t, rig(t, "webhook/ops")) }

func FuzzCommand(f *testing.F) { bottest.FuzzChat(f, rig(f, group)) }

func TestAWeakConfigurationIsRefused(t *testing.T) {
	webhook := func(w dingtalk.Webhook) dingtalk.Config {
		return dingtalk.Config{Webhooks: map[string]dingtalk.Webhook{"all": w}}
	}
	const url = "https://oapi.dingtalk.com/robot/send?access_token=0123"
	for name, c := range map[string]dingtalk.Config{
		"nothing": {}, "no secret": {ClientID: "ding"}, "short secret": {ClientID: "ding", ClientSecret: "short"}, "no id": {ClientSecret: "0123456789abcdef"},
		"no url": webhook(dingtalk.Webhook{}), "no token": webhook(dingtalk.Webhook{URL: "https://oapi.dingtalk.com/robot/send"}),
		"no TLS":             webhook(dingtalk.Webhook{URL: "http://oapi.dingtalk.com/robot/send?access_token=0123"}),
		"short robot secret": webhook(dingtalk.Webhook{URL: url, Secret: "SEC"}),
		"name with a slash":  {Webhooks: map[string]dingtalk.Webhook{"a/b": {URL: url}}},
		"unknown transport":  {Transport: "socket", ClientID: "ding", ClientSecret: "0123456789abcdef"},
		"stream, no app":     {Transport: "stream", Webhooks: map[string]dingtalk.Webhook{"all": {URL: url}}},
		"no address":         {ClientID: "ding", ClientSecret: "0123456789abcdef", APIURL: "dingtalk"},
	} {
		if _, err := dingtalk.New(c); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dingtalk.New(webhook(dingtalk.Webhook{URL: url})); err != nil {
		t.Errorf("a robot restricted by address: %v", err)
	}
}

func TestPeopleOutsideOfTheOrganisationAreRefused(t *testing.T) {
	d := bottest.NewDingTalk(t)
	_, err := command(t, open(t, d), d.Callback("/", bottest.DingTalkCommand{Text: "deploy", StaffID: "-"}))
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "organisation") {
		t.Errorf("got %v", err)
	}
}

func TestAPictureAsksForNothing(t *testing.T) {
	d := bottest.NewDingTalk(t)
	cmd, err := command(t, open(t, d), d.Callback("/", bottest.DingTalkCommand{MsgType: "picture"}))
	if deploy.CodeOf(err) != deploy.CodeNotFound || cmd.User.ID == "" || cmd.Reply == "" {
		t.Errorf("got %+v, %v", cmd, err)
	}
}

func TestACapturedSignatureCarriesNoSecondBody(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c := open(t, d)
	at := d.Now()
	body := d.Body(bottest.DingTalkCommand{Text: "status"})
	for range 2 {
		if _, err := c.Command(d.Sign("/", body, at), body); err != nil {
			t.Fatal(err)
		}
	}
	forged := d.Body(bottest.DingTalkCommand{Text: "rollback", StaffID: "boss"})
	if _, err := c.Command(d.Sign("/", forged, at), forged); deploy.CodeOf(err) != deploy.CodeRefused || !errors.Is(err, hostile.ErrCaptured) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutASecretNoCallbackIsGenuine(t *testing.T) {
	d := bottest.NewDingTalk(t)
	c, err := dingtalk.New(dingtalk.Config{Webhooks: map[string]dingtalk.Webhook{"all": {URL: d.Robot("all", "", "")}}})
	if err != nil {
		t.Fatal(err)
	}
	d.ClientSecret = ""
	if _, err := command(t, c, d.Callback("/", bottest.DingTalkCommand{Text: "deploy"})); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("got %v", err)
	}
	if _, err := c.Post(t.Context(), bottest.Card("dingtalk:"+group)); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Errorf("a group without an app: %v", err)
	}
}

func command(t *testing.T, c *dingtalk.Chat, r *http.Request) (deploy.Command, error) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return c.Command(r, body)
}
