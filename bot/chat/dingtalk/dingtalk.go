package dingtalk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// What DingTalk lets a custom robot send (open.dingtalk.com, custom robots).
const (
	// RobotPerMinute is how many messages a minute one custom robot may send.
	RobotPerMinute = 20
	// RobotPenalty is how long DingTalk refuses a custom robot that sent more.
	RobotPenalty = 10 * time.Minute
)

// The transports by which robot messages come in.
const (
	// TransportHTTP: DingTalk calls the bot at a public address. The default.
	TransportHTTP = "http"
	// TransportStream: the bot holds a connection to DingTalk open (Stream mode);
	// it needs no public address, only port 443 outwards.
	TransportStream = "stream"
)

// Config is the section chat.dingtalk of the configuration. The app robot
// (ClientID, ClientSecret, RobotCode), the custom robots (Webhooks), or both may
// be set up; TransportStream needs the app robot.
type Config struct {
	Transport    string             `json:"transport"` // TransportHTTP or TransportStream; empty: TransportHTTP
	ClientID     string             `json:"client_id"`
	ClientSecret string             `json:"client_secret"` // also signs the callbacks
	RobotCode    string             `json:"robot_code"`    // needed to post to groups
	APIURL       string             `json:"api_url"`       // empty: DingTalk's own
	Webhooks     map[string]Webhook `json:"webhooks"`
	Now          func() time.Time   `json:"-"` // nil: time.Now
	Log          *slog.Logger       `json:"-"` // of the stream's connection; nil: nothing is logged

	// Translate says in the chat's language what the driver itself answers in
	// English. It is called by several goroutines at once; nil: as it is.
	Translate func(string) string `json:"-"`
}

// Webhook is one custom robot. Secret and Keyword are its security settings; at
// most one is needed, none if it is restricted by address.
type Webhook struct {
	URL     string `json:"url"` // with its access_token
	Secret  string `json:"secret"`
	Keyword string `json:"keyword"`
}

// Chat is one DingTalk app and its custom robots. It is a bot.Chat,
// bot.Replier, bot.Acker and bot.Editor.
type Chat struct {
	config  Config
	client  *http.Client
	tokens  *tokens
	outlet  *hostile.Outlet
	replays *hostile.Replays
	pace    pace
}

const (
	apiURL    = "https://api.dingtalk.com"
	callLimit = 15 * time.Second
)

// longestRobotName is the longest name of a custom robot, in bytes.
const longestRobotName = 64

var robotName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// New returns the driver. deploy.CodeInvalid if neither an app nor a custom
// robot is configured, the transport is unknown or lacks its app, a secret is
// shorter than 16 bytes, or an address or name is malformed.
func New(c Config) (*Chat, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	outlet, err := hostile.NewOutlet("oapi.dingtalk.com", c.APIURL)
	if err != nil {
		return nil, err
	}
	if c.APIURL == "" {
		c.APIURL = apiURL
	}
	c.APIURL = strings.TrimSuffix(c.APIURL, "/")
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
	return &Chat{
		config: c, client: client, outlet: outlet,
		tokens: newTokens(c, client),
		// A signature may come from one window ahead and lives one window more.
		replays: hostile.NewReplays(2 * signatureWindow),
		pace:    steady(),
	}, nil
}

// Listen implements bot.Chat. With TransportStream it holds a connection to
// DingTalk open, opens a new one whenever that is lost, for as long as it takes,
// and calls handle from up to 100 goroutines at once; a message for which handle
// returned an error is acknowledged as failed, and DingTalk sends it no second
// time. With TransportHTTP it only waits. It returns nil when ctx ended and every
// call of handle has returned.
func (c *Chat) Listen(ctx context.Context, handle func(deploy.Command) error) error {
	if c.config.Transport != TransportStream {
		<-ctx.Done()
		return nil
	}
	newListener(c, handle).run(ctx)
	return nil
}

// Edits implements bot.Editor: DingTalk edits neither text nor markdown.
func (c *Chat) Edits(string) bool { return false }

// Post implements bot.Chat. It always sends a new message: m.Ref and m.Thread
// mean nothing here. The ref of a group message is DingTalk's processQueryKey;
// a custom robot's message has none.
func (c *Chat) Post(ctx context.Context, m deploy.Message) (ref string, err error) {
	channel, ok := strings.CutPrefix(m.Channel, "dingtalk:")
	if !ok || channel == "" {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Subject: m.Channel,
			Message: "this is not a channel of DingTalk: write it as dingtalk:webhook/NAME, or dingtalk: and the conversation's id that `whoami` tells there"}
	}
	l := render(m)
	if l.empty() {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Subject: m.Channel, Message: "the message is empty"}
	}
	if name, ok := strings.CutPrefix(channel, "webhook/"); ok {
		return "", c.postWebhook(ctx, name, l)
	}
	return c.postGroup(ctx, channel, l)
}

func (c Config) check() error {
	app := c.ClientID != "" || c.ClientSecret != ""
	switch {
	case c.Transport != "" && c.Transport != TransportHTTP && c.Transport != TransportStream:
		return invalid(fmt.Sprintf("chat.dingtalk.transport is %q: write stream or http", c.Transport))
	case !app && c.Transport == TransportStream:
		return invalid("chat.dingtalk.transport is stream, which needs an app: set client_id and client_secret from Credentials of the app in the developer console")
	case !app && len(c.Webhooks) == 0:
		return invalid("chat.dingtalk has neither client_id and client_secret of an app nor webhooks of custom robots")
	case app && (c.ClientID == "" || len(c.ClientSecret) < 16):
		return invalid("chat.dingtalk.client_id or client_secret is missing or too short: copy both from Credentials of the app in the developer console")
	}
	for name, w := range c.Webhooks {
		if err := w.check(name); err != nil {
			return err
		}
	}
	return nil
}

func (w Webhook) check(name string) error {
	if len(name) > longestRobotName || !robotName.MatchString(name) {
		return invalid(fmt.Sprintf("chat.dingtalk.webhooks has the name %q: use letters, digits, dot, dash and underscore", name))
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Query().Get("access_token") == "" || (u.Scheme != "https" && !isLoopback(u)) {
		return invalid("chat.dingtalk.webhooks." + name + ".url is not a robot's address: copy it whole from the group's robot settings, https://oapi.dingtalk.com/robot/send?access_token=…")
	}
	if w.Secret != "" && len(w.Secret) < 16 {
		return invalid("chat.dingtalk.webhooks." + name + ".secret is too short: copy it whole, from SEC on")
	}
	return nil
}

func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func invalid(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "dingtalk", Message: message}
}
