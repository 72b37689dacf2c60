package deployer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	"ipublish/deploy"
)

// FrontDoor asks verify.url from this machine.
type FrontDoor struct{}

// Open implements Front.
func (FrontDoor) Open(v deploy.Verify) Door { return doorTo(v, dialing(v.Connect)) }

// behind is the door of v as seen past the balancer, where nothing is encrypted
// any more and the app is told so.
func behind(v deploy.Verify, dial dialer) Door {
	if rest, secure := strings.CutPrefix(v.URL, "https:"); secure {
		v.URL = "http:" + rest
		v.Headers = maps.Clone(v.Headers)
		if v.Headers == nil {
			v.Headers = map[string]string{}
		}
		v.Headers["X-Forwarded-Proto"] = "https"
	}
	return doorTo(v, dial)
}

func doorTo(v deploy.Verify, dial dialer) *door {
	d := &door{verify: v, once: afresh(dial), kept: &line{dial: dial}}
	if v.ExpectBody != "" {
		d.body, d.invalid = regexp.Compile(v.ExpectBody)
	}
	return d
}

// dialing connects to what is named instead of the URL's host, where something is.
func dialing(instead string) dialer {
	d := net.Dialer{KeepAlive: -1}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if instead != "" {
			addr = instead
		}
		return d.DialContext(ctx, network, addr)
	}
}

type door struct {
	verify  deploy.Verify
	body    *regexp.Regexp // nil: any
	invalid error          // of the configured expression
	once    http.RoundTripper
	kept    *line
}

// Once implements Door.
func (d *door) Once(ctx context.Context) error { return d.ask(ctx, d.once) }

// Kept implements Door.
func (d *door) Kept(ctx context.Context) error { return d.ask(ctx, d.kept) }

// Close implements Door.
func (d *door) Close() error { return d.kept.close() }

func (d *door) ask(ctx context.Context, by http.RoundTripper) error {
	if d.invalid != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "probe", Subject: "verify.expect_body", Message: "verify.expect_body: " + d.invalid.Error(), Err: d.invalid}
	}
	ctx, cancel := context.WithTimeout(ctx, d.verify.Timeout.D())
	defer cancel()
	status, answer, err := ask(ctx, by, question{target: d.verify.URL, body: d.verify.Body, want: d.verify.Health})
	switch {
	case err != nil:
		e := *deploy.AsError(err)
		e.Op, e.Subject = "probe", kindOf(status, err)
		return &e
	case d.body != nil && !d.body.Match(answer.body):
		return &deploy.Error{Code: deploy.CodeUnhealthy, Op: "probe", Subject: "body", Message: fmt.Sprintf("the answer (%d) does not match verify.expect_body", status)}
	}
	return nil
}

// kindOf is the kind of a bad answer, as Door names them.
func kindOf(status int, err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "cut"
	case status >= 500:
		return "5xx"
	case status > 0:
		return "status"
	}
	return "other"
}
