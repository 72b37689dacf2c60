package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ipublish/bot"
	"ipublish/deploy"
)

// ErrUnreachable says that no server answered. Exit code 4.
var ErrUnreachable = errors.New("the server does not answer")

// patience is how long a client waits.
type patience struct {
	answer  time.Duration // for the beginning of an answer
	plan    time.Duration // the same for a plan, which looks at hosts and the repository
	silence time.Duration // for a sign of life in a stream; the server's heartbeat is 15 s
	gone    time.Duration // for a server to come back when a stream was cut
	retry   time.Duration // between two attempts at that
}

// usual is New's patience.
func usual() patience {
	return patience{answer: 10 * time.Second, plan: 90 * time.Second, silence: 45 * time.Second, gone: 15 * time.Second, retry: 500 * time.Millisecond}
}

// Client is one server's API.
type Client struct {
	base   string
	token  string
	quick  *http.Client
	slow   *http.Client // for what the server has to look up first
	waits  patience
	server string // as it was named
}

// CheckAddress wants the address of a server in a form that New takes:
// unix:/path, http://host:port or https://host. deploy.CodeInvalid if not.
func CheckAddress(server string) error {
	if path, ok := strings.CutPrefix(server, "unix:"); ok && path != "" {
		return nil
	}
	u, err := url.Parse(server)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "ask", Err: err,
		Message: fmt.Sprintf("%q is no server's address: write http://host:port, https://… or unix:/path", server)}
}

// New returns a client of a server: "unix:/path" or "http(s)://host:port" with a
// token. It waits 10 s for an answer to begin, 90 s where a plan was asked for.
func New(server, token string) *Client { return newClient(server, token, usual()) }

func newClient(server, token string, waits patience) *Client {
	c := &Client{base: strings.TrimSuffix(server, "/"), token: token, waits: waits, server: server}
	dial, proxy := (&net.Dialer{Timeout: waits.answer}).DialContext, http.ProxyFromEnvironment
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		tcp := dial
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return tcp(ctx, "unix", path) }
		c.base, c.token, proxy = "http://ipublish", "", nil
	}
	transport := func(answer time.Duration) *http.Client {
		return &http.Client{Transport: &http.Transport{Proxy: proxy, DialContext: dial, ResponseHeaderTimeout: answer}}
	}
	c.quick, c.slow = transport(waits.answer), transport(waits.plan)
	return c
}

// Command sends one line of the grammar. It blocks until the answer; a server
// that begins none in time, or is not there, is ErrUnreachable.
func (c *Client) Command(ctx context.Context, text, key string) (bot.CommandAnswer, error) {
	var answer bot.CommandAnswer
	body, err := json.Marshal(bot.CommandRequest{Text: text, Key: key})
	if err != nil {
		return answer, err
	}
	by := c.quick
	if verb, _, _ := strings.Cut(text, " "); bot.Verb(verb) == bot.VerbPlan {
		by = c.slow
	}
	res, err := c.do(ctx, by, http.MethodPost, "/api/v1/commands", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// Status asks what is live and what is going on, everywhere. Errors as Command's.
func (c *Client) Status(ctx context.Context) (bot.StatusAnswer, error) {
	var answer bot.StatusAnswer
	res, err := c.do(ctx, c.quick, http.MethodGet, "/api/v1/status", nil)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// do sends one request; any answer but 200 is an error.
func (c *Client) do(ctx context.Context, by *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := by.Do(req)
	if err != nil {
		return nil, c.silent(ctx, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return nil, c.silent(ctx, err)
	}
	return nil, c.refusal(res, string(bytes.TrimSpace(text)))
}

// silent tells a server that is not there from one that accepts and is mute.
func (c *Client) silent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	var op *net.OpError
	dialling := errors.As(err, &op) && op.Op == "dial"
	var slow net.Error
	if !dialling && errors.As(err, &slow) && slow.Timeout() {
		return &deploy.Error{Code: deploy.CodeTimeout, Op: "ask", Subject: c.server, Err: fmt.Errorf("%w: %w", ErrUnreachable, err),
			Message: c.server + ": the server accepts the connection and does not answer: its log says why"}
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, cause(err))
}

// cause takes off what the HTTP client puts around an error: the URL is no help
// where the server is a socket.
func cause(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

func (c *Client) refusal(res *http.Response, text string) error {
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return &deploy.Error{Code: deploy.CodeRefused, Op: "ask", Subject: c.server, Message: "the server does not accept the token: set --token or IPUBLISH_TOKEN to one of server.tokens"}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: "ask", Subject: c.server, Message: fmt.Sprintf("the server answers %s: %s", res.Status, text)}
	}
	return &deploy.Error{Code: deploy.CodeFailed, Op: "ask", Subject: c.server, Message: fmt.Sprintf("the server answers %s: %s", res.Status, text)}
}
