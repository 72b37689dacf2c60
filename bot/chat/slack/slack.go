package slack

import (
	"log/slog"
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

// The transports by which commands come.
const (
	transportHTTP   = "http"
	transportSocket = "socket"
)

// Config is the section chat.slack of the configuration.
type Config struct {
	Transport     string           `json:"transport"`      // "socket" or "http"; empty: "http"
	SigningSecret string           `json:"signing_secret"` // http: proves requests; socket: not looked at
	BotToken      string           `json:"bot_token"`      // "xoxb-…"
	AppToken      string           `json:"app_token"`      // "xapp-…"; socket: opens connections
	Command       string           `json:"command"`        // "/ipub"; empty: any
	APIURL        string           `json:"api_url"`        // empty: Slack's own
	Now           func() time.Time `json:"-"`              // nil: time.Now
	Log           *slog.Logger     `json:"-"`              // of the socket transport; nil: discarded

	// Translate says in the chat's language what the driver itself answers in
	// English. It is called by one goroutine at a time; nil: as it is.
	Translate func(string) string `json:"-"`
}

// Chat is one Slack app in one workspace. It is a bot.Chat, bot.Replier,
// bot.Acker and bot.Editor.
type Chat struct {
	transport string
	secret    []byte
	command   string
	now       func() time.Time
	api       *slackapi.Client
	outlet    *hostile.Outlet
	opener    opener
	log       *slog.Logger
	pace      pace
	translate func(string) string
}

// callLimit bounds one call of the API.
const callLimit = 15 * time.Second

// New returns the driver. deploy.CodeInvalid if the transport is unknown, a
// token is not of its kind, the API's address is malformed or, with the http
// transport, the signing secret is shorter than 16 bytes.
func New(c Config) (*Chat, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	outlet, err := hostile.NewOutlet("hooks.slack.com", c.APIURL)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Translate == nil {
		c.Translate = func(text string) string { return text }
	}
	client := &http.Client{Timeout: callLimit, CheckRedirect: hostile.KeepOut}
	options := []slackapi.Option{}
	if c.APIURL != "" {
		options = append(options, slackapi.OptionAPIURL(strings.TrimSuffix(c.APIURL, "/")+"/"))
	}
	return &Chat{
		transport: c.Transport, secret: []byte(c.SigningSecret), command: c.Command, now: c.Now,
		api:    slackapi.New(c.BotToken, append(options, slackapi.OptionHTTPClient(client))...),
		outlet: outlet, opener: opener{token: c.AppToken, options: options, client: client}, log: c.Log, pace: steady(), translate: c.Translate,
	}, nil
}

func (c Config) check() error {
	switch c.Transport {
	case "", transportHTTP:
		if len(c.SigningSecret) < 16 {
			return invalid("chat.slack.signing_secret is missing or too short: copy it from Basic Information of the app at api.slack.com/apps")
		}
	case transportSocket:
		if !strings.HasPrefix(c.AppToken, "xapp-") {
			return invalid("chat.slack.app_token does not begin with xapp-: generate one with the scope connections:write under Basic Information, App-Level Tokens, of the app at api.slack.com/apps")
		}
	default:
		return invalid("chat.slack.transport is neither socket nor http: socket needs no public address, http needs one that Slack reaches")
	}
	if !strings.HasPrefix(c.BotToken, "xoxb-") {
		return invalid("chat.slack.bot_token does not begin with xoxb-: copy the Bot User OAuth Token from OAuth & Permissions of the app at api.slack.com/apps")
	}
	return nil
}

// Edits implements bot.Editor: every message of the bot can be edited.
func (c *Chat) Edits(string) bool { return true }

func invalid(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "slack", Message: message}
}
