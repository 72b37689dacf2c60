package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"ipublish/deploy"
)

// dialer makes connections along a route.
type dialer struct {
	hops      []hop         // at least one
	timeout   time.Duration // of the whole way
	keepAlive time.Duration
}

// connect blocks at most d.timeout. Its errors are told to every caller that waits.
func (d *dialer) connect(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var clients []*gossh.Client
	var w *wire
	for _, h := range d.hops {
		client, over, err := d.step(ctx, clients, h)
		if err != nil {
			closeAll(clients)
			return nil, err
		}
		clients, w = append(clients, client), over
	}
	last := len(clients) - 1
	return &connection{
		client: clients[last], wire: w, jumps: clients[:last], interval: d.keepAlive, dead: make(chan struct{}),
	}, nil
}

// step connects to one hop, through those before it. At ctx's end the transports
// are closed, which is what ends a handshake with a peer that says nothing.
func (d *dialer) step(ctx context.Context, before []*gossh.Client, h hop) (*gossh.Client, *wire, error) {
	conn, err := dialHop(ctx, before, h.addr)
	if err != nil {
		return nil, nil, d.unreachable(ctx, h, err)
	}
	w := &wire{Conn: conn}
	stop := context.AfterFunc(ctx, func() {
		closeAll(before)
		_ = w.Close()
	})
	client, err := d.handshake(ctx, w, h)
	if !stop() && err == nil {
		err = d.unreachable(ctx, h, ctx.Err())
	}
	if err != nil {
		_ = w.Close()
		return nil, nil, err
	}
	return client, w, nil
}

func dialHop(ctx context.Context, before []*gossh.Client, addr string) (net.Conn, error) {
	if len(before) == 0 {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	return before[len(before)-1].DialContext(ctx, "tcp", addr)
}

// handshake blocks until the peer answered or w is closed.
func (d *dialer) handshake(ctx context.Context, w *wire, h hop) (*gossh.Client, error) {
	id, err := identify(h)
	if err != nil {
		return nil, err
	}
	keys, done, err := h.keys.load(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, channels, requests, err := gossh.NewClientConn(w, h.addr, &gossh.ClientConfig{
		User:              h.user,
		Auth:              []gossh.AuthMethod{gossh.PublicKeys(keys.signers...)},
		HostKeyCallback:   id.verify,
		HostKeyAlgorithms: id.algorithms,
	})
	if err != nil {
		return nil, d.judge(ctx, h, id, keys, err)
	}
	return gossh.NewClient(conn, channels, requests), nil
}

// judge says which error the end of a handshake is.
func (d *dialer) judge(ctx context.Context, h hop, id *identity, keys offer, err error) error {
	var refused *deploy.Error
	var mismatch *gossh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &refused):
		return refused
	case ctx.Err() != nil:
		return d.unreachable(ctx, h, err)
	case errors.As(err, &mismatch) && mismatch.What == "host key" && len(id.algorithms) > 0:
		return id.mismatched(mismatch)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return keys.refusal(h, err)
	}
	return d.unavailable(h, err, "%s does not speak ssh, or ended the connection: %v", h.addr, err)
}

func (d *dialer) unreachable(ctx context.Context, h hop, err error) error {
	if ctx.Err() != nil {
		return d.unavailable(h, err, "%s did not complete an ssh connection within %s: is it up, and the port right?", h.addr, d.timeout)
	}
	return d.unavailable(h, err, "%s cannot be reached: is it up, and the port right?", h.addr)
}

func (d *dialer) unavailable(h hop, err error, format string, args ...any) error {
	return &deploy.Error{
		Code: deploy.CodeUnavailable, Op: "connect", Subject: h.addr, Message: fmt.Sprintf(format, args...), Err: err,
	}
}
