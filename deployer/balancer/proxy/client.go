package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ipublish/deploy"
)

const (
	callTimeout   = 10 * time.Second
	maxCallAnswer = 8 << 20
)

// client speaks to a proxy process over its control socket.
type client struct {
	socket string
	http   *http.Client
}

func newClient(socket string) client {
	dialer := &net.Dialer{}
	return client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}}
}

func (c client) ping(ctx context.Context) (p ping, err error) {
	return p, c.call(ctx, http.MethodGet, "/v1/ping", nil, &p)
}

// put takes a turn and sets the route in it: of two calls for one route the
// later one wins, also when the earlier one was given up and arrives afterwards.
func (c client) put(ctx context.Context, r route) error {
	var t turn
	if err := c.call(ctx, http.MethodPost, "/v1/turns/"+url.PathEscape(r.Name), nil, &t); err != nil {
		return err
	}
	path := routePath(r.Name) + "?turn=" + strconv.FormatUint(t.Turn, 10)
	return c.call(ctx, http.MethodPut, path, r, &status{})
}

func (c client) get(ctx context.Context, name string) (s status, err error) {
	return s, c.call(ctx, http.MethodGet, routePath(name), nil, &s)
}

// call blocks for callTimeout at most. deploy.CodeUnavailable when no proxy
// answers, deploy.CodeCancelled or CodeTimeout when ctx ended, else the proxy's error.
func (c client) call(ctx context.Context, method, path string, in, out any) error {
	limit, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return &deploy.Error{Code: deploy.CodeInternal, Op: method, Subject: path, Err: err}
		}
	}
	req, err := http.NewRequestWithContext(limit, method, "http://proxy"+path, &body)
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInternal, Op: method, Subject: path, Err: err}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unanswered(ctx, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxCallAnswer))
	if err != nil {
		return c.unanswered(ctx, err)
	}
	return c.decode(res.StatusCode, data, out)
}

func (c client) decode(code int, data []byte, out any) error {
	if code == http.StatusOK {
		if err := json.Unmarshal(data, out); err != nil {
			return c.misunderstood(err)
		}
		return nil
	}
	var e deploy.Error
	if err := json.Unmarshal(data, &e); err != nil || e.Code == "" {
		return c.misunderstood(err)
	}
	return &e
}

func (c client) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Op: "ask proxy", Subject: c.socket, Err: ctx.Err()}
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "ask proxy", Subject: c.socket, Err: err,
		Message: "the built-in proxy does not answer on " + c.socket + ": start it with `ipublish proxy` or its systemd unit; `ipublish serve` starts one by itself"}
}

func (c client) misunderstood(err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "ask proxy", Subject: c.socket, Err: err,
		Message: "what answers on " + c.socket + " speaks another form than this binary: restart `ipublish proxy` with the same version"}
}
