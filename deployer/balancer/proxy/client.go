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
	movedInterval = 5 * time.Millisecond
	maxTurns      = 3
	giveUpTimeout = 500 * time.Millisecond
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
// One that was given up may take its turn late, which ends ours: then another is
// taken, for whoever is still asking is the later one. Who gives up ends the turn,
// so that what is in force does not change behind a later question either.
func (c client) put(ctx context.Context, o order) error {
	for tries := 1; ; tries++ {
		var t turn
		if err := c.call(ctx, http.MethodPost, "/v1/turns/"+url.PathEscape(o.Name), nil, &t); err != nil {
			return err
		}
		o.turn = t.Turn
		err := c.follow(ctx, o)
		switch {
		case err != nil && (ctx.Err() != nil || tries == maxTurns):
			c.giveUp(ctx, o.Name)
			return err
		case deploy.CodeOf(err) != deploy.CodeUnavailable:
			return err
		}
	}
}

// giveUp takes a turn that nobody uses. A proxy that does not answer in time is
// left: it is not to hold up who gave up.
func (c client) giveUp(ctx context.Context, name string) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTimeout)
	defer cancel()
	_ = c.call(limit, http.MethodPost, "/v1/turns/"+url.PathEscape(name), nil, &turn{})
}

// follow sets the route without asking for a turn.
func (c client) follow(ctx context.Context, o order) error {
	query := url.Values{"turn": {strconv.FormatUint(o.turn, 10)}}
	if o.drain != nil {
		query.Set("drain", o.drain.String())
	}
	return c.call(ctx, http.MethodPut, routePath(o.Name)+"?"+query.Encode(), o.route, &status{})
}

// succeed has the proxy start its own program anew and hand over to it; it
// returns when that one serves.
func (c client) succeed(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/succession", nil, &ping{})
}

// leave gives the proxy what an elder counted.
func (c client) leave(ctx context.Context, e estate) error {
	return c.call(ctx, http.MethodPost, "/v1/estates", e, &struct{}{})
}

// end tells an elder that nobody waits for it.
func (c client) end(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/end", nil, &struct{}{})
}

func (c client) get(ctx context.Context, name string) (s status, err error) {
	return s, c.call(ctx, http.MethodGet, routePath(name), nil, &s)
}

// call blocks for callTimeout at most. deploy.CodeUnavailable when no proxy
// answers, deploy.CodeCancelled or CodeTimeout when ctx ended, else the proxy's
// error. While a proxy hands over, it waits for the one that takes over.
func (c client) call(ctx context.Context, method, path string, in, out any) error {
	limit, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tick := time.NewTicker(movedInterval)
	defer tick.Stop()
	for {
		code, data, err := c.exchange(limit, method, path, in)
		if err != nil {
			return c.unanswered(ctx, err)
		}
		if code != http.StatusMisdirectedRequest {
			return c.decode(code, data, out)
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			return c.unanswered(ctx, limit.Err())
		}
	}
}

func (c client) exchange(ctx context.Context, method, path string, in any) (int, []byte, error) {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxCallAnswer))
	return res.StatusCode, data, err
}

func (c client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, &body)
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
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
