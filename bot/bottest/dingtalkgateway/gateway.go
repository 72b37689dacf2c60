package dingtalkgateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
)

// What DingTalk documents.
const (
	ticketLife = 90 * time.Second
	quiet      = 10 * time.Second
)

// Gateway is an organisation with Stream mode. It may be used by several
// goroutines at once.
type Gateway struct {
	*bottest.DingTalk
	quiet time.Duration

	server  *httptest.Server
	behind  *http.Transport
	end     chan struct{} // closed when the gateway is
	ending  sync.Once
	serving sync.WaitGroup // connections, and what waits to close them

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced whenever something below changes
	tickets    map[string]*ticket
	conns      map[*connection]struct{}
	deliveries map[string]*delivery // by messageId, those of robot messages by msgId too
	next       []opening            // how the next calls of open are answered
	opened     int
	probes     int // WebSocket pings of the bot
	serial     int
	wrong      []string // what the bot did that DingTalk does not take
}

// Option changes a gateway from what DingTalk documents.
type Option func(*Gateway)

// Quiet sets how long a connection that was told to disconnect stays open;
// otherwise ten seconds.
func Quiet(d time.Duration) Option { return func(g *Gateway) { g.quiet = d } }

// New puts a stream in front of an organisation and sets its URL to the
// gateway's. It is closed at the end of the test, which fails if the bot broke
// the protocol.
func New(t testing.TB, d *bottest.DingTalk, options ...Option) *Gateway {
	t.Helper()
	g := &Gateway{
		DingTalk: d, quiet: quiet, behind: &http.Transport{}, end: make(chan struct{}), changed: make(chan struct{}),
		tickets: map[string]*ticket{}, conns: map[*connection]struct{}{}, deliveries: map[string]*delivery{},
	}
	for _, o := range options {
		o(g)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1.0/gateway/connections/open", g.open)
	mux.HandleFunc("GET /connect", g.connect)
	mux.HandleFunc("/", g.pass(d.URL))
	g.server = httptest.NewServer(mux)
	d.URL = g.server.URL
	t.Cleanup(func() {
		g.Close()
		for _, wrong := range g.wrong {
			t.Error("the stream's protocol was broken: " + wrong)
		}
	})
	return g
}

// Close cuts every connection and ends the server; it waits for both.
func (g *Gateway) Close() {
	g.ending.Do(func() {
		g.mu.Lock()
		close(g.end)
		for c := range g.conns {
			_ = c.ws.Close()
		}
		g.mu.Unlock()
		g.serving.Wait()
		g.server.Close()
		g.behind.CloseIdleConnections()
	})
}

// pass forwards all other calls to the organisation's server.
func (g *Gateway) pass(to string) http.HandlerFunc {
	target, err := url.Parse(to)
	if err != nil {
		panic(err) // the address of a server that runs
	}
	proxy := &httputil.ReverseProxy{Transport: g.behind, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	return func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		g.locked(func() {})
	}
}

// Connections returns how many connections may get messages: those that were not
// told to disconnect and are not silent.
func (g *Gateway) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.usable(""))
}

// Sockets returns how many connections are open, those included that get no
// messages any more.
func (g *Gateway) Sockets() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// Opened returns how many connections were opened until now.
func (g *Gateway) Opened() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

// WaitConnections waits until exactly n connections may get messages.
func (g *Gateway) WaitConnections(ctx context.Context, n int) error {
	return g.await(ctx, fmt.Sprintf("%d connections", n), func() bool { return len(g.usable("")) == n })
}

// WaitSockets waits until exactly n connections are open.
func (g *Gateway) WaitSockets(ctx context.Context, n int) error {
	return g.await(ctx, fmt.Sprintf("%d open sockets", n), func() bool { return len(g.conns) == n })
}

// WaitOpened waits until the n-th connection was opened.
func (g *Gateway) WaitOpened(ctx context.Context, n int) error {
	return g.await(ctx, fmt.Sprintf("connection %d", n), func() bool { return g.opened >= n })
}

// WaitProbes waits until the bot has sent n WebSocket pings in all.
func (g *Gateway) WaitProbes(ctx context.Context, n int) error {
	return g.await(ctx, fmt.Sprintf("%d probes", n), func() bool { return g.probes >= n })
}

// Sent returns all that the bot has sent, oldest first: answers (Channel
// "session"), group messages and custom robots' messages.
func (g *Gateway) Sent() []bottest.DingTalkMessage { return g.Messages("") }

// WaitSent waits for a message that fits and returns the oldest one.
func (g *Gateway) WaitSent(ctx context.Context, fits func(bottest.DingTalkMessage) bool) (found bottest.DingTalkMessage, err error) {
	err = g.await(ctx, "a message that fits", func() bool {
		for _, m := range g.Sent() {
			if fits(m) {
				found = m
				return true
			}
		}
		return false
	})
	return found, err
}

// await waits until ok, which is called with the lock held.
func (g *Gateway) await(ctx context.Context, what string, ok func() bool) error {
	for {
		g.mu.Lock()
		done, changed := ok(), g.changed
		g.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-g.end:
			return fmt.Errorf("waiting for %s: the gateway is closed", what)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// locked changes the state and tells those who wait.
func (g *Gateway) locked(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gateway) id(kind string) string {
	g.serial++
	return kind + bottest.Hash(fmt.Sprint(kind, g.serial))[:22]
}
