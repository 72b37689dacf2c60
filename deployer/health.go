package deployer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"ipublish/deploy"
)

// bodyLimit is how much of an answer's body is read to recognise the release.
const bodyLimit = 64 << 10

// maxRedirects is how many redirects a probe follows, as curl -L in the same place.
const maxRedirects = 5

// probeHealth asks the instance once, over a connection that h makes. The
// status is that of the final answer; the error says why this is no pass.
func probeHealth(ctx context.Context, h Reacher, addr string, want deploy.Health, r deploy.Release) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, want.Timeout.D())
	defer cancel()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) { return h.Dial(ctx, network, addr) }
	status, answer, err := ask(ctx, afresh(dial), question{target: "http://" + addr + want.Path, want: want})
	if err != nil {
		return status, err
	}
	return status, isRelease(want.ExpectRelease, answer, r)
}

// answer is what of a response can prove a release.
type answer struct {
	header http.Header
	body   []byte
}

// dialer makes the one connection that a probe may use.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// afresh asks over a new connection each time, and so never twice.
func afresh(dial dialer) http.RoundTripper {
	return &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
}

// question is what is asked and what answer is a good one.
type question struct {
	target string
	body   string
	want   deploy.Health
}

// ask sends one request, follows redirects on the same host and port, and
// judges the final status.
func ask(ctx context.Context, by http.RoundTripper, q question) (int, answer, error) {
	want := q.want
	client := &http.Client{Transport: by, CheckRedirect: redirects(want.FollowRedirects)}
	req, err := http.NewRequestWithContext(ctx, want.Method, q.target, bodyOf(q.body))
	if err != nil {
		return 0, answer{}, &deploy.Error{Code: deploy.CodeInvalid, Op: "probe", Subject: q.target, Err: err}
	}
	for k, v := range want.Headers {
		req.Header.Set(k, v)
		if strings.EqualFold(k, "Host") {
			req.Host = v
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, answer{}, noAnswer(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil {
		return res.StatusCode, answer{}, noAnswer(err)
	}
	if !want.Expects(res.StatusCode) {
		return res.StatusCode, answer{}, &deploy.Error{Code: deploy.CodeUnhealthy, Message: fmt.Sprintf("%s %s answers %d, not %s", want.Method, req.URL.Path, res.StatusCode, statuses(want.ExpectStatus))}
	}
	return res.StatusCode, answer{res.Header, body}, nil
}

func bodyOf(text string) io.Reader {
	if text == "" {
		return nil
	}
	return strings.NewReader(text)
}

func statuses(list []int) string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(list), "[]")), " or ")
}

func noAnswer(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &deploy.Error{Code: deploy.CodeUnhealthy, Message: "no answer (" + err.Error() + ")", Err: err}
}

// redirects follows as curl -L would, but never to another host or port.
func redirects(follow bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		switch {
		case !follow:
			return http.ErrUseLastResponse
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case req.URL.Host != via[0].URL.Host && req.URL.Host != via[0].Host:
			return fmt.Errorf("it redirects to another host (%s): name the path that it means, or expect the redirect's status with follow_redirects: false", req.URL.Host)
		}
		return nil
	}
}

// isRelease says why the answer does not prove the release, or nil. The
// "process" proof is the gate's, not the answer's.
func isRelease(expect string, a answer, r deploy.Release) error {
	if r.Adopted() || r.IsZero() {
		return nil // nobody knows what it calls itself
	}
	how, arg, _ := strings.Cut(expect, ":")
	var got string
	switch how {
	case "header":
		got = a.header.Get(arg)
	case "body":
		re, err := regexp.Compile(arg)
		if err != nil {
			return &deploy.Error{Code: deploy.CodeInvalid, Op: "expect_release", Subject: arg, Err: err}
		}
		if m := re.FindSubmatch(a.body); m != nil {
			got = string(m[len(m)-1])
		}
	default:
		return nil
	}
	if got = strings.ToLower(strings.TrimSpace(got)); len(got) >= 7 && strings.HasPrefix(r.Commit.SHA, got) {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeUnhealthy, Message: fmt.Sprintf("it answers as release %.40q (%s), not %s", got, expect, r.Commit.Short())}
}
