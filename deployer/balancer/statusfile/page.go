package statusfile

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// reachLimit is what reaching a host may take, apart from the page's own answer:
// the first connection to it is made then.
const reachLimit = 15 * time.Second

// verdict is what a status page says about its host.
type verdict int

const (
	unknown verdict = iota // the host could not be asked
	passes                 // a status that the balancer takes for healthy
	fails                  // another status, no HTTP, or nobody listens
	silent                 // nothing within check_timeout: the balancer's checks, too, take that long
)

// sight is what was seen of one host.
type sight struct {
	page   verdict
	status int   // 0: no HTTP answer
	err    error // unknown: why
}

// look asks the page. Without an answer it finds out whose fault that is: a host
// that cannot be reached says nothing about its page, and a link that broke
// under the question and is well again neither, so that it asks a second time.
func (s *settings) look(ctx context.Context, h deployer.Host, p place) sight {
	status, err := s.ask(ctx, h, p)
	if err == nil {
		return s.judge(status)
	}
	if gone := unasked(ctx, h, err); gone != nil {
		return sight{err: gone}
	}
	status, err = s.ask(ctx, h, p)
	switch {
	case err == nil:
		return s.judge(status)
	case ctx.Err() != nil:
		return sight{err: ctx.Err()}
	case late(err):
		return sight{page: silent}
	}
	return sight{page: fails}
}

func (s *settings) judge(status int) sight {
	if slices.Contains(s.ExpectStatus, status) {
		return sight{page: passes, status: status}
	}
	return sight{page: fails, status: status}
}

// unasked says why a page that gave no answer was not asked at all; nil: its
// host is there and runs commands.
func unasked(ctx context.Context, h deployer.Host, err error) error {
	if code := deploy.CodeOf(err); ctx.Err() != nil || code == deploy.CodeRefused || code == deploy.CodeInvalid {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	_, err = h.Run(limited, []string{"true"}, nil)
	if _, ran := complaint(err); ran {
		return nil
	}
	return err
}

// ask returns the status that the page answers with, asked from the host itself.
func (s *settings) ask(ctx context.Context, h deployer.Host, p place) (int, error) {
	reach, cancel := context.WithTimeout(ctx, reachLimit+s.CheckTimeout.D())
	defer cancel()
	conn, err := h.Dial(reach, "tcp", p.addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	answer, cancel := context.WithTimeout(ctx, s.CheckTimeout.D())
	defer cancel()
	return get(answer, conn, p.url)
}

// get asks over a connection that is there. Redirects are answers: a balancer's
// check does not follow them.
func get(ctx context.Context, conn net.Conn, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, &deploy.Error{Code: deploy.CodeInvalid, Op: "ask", Subject: url, Err: err}
	}
	req.Header.Set("User-Agent", "ipublish")
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // whether the balancer's check passes is asked, and no check verifies the name of 127.0.0.1
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// late: an answer did not come in time, rather than being refused.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || deploy.CodeOf(err) == deploy.CodeTimeout
}
