package slack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	slackapi "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"ipublish/deploy"
)

const (
	ackLimit     = 3 * time.Second // Slack takes no answer later (docs.slack.dev, Socket Mode)
	mostEnvelope = 1 << 20         // bytes of one frame; Slack's are a few KB
	ackBuffer    = 32 << 10        // an ack stays one frame: Slack drops continuations, as slack-go found
)

// link is the app's side of Socket Mode: one connection after the other.
type link struct {
	chat   *Chat
	client *socketmode.Client
	once   *once
	handle func(deploy.Command) error
}

// opener is what apps.connections.open is called with.
type opener struct {
	token   string
	options []slackapi.Option
	client  *http.Client
}

// once lets one attempt call apps.connections.open once. slack-go would call it
// again at once when a connection breaks, and with pauses of its own when it
// cannot be opened; the second call ends the attempt instead. It is armed before
// an attempt starts and used by that attempt's goroutine alone.
type once struct {
	client *http.Client
	end    context.CancelFunc
	called bool
}

var errCalled = errors.New("this attempt has had its connection")

func (o *once) arm(end context.CancelFunc) { o.end, o.called = end, false }

// Do is what slack-go calls.
func (o *once) Do(r *http.Request) (*http.Response, error) {
	if o.called {
		o.end()
		return nil, errCalled
	}
	o.called = true
	return o.client.Do(r)
}

func (c *Chat) newLink(handle func(deploy.Command) error) *link {
	o := &once{client: c.opener.client}
	options := append([]slackapi.Option{slackapi.OptionAppLevelToken(c.opener.token), slackapi.OptionHTTPClient(o)}, c.opener.options...)
	return &link{chat: c, once: o, handle: handle, client: socketmode.New(slackapi.New("", options...),
		socketmode.OptionPingInterval(c.pace.silence),
		socketmode.OptionReadLimit(mostEnvelope),
		socketmode.OptionLog(log.New(io.Discard, "", 0)),
		socketmode.OptionDialer(&websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: callLimit, WriteBufferSize: ackBuffer}),
	)}
}

// attempt is one connection from its opening on.
type attempt struct {
	end   context.CancelFunc
	hello time.Time
	err   error
}

// connect opens one connection and works until it ends. What had arrived by
// then is carried out too: its answer goes another way than the ack.
func (l *link) connect(ctx context.Context) ending {
	open, end := context.WithCancel(ctx)
	defer end()
	l.once.arm(end)
	ended := make(chan error, 1)
	go func() { ended <- l.client.RunContext(open) }()
	a := &attempt{end: end}
	for {
		select {
		case ev := <-l.client.Events:
			l.take(ctx, a, ev)
		case err := <-ended:
			l.rest(ctx, a)
			return a.ending(ctx, err)
		}
	}
}

// rest works on what slack-go had read before the connection ended.
func (l *link) rest(ctx context.Context, a *attempt) {
	for {
		select {
		case ev := <-l.client.Events:
			l.take(ctx, a, ev)
		default:
			return
		}
	}
}

func (a *attempt) ending(ctx context.Context, err error) ending {
	e := ending{err: a.err}
	if !a.hello.IsZero() {
		e.stood = time.Since(a.hello)
	}
	if e.err == nil && !errors.Is(err, context.Canceled) {
		e.err = explainOpen(ctx, err)
	}
	return e
}

// take works on one event of slack-go; ctx is the commands' and outlives the
// connection.
func (l *link) take(ctx context.Context, a *attempt, ev socketmode.Event) {
	switch data := ev.Data.(type) {
	case *slackapi.ConnectionErrorEvent:
		if !errors.Is(data.ErrorObj, errCalled) {
			a.err = explainOpen(ctx, data.ErrorObj)
		}
		a.end()
		return
	case *slackapi.IncomingEventError:
		l.chat.log.Debug("slack's socket could not be read", "err", data.ErrorObj)
		return
	case *socketmode.ErrorWriteFailed:
		l.chat.log.Warn("an answer to slack's socket could not be sent; the command itself was carried out", "err", data.Cause)
		return
	case *socketmode.ErrorBadMessage:
		// slack-go reads more of an envelope than is needed here.
		var req socketmode.Request
		if json.Unmarshal(data.Message, &req) == nil {
			l.deliver(ctx, req)
		}
		return
	}
	switch {
	case ev.Request == nil:
	case ev.Type == socketmode.EventTypeHello:
		a.hello = time.Now()
		l.greeted(ev.Request.NumConnections)
	default:
		l.deliver(ctx, *ev.Request)
	}
}

func (l *link) greeted(connections int) {
	l.chat.log.Info("slack's socket is open", "connections", connections)
	if connections > 1 {
		l.chat.log.Warn("another program takes commands away: Slack gives each command to any one connection of this app; stop the other program, or give it an app and tokens of its own. Right after a broken connection this may be the old one and passes by itself", "connections", connections)
	}
}

// deliver has a command carried out and then acknowledges its envelope.
func (l *link) deliver(ctx context.Context, req socketmode.Request) {
	if req.EnvelopeID == "" || ctx.Err() != nil {
		return
	}
	cmd, err := l.chat.open(req)
	taken := err
	if err == nil {
		taken = l.handle(cmd)
	}
	if taken != nil && deploy.CodeOf(err) != deploy.CodeNotFound {
		l.chat.log.Warn("a command of slack's socket was not taken", "by", cmd.User.ID, "err", taken)
	}
	response, ok := l.chat.respond(req, err, taken)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	if err := l.client.SendCtx(ctx, response); err != nil && ctx.Err() == nil {
		l.chat.log.Warn("an envelope of slack's socket could not be acknowledged", "err", err)
	}
}
