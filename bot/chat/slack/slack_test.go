package slack_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/chat/slack"
	"ipublish/deploy"
)

var (
	_ bot.Chat    = (*slack.Chat)(nil)
	_ bot.Replier = (*slack.Chat)(nil)
	_ bot.Acker   = (*slack.Chat)(nil)
	_ bot.Editor  = (*slack.Chat)(nil)
)

const channel = "slack:C0DEPLOYS"

func open(t testing.TB, s *bottest.Slack) *slack.Chat {
	t.Helper()
	c, err := slack.New(slack.Config{SigningSecret: s.SigningSecret, BotToken: s.Token, Command: "/ipub", APIURL: s.APIURL(), Now: s.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rig(t testing.TB) bottest.ChatRig {
	s := bottest.NewSlack(t)
	return bottest.ChatRig{
		Name: "slack", Chat: open(t, s), Channel: channel, Asked: channel, User: deploy.Actor{ID: "slack:U024BE7LH", Name: "ada"},
		Ask: func(text, id string) *http.Request {
			return s.Command("/slack/commands", bottest.SlackCommand{Text: text, Trigger: id})
		},
		Whisper: func(text string) *http.Request {
			return s.Command("/slack/commands", bottest.SlackCommand{Text: text, Channel: "D0PRIVATE"})
		},
		At: func(ago time.Duration) *http.Request {
			return s.Command("/slack/commands", bottest.SlackCommand{At: s.Now().Add(-ago)})
		},
		Window:    5 * time.Minute,
		Sign:      func(body []byte) *http.Request { return s.Sign("/slack/commands", body, s.Now()) },
		Bodies:    malformed,
		Signature: []string{"X-Slack-Signature"},
		Shown:     func() []bottest.Shown { return shown(s.Messages("C0DEPLOYS")) },
		Told:      func() []bottest.Shown { return shown(s.Replies()) },
		Pass:      func() { s.Advance(2 * time.Second) },
		Throttle:  func() { s.Throttle(1, 30*time.Second) },
	}
}

func shown(messages []bottest.SlackMessage) []bottest.Shown {
	var out []bottest.Shown
	for _, m := range messages {
		out = append(out, bottest.Shown{Ref: m.Ref(), Text: m.Visible(), Thread: m.Thread, Mentions: m.Mentions, Links: m.Links, Edits: len(m.History)})
	}
	return out
}

// malformed is a genuine form with each field missing, twice, empty or absurd.
func malformed() []bottest.Mutation {
	good := func() url.Values {
		return url.Values{"user_id": {"U1"}, "user_name": {"ada"}, "channel_id": {"C1"}, "trigger_id": {"1.2.a"}, "command": {"/ipub"}, "text": {"x"}, "response_url": {"https://hooks.slack.com/x"}}
	}
	out := []bottest.Mutation{{Name: "nothing"}, {Name: "no form", JSON: []byte("%zz")}, {Name: "JSON", JSON: []byte(`{"user_id":"U1"}`)}, {Name: "NUL", JSON: []byte("\x00\xff")}}
	for field := range good() {
		for name, values := range map[string][]string{
			"missing": nil, "empty": {""}, "twice": {"U1", "U2"}, "huge": {strings.Repeat("U", 1<<18)}, "odd": {"U1\n<!channel>"}, "spaces": {" "}, "invalid": {"\xff"},
		} {
			form := good()
			form[field] = values
			out = append(out, bottest.Mutation{Name: field + " " + name, JSON: []byte(form.Encode())})
		}
	}
	return out
}

func TestContract(t *testing.T) { bottest.Chat(t, rig(t)) }

func FuzzCommand(f *testing.F) { bottest.FuzzChat(f, rig(f)) }

func TestAWeakConfigurationIsRefused(t *testing.T) {
	for name, c := range map[string]slack.Config{
		"no secret": {BotToken: "xoxb-1"}, "short secret": {SigningSecret: "short", BotToken: "xoxb-1"},
		"no token": {SigningSecret: "0123456789abcdef"}, "user's token": {SigningSecret: "0123456789abcdef", BotToken: "xoxp-1"},
		"no address": {SigningSecret: "0123456789abcdef", BotToken: "xoxb-1", APIURL: "slack"},
	} {
		if _, err := slack.New(c); deploy.CodeOf(err) != deploy.CodeInvalid || strings.Contains(err.Error(), "xoxp-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The vector of Slack's documentation.
func TestTheOfficialVectorIsGenuine(t *testing.T) {
	const body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	signed := time.Unix(1531420618, 0)
	for off, want := range map[time.Duration]deploy.Code{0: "", 5 * time.Minute: "", 301 * time.Second: deploy.CodeRefused, -301 * time.Second: deploy.CodeRefused} {
		c, err := slack.New(slack.Config{SigningSecret: "8f742231b10e8888abcd99yyyzzz85a5", BotToken: "xoxb-1", Now: func() time.Time { return signed.Add(off) }})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Slack-Request-Timestamp", "1531420618")
		r.Header.Set("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
		got, err := c.Command(r, []byte(body))
		if deploy.CodeOf(err) != want {
			t.Errorf("%s later: %v", off, err)
		}
		if err == nil && (got.User.ID != "slack:U2CERLKJA" || got.Channel != "slack:G8PSS9T3V" || got.Key != "slack:398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c") {
			t.Errorf("read as %+v", got)
		}
	}
}

func TestACertificateProbeAsksForNothing(t *testing.T) {
	s := bottest.NewSlack(t)
	for _, body := range []string{"ssl_check=1", "ssl_check=1&token=x", "token=x&ssl_check=1"} {
		_, err := open(t, s).Command(s.Sign("/", []byte(body), s.Now()), []byte(body))
		if deploy.CodeOf(err) != deploy.CodeNotFound {
			t.Errorf("%s: %v", body, err)
		}
	}
	r, _ := http.NewRequest(http.MethodPost, "/", nil)
	if _, err := open(t, s).Command(r, []byte("ssl_check=1")); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("unsigned: %v", err)
	}
}

func TestAnotherAppsCommandIsNotOurs(t *testing.T) {
	s := bottest.NewSlack(t)
	r := s.Command("/", bottest.SlackCommand{Command: "/other"})
	body := readAll(t, r)
	cmd, err := open(t, s).Command(r, body)
	if deploy.CodeOf(err) != deploy.CodeNotFound || !strings.Contains(deploy.MessageOf(err), "chat.slack.command is /ipub") || cmd.User.ID == "" {
		t.Errorf("got %+v, %v", cmd, err)
	}
}
