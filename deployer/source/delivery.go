package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// DefaultWait is what build.wait is if it is not configured.
const DefaultWait = 20 * time.Minute

// delivery is one artifact that CI makes and this bot downloads.
type delivery struct {
	w        *Workshop
	r        deploy.Release
	artifact *url.URL
	checksum *url.URL // nil: none is configured
	name     string   // of the artifact
	headers  http.Header
	wait     time.Duration
	hide     *strings.Replacer
	tell     func(string)
}

// deliver makes the artifact exist by downloading what CI built.
func (w *Workshop) deliver(ctx context.Context, b deploy.Build, r deploy.Release, tell func(string)) (deploy.Release, error) {
	d, err := w.delivery(b, r, tell)
	if err != nil {
		return r, err
	}
	got, err := d.await(ctx)
	if err != nil {
		return r, d.masked(err)
	}
	if isArchive(d.name) {
		r, err = w.unpack(ctx, got, d.name, r)
	} else {
		r.Kind, r.Name, r.SHA256, r.Size = deploy.ArtifactFile, d.name, got.sum, got.size
	}
	if err != nil {
		return r, err
	}
	return r, w.note(r)
}

// delivery fills in the commit and resolves the headers.
func (w *Workshop) delivery(b deploy.Build, r deploy.Release, tell func(string)) (*delivery, error) {
	d := &delivery{w: w, r: r, wait: orDefault(b.Wait, DefaultWait)}
	var err error
	if d.name, err = deliveredName(b.ArtifactURL, r.Commit.SHA); err != nil {
		return nil, err
	}
	if d.artifact, err = url.Parse(ofCommit(b.ArtifactURL, r.Commit.SHA)); err != nil {
		return nil, err
	}
	if b.SHA256URL != "" {
		if d.checksum, err = url.Parse(ofCommit(b.SHA256URL, r.Commit.SHA)); err != nil {
			return nil, err
		}
	}
	var secrets []string
	if d.headers, secrets, err = w.headers(b.Headers); err != nil {
		return nil, err
	}
	d.hide = hiding(secrets)
	d.tell = func(s string) { tell(d.hide.Replace(s)) }
	return d, nil
}

// headers resolves the headers of a download. secrets are their values, and the
// words of those that came out of references: a server can say a token without
// the "Bearer" before it.
func (w *Workshop) headers(configured map[string]string) (h http.Header, secrets []string, err error) {
	h = http.Header{}
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		v, err := w.o.Resolve(configured[name])
		if err != nil {
			return nil, nil, fault(deploy.CodeInvalid, "build", name,
				fmt.Sprintf("build.headers.%s holds a reference that cannot be resolved", name), err)
		}
		v = strings.TrimSpace(v)
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, nil, fault(deploy.CodeInvalid, "build", name,
				fmt.Sprintf("build.headers.%s holds a line break or another control character once it is resolved", name), nil)
		}
		secrets = append(secrets, v)
		written := strings.Fields(configured[name])
		for word := range strings.FieldsSeq(v) {
			if !slices.Contains(written, word) {
				secrets = append(secrets, word)
			}
		}
		h.Set(name, v)
	}
	return h, secrets, nil
}

// masked is err without the headers' values; what has no code stays so.
func (d *delivery) masked(err error) error {
	var said *deploy.Error
	if !errors.As(err, &said) {
		return errors.New(d.hide.Replace(err.Error()))
	}
	out := *said
	out.Message = d.hide.Replace(said.Message)
	if said.Err != nil {
		out.Err = errors.New(d.hide.Replace(said.Err.Error()))
	}
	return &out
}

// fault is a failure that ends the waiting.
func (d *delivery) fault(code deploy.Code, err error, format string, args ...any) error {
	return fault(code, "build", d.r.App, fmt.Sprintf(format, args...), err)
}

// shownURL is a URL for people: without credentials and without its query.
func shownURL(u *url.URL) string {
	return clip((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), 300)
}
