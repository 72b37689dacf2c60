package slack

import (
	"context"
	"net/http"
	"strings"
	"time"

	slackapi "github.com/slack-go/slack"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// What Slack lets an app do, for whoever spaces the calls.
const (
	// PostsPerSecond is chat.postMessage's limit per channel; short bursts pass
	// (docs.slack.dev, rate limits).
	PostsPerSecond = 1
	// EditsPerMinute is chat.update's limit per workspace and app, shared by all
	// messages: Tier 3 (docs.slack.dev, rate limits).
	EditsPerMinute = 50
	// EditEvery is the shortest time between edits of one message that Slack
	// advises for messages that show progress.
	EditEvery = 3 * time.Second
	// RepliesPerCommand is how often one command's response_url works, within
	// RepliesWithin (docs.slack.dev, handling user interaction).
	RepliesPerCommand = 5
	// RepliesWithin is how long it works.
	RepliesWithin = 30 * time.Minute
)

// Config is the section chat.slack of the configuration, as far as the HTTP
// transport needs it.
type Config struct {
	SigningSecret string           `json:"signing_secret"`
	BotToken      string           `json:"bot_token"`
	Command       string           `json:"command"` // "/ipub"; empty: any
	APIURL        string           `json:"api_url"` // empty: Slack's own
	Now           func() time.Time `json:"-"`       // nil: time.Now
}

// Chat is one Slack app in one workspace. It is a bot.Chat, bot.Replier,
// bot.Acker and bot.Editor.
type Chat struct {
	secret  []byte
	command string
	now     func() time.Time
	api     *slackapi.Client
	outlet  *hostile.Outlet
}

// callLimit bounds one call of the API.
const callLimit = 15 * time.Second

// New returns the driver. deploy.CodeInvalid if the signing secret is empty or
// shorter than 16 bytes, the bot token is none, or the API's address is malformed.
func New(c Config) (*Chat, error) {
	if len(c.SigningSecret) < 16 {
		return nil, invalid("chat.slack.signing_secret is missing or too short: copy it from Basic Information of the app at api.slack.com/apps")
	}
	if !strings.HasPrefix(c.BotToken, "xoxb-") {
		return nil, invalid("chat.slack.bot_token does not begin with xoxb-: copy the Bot User OAuth Token from OAuth & Permissions of the app at api.slack.com/apps")
	}
	outlet, err := hostile.NewOutlet("hooks.slack.com", c.APIURL)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: callLimit, CheckRedirect: hostile.KeepOut}
	options := []slackapi.Option{slackapi.OptionHTTPClient(client)}
	if c.APIURL != "" {
		options = append(options, slackapi.OptionAPIURL(strings.TrimSuffix(c.APIURL, "/")+"/"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Chat{
		secret: []byte(c.SigningSecret), command: c.Command, now: c.Now,
		api: slackapi.New(c.BotToken, options...), outlet: outlet,
	}, nil
}

// Listen implements bot.Chat: commands come over HTTP, so it only waits for ctx.
func (c *Chat) Listen(ctx context.Context, _ func(deploy.Command) error) error {
	<-ctx.Done()
	return nil
}

// Edits implements bot.Editor: every message of the bot can be edited.
func (c *Chat) Edits(string) bool { return true }

func invalid(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "slack", Message: message}
}
