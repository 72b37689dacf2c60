package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
)

// Bounds of one download.
const (
	stallLimit  = time.Minute // without a byte: then it is tried again
	maxChecksum = 64 << 10    // bytes of the text at sha256_url
	maxPatience = 24 * time.Hour
	soonAgain   = time.Minute // at most, between two looks for what is not there yet
)

var errStalled = errors.New("nothing came for a minute")

// poll looks once and downloads what is there: the checksum first, so that an
// artifact is not downloaded again and again while only that is missing. The
// error is a *notYet if another poll may succeed.
func (d *delivery) poll(ctx context.Context) (got kept, err error) {
	want := ""
	if d.checksum != nil {
		err = d.receive(ctx, d.checksum, func(_ *http.Response, body io.Reader) (err error) {
			want, err = d.readSum(body)
			return err
		})
		if err != nil {
			return got, err
		}
	}
	err = d.receive(ctx, d.artifact, func(res *http.Response, body io.Reader) (err error) {
		got, err = d.store(ctx, res, body, want)
		return err
	})
	return got, err
}

// receive opens a URL and runs use with its content.
func (d *delivery) receive(ctx context.Context, at *url.URL, use func(*http.Response, io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stallLimit, func() { cancel(errStalled) })
	defer watch.Stop()
	res, err := d.open(ctx, at)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := d.verdict(at, res); err != nil {
		return err
	}
	return use(res, &watched{ctx: ctx, from: res.Body, at: at, watch: watch})
}

// watched gives a silent connection up, and tells its trouble from that of
// this machine: its errors are a *notYet.
type watched struct {
	ctx   context.Context
	from  io.Reader
	at    *url.URL
	watch *time.Timer
}

// Read implements io.Reader.
func (r *watched) Read(b []byte) (int, error) {
	r.watch.Reset(stallLimit)
	n, err := r.from.Read(b)
	r.watch.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		broken := unanswered(r.ctx, r.at, err)
		broken.begun = true
		err = broken
	}
	return n, err
}

func unanswered(ctx context.Context, at *url.URL, err error) *notYet {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	text := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the connection broke"
	}
	return &notYet{reason: noAnswer, at: at, text: clip(text, 200), err: err}
}

// verdict decides what an answer means; nil: its body is what was asked for.
func (d *delivery) verdict(at *url.URL, res *http.Response) error {
	status := strings.TrimSpace(strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode))
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound, code == http.StatusConflict, code == http.StatusTooEarly:
		n := &notYet{reason: noArtifact, at: at, after: min(patience(res), soonAgain)}
		if at == d.checksum {
			n.reason = noChecksum
		}
		return n
	case code == http.StatusForbidden:
		return &notYet{reason: barred, at: at, from: res.Request.URL, text: status, after: min(patience(res), soonAgain)}
	case code == http.StatusUnauthorized:
		return d.denied(at, res.Request.URL, status)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return &notYet{reason: busy, at: at, text: status, after: patience(res)}
	}
	return d.fault(deploy.CodeFailed, nil, "%s cannot be downloaded, the server answers %s: check artifact_url and sha256_url of the build section", shownURL(at), status)
}

func (d *delivery) denied(at, last *url.URL, status string) error {
	switch {
	case !sameOrigin(at, d.artifact) || !sameOrigin(last, at):
		return d.fault(deploy.CodeRefused, nil, "%s answers %s to the download of %s, and build.headers are sent to the host of build.artifact_url only: configure an address that needs no redirect to another host", last.Host, status, shownURL(at))
	case len(d.headers) == 0:
		return d.fault(deploy.CodeRefused, nil, "%s wants credentials (it answers %s): put them in build.headers", shownURL(at), status)
	}
	return d.fault(deploy.CodeRefused, nil, "%s did not accept the credentials (it answers %s): check build.headers, and that they may read there", shownURL(at), status)
}

// patience is what Retry-After asks for, in seconds or as a date.
func patience(res *http.Response) time.Duration {
	text := res.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return min(time.Duration(max(0, min(n, int(maxPatience/time.Second))))*time.Second, maxPatience)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), maxPatience)
	}
	return 0
}

// readSum reads the sha256 that a checksum file begins with.
func (d *delivery) readSum(body io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxChecksum+1))
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(text))
	if len(text) <= maxChecksum && len(words) > 0 && isSum(strings.ToLower(words[0])) {
		return strings.ToLower(words[0]), nil
	}
	return "", &notYet{reason: doubted, at: d.checksum, final: d.fault(deploy.CodeFailed, nil,
		"%s is no checksum: the file must begin with the artifact's sha256 in 64 hex digits, as sha256sum writes it", shownURL(d.checksum))}
}

// store streams the artifact into the store; want is its sha256, or empty.
func (d *delivery) store(ctx context.Context, res *http.Response, body io.Reader, want string) (got kept, err error) {
	limit := d.w.o.MaxBytes
	if res.ContentLength > limit {
		return got, tooMuch("the artifact holds more than " + inBytes(limit))
	}
	write := func(out io.Writer) error {
		content, err := d.archived(res, body)
		if err != nil {
			return err
		}
		n, err := io.Copy(out, &meter{ctx: ctx, from: io.LimitReader(content, limit+1), tell: d.tell})
		if err == nil && n > limit {
			return tooMuch("the artifact holds more than " + inBytes(limit))
		}
		return err
	}
	got.sum, got.size, err = d.w.keepIf(write, func(sum string) error {
		if want == "" || sum == want {
			return nil
		}
		return &notYet{reason: doubted, at: d.artifact, final: d.fault(deploy.CodeFailed, nil,
			"%s does not have the checksum that %s says: it is %s, and should be %s; check that one CI job uploads both, then deploy again",
			shownURL(d.artifact), shownURL(d.checksum), sum, want)}
	})
	return got, err
}

// archived gives the body back if it begins as the artifact's name says: a login
// page that is kept once would be the commit's artifact for good.
func (d *delivery) archived(res *http.Response, body io.Reader) (io.Reader, error) {
	marks := beginnings(d.name)
	if len(marks) == 0 {
		return body, nil
	}
	whole := bufio.NewReader(body)
	head, err := whole.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, mark := range marks {
		if strings.HasPrefix(string(head), mark) {
			return whole, nil
		}
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		kind = "-"
	}
	return nil, d.fault(deploy.CodeFailed, nil, "%s answered something that is no archive (%s): check build.headers and what CI uploads, then deploy again", shownURL(d.artifact), clip(kind, 60))
}

// beginnings are the first bytes of files with such a name; nil: any. A jar may
// begin with a shell script that starts it.
func beginnings(name string) []string {
	switch strings.ToLower(path.Ext(name)) {
	case ".war", ".jar":
		return []string{"PK\x03\x04", "PK\x05\x06", "#!"}
	case ".zip", ".ear":
		return []string{"PK\x03\x04", "PK\x05\x06"}
	case ".gz", ".tgz":
		return []string{"\x1f\x8b"}
	}
	return nil
}
