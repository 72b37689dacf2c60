package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"ipublish/bot"
	"ipublish/deploy"
)

// ErrUnreachable says that no server answered. Exit code 4.
var ErrUnreachable = errors.New("the server does not answer")

// Client is one server's API.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of a server: "unix:/path" or "http(s)://host:port" with a token.
func New(server, token string) *Client {
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		return &Client{base: "http://ipublish", http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
	}
	return &Client{base: strings.TrimSuffix(server, "/"), token: token, http: &http.Client{}}
}

// Command sends one line of the grammar.
func (c *Client) Command(ctx context.Context, text, key string) (bot.CommandAnswer, error) {
	var answer bot.CommandAnswer
	body, err := json.Marshal(bot.CommandRequest{Text: text, Key: key})
	if err != nil {
		return answer, err
	}
	res, err := c.do(ctx, http.MethodPost, "/api/v1/commands", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// Status asks what is live and what is going on, everywhere.
func (c *Client) Status(ctx context.Context) (bot.StatusAnswer, error) {
	var answer bot.StatusAnswer
	res, err := c.do(ctx, http.MethodGet, "/api/v1/status", nil)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// Follow streams a deploy's events from the first to its end, or until ctx ends.
func (c *Client) Follow(ctx context.Context, id deploy.ID, tell func(deploy.Event)) error {
	res, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/deploys/%d/events?after=0", id), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var ev deploy.Event
		if err := json.Unmarshal([]byte(strings.TrimSpace(data)), &ev); err != nil {
			return err
		}
		tell(ev)
		if ev.Kind == deploy.KindEnded {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusUnauthorized {
		return nil, &deploy.Error{Code: deploy.CodeRefused, Op: "ask", Subject: c.base, Message: "the server does not accept the token: set --token or IPUBLISH_TOKEN to one of server.tokens"}
	}
	return nil, &deploy.Error{Code: deploy.CodeFailed, Op: "ask", Subject: c.base, Message: fmt.Sprintf("the server answers %s: %s", res.Status, bytes.TrimSpace(text))}
}
