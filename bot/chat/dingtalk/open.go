package dingtalk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// openRequest is the request of /v1.0/gateway/connections/open.
type openRequest struct {
	ClientID      string         `json:"clientId"`
	ClientSecret  string         `json:"clientSecret"`
	Subscriptions []subscription `json:"subscriptions"`
	UserAgent     string         `json:"ua"`
	LocalIP       string         `json:"localIp,omitempty"` // DingTalk shows it in the console
}

type subscription struct {
	Type  string `json:"type"`
	Topic string `json:"topic"`
}

// dialStream opens a connection with a ticket of its own, which works once and
// for 90 seconds only. deploy.CodeRefused, CodeInvalid and CodeFailed: a person
// must mend something; CodeUnavailable, CodeTimeout: it passes. No error holds
// the ticket or the secret.
func (c *Chat) dialStream(ctx context.Context) (*websocket.Conn, error) {
	to, err := c.openStream(ctx)
	if err != nil {
		return nil, err
	}
	return dial(ctx, to)
}

// openStream asks DingTalk where to connect; the address holds the ticket.
func (c *Chat) openStream(ctx context.Context) (*url.URL, error) {
	request := openRequest{
		ClientID: c.config.ClientID, ClientSecret: c.config.ClientSecret, UserAgent: "ipublish", LocalIP: localIP(),
		Subscriptions: []subscription{{Type: typeCallback, Topic: topicRobot}},
	}
	status, answer, err := hostile.PostJSON(ctx, c.client, c.config.APIURL+"/v1.0/gateway/connections/open", nil, request)
	if err != nil {
		return nil, err
	}
	var in struct {
		apiError
		Endpoint string `json:"endpoint"`
		Ticket   string `json:"ticket"`
	}
	decoded := json.Unmarshal(answer, &in)
	if status != http.StatusOK || decoded != nil || in.Endpoint == "" || in.Ticket == "" {
		return nil, in.explainOpening(status)
	}
	to, err := c.endpoint(in.Endpoint)
	if err != nil {
		return nil, err
	}
	query := to.Query()
	query.Set("ticket", in.Ticket)
	to.RawQuery = query.Encode()
	return to, nil
}

// endpoint lets pass what belongs to DingTalk, encrypted, or to the very host of
// api_url, encrypted like that: whoever gets the ticket gets the messages.
func (c *Chat) endpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	base, baseErr := url.Parse(c.config.APIURL)
	if err == nil && baseErr == nil && u.User == nil && u.Opaque == "" && (ofDingTalk(u) || alike(u, base)) {
		return u, nil
	}
	return nil, &deploy.Error{Code: deploy.CodeRefused, Op: "open", Subject: "dingtalk stream",
		Message: "DingTalk named a server for the stream that is not its own, and nothing was sent there: check chat.dingtalk.api_url, and the proxy of this machine"}
}

func ofDingTalk(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	return u.Scheme == "wss" && (host == "dingtalk.com" || strings.HasSuffix(host, ".dingtalk.com"))
}

// alike reports whether a WebSocket's address has the host, port and encryption
// of an HTTP one; encryption may be added.
func alike(socket, base *url.URL) bool {
	encrypted := socket.Scheme == "wss" || socket.Scheme == "ws" && base.Scheme == "http"
	return encrypted && strings.EqualFold(withPort(socket), withPort(base))
}

func withPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return net.JoinHostPort(u.Hostname(), u.Port())
	case u.Scheme == "https" || u.Scheme == "wss":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// dial connects, and gives up at once when ctx ends.
func dial(ctx context.Context, to *url.URL) (*websocket.Conn, error) {
	stop := func() bool { return true }
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: callLimit,
		NetDialContext: func(within context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(within, network, addr)
			if err == nil { // the handshake itself does not look at the context
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
	conn, answer, err := dialer.DialContext(ctx, to.String(), nil)
	if answer != nil {
		_ = answer.Body.Close() // of what refused; a connection has none
	}
	if !stop() && err == nil {
		_ = conn.Close()
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, websocket.ErrBadHandshake) && answer != nil:
		return nil, &deploy.Error{Code: deploy.CodeUnavailable, Op: "open", Subject: to.Host, Err: fmt.Errorf("status %d", answer.StatusCode),
			Message: "DingTalk did not accept the connection of the stream; it is tried again with a new ticket"}
	}
	return nil, hostile.Unreachable(ctx, to.Host, err)
}

// explainOpening tells wrong credentials, an app that is not set up for Stream
// mode, and what passes by itself apart.
func (e apiError) explainOpening(status int) error {
	const op, subject = "open", "dingtalk stream"
	said := hostile.Line(e.Code+" "+e.Message, 200)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusTooManyRequests, status >= 500,
		strings.Contains(e.Code, "Throttling"), strings.Contains(e.Code, "QpsLimit"):
		return e.explain(op, subject, status)
	case strings.Contains(strings.ToLower(e.Code), "clientid"), e.Code == "authFailed":
		return e.explain(op, subject, http.StatusUnauthorized)
	case status >= 400:
		return &deploy.Error{Code: deploy.CodeRefused, Op: op, Subject: subject, Err: fmt.Errorf("status %d", status),
			Message: fmt.Sprintf("DingTalk opens no stream for this app (%s): it must be an enterprise-internal app with the robot capability; choose Stream mode under Robot of the app in the developer console, and publish it", said)}
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Subject: subject,
		Message: "what answered is not DingTalk's gateway: check chat.dingtalk.api_url, and the proxy of this machine"}
}

// localIP is this machine's first address that is not loopback; empty if none.
func localIP() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}
