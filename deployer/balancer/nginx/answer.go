package nginx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

const (
	answerPath  = "/ipublish/generation"
	answerLimit = 2 * time.Second // one request to the loopback server
	answerBytes = 16 << 10
)

// answer is what the loopback server says about the configuration in use. The
// zero answer: nothing of ours answered.
type answer struct {
	Generation string
	Table      table
}

// answerName tells the loopback servers of several upstreams on one address
// apart. It is short enough for every server_names_hash_bucket_size.
func answerName(upstream string) string {
	return "ipub-" + sum([]byte(strings.ToLower(upstream)))[:8]
}

func answerText(generation, upstream string, t table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation %s\nupstream %s\n", generation, upstream)
	for _, s := range t {
		word := "down"
		if s.Up {
			word = "up"
		}
		fmt.Fprintf(&b, "%s %s\n", word, s.Addr)
	}
	return b.String()
}

// parseAnswer reads what answerText wrote; false if the text is anything else
// or speaks of another upstream.
func parseAnswer(text, upstream string) (answer, bool) {
	var a answer
	var name string
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case !ok || !strings.HasSuffix(line, "\n"):
			return answer{}, false
		case key == "generation":
			a.Generation = value
		case key == "upstream":
			name = value
		case key == "up" || key == "down":
			a.Table = append(a.Table, server{Addr: value, Up: key == "up"})
		default:
			return answer{}, false
		}
	}
	return a, name == upstream && answerText(a.Generation, name, a.Table) == text
}

// asker asks the loopback server through a host.
type asker struct {
	listen, upstream string
	client           *http.Client
}

func newAsker(s settings, h deployer.Host) asker {
	return asker{listen: s.GenerationListen, upstream: s.Upstream, client: &http.Client{
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return h.Dial(ctx, network, addr)
			},
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
	}}
}

// at asks at another address.
func (q asker) at(listen string) asker {
	q.listen = listen
	return q
}

// ask returns the answer in use. Nobody listening, or another web server
// answering, is the zero answer; deploy.CodeUnavailable when no HTTP answer came.
func (q asker) ask(ctx context.Context) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.listen+answerPath, nil)
	if err != nil {
		return answer{}, &deploy.Error{Code: deploy.CodeInternal, Err: err}
	}
	req.Host = answerName(q.upstream)
	resp, err := q.client.Do(req)
	if err != nil {
		return answer{}, q.silence(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return answer{}, q.silence(ctx, err)
	}
	if a, ok := parseAnswer(string(body), q.upstream); ok && resp.StatusCode == http.StatusOK {
		return a, nil
	}
	return answer{}, nil
}

// silence judges a request that got no answer: nobody listening is no error.
func (q asker) silence(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(strings.ToLower(err.Error()), "connection refused") {
		return nil
	}
	return &deploy.Error{
		Code: deploy.CodeUnavailable, Op: "ask", Subject: q.listen, Err: err,
		Message: fmt.Sprintf("%s does not answer as nginx does; if another program listens there, give generation_listen a free loopback port", q.listen),
	}
}
