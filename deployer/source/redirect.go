package source

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"ipublish/deploy"
)

// maxRedirects is how often one download follows a redirect.
const maxRedirects = 5

// open asks for a URL and follows redirects. The headers go to the origin of
// artifact_url only, and not any more once a redirect led away from it.
func (d *delivery) open(ctx context.Context, at *url.URL) (*http.Response, error) {
	own, next := sameOrigin(at, d.artifact), at
	for range maxRedirects + 1 {
		res, err := d.ask(ctx, next, own)
		if err != nil || !isRedirect(res) {
			return res, err
		}
		_ = res.Body.Close()
		if next, err = d.onward(at, res); err != nil {
			return nil, err
		}
		own = own && sameOrigin(next, d.artifact)
	}
	return nil, d.fault(deploy.CodeFailed, nil, "%s redirects more than %d times: check artifact_url and sha256_url of the build section", shownURL(at), maxRedirects)
}

// ask sends one request; own: to the origin that the headers are for.
func (d *delivery) ask(ctx context.Context, at *url.URL, own bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "ipublish")
	req.Header.Set("Cache-Control", "no-cache")
	if own {
		for name, v := range d.headers {
			req.Header[name] = v
		}
	}
	req.Header.Set("Accept-Encoding", "identity") // the file as it is, with its length
	res, err := d.w.web.RoundTrip(req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
		return res, nil
	case errors.As(err, &untrusted):
		return nil, d.fault(deploy.CodeRefused, err, "the certificate of %s is not trusted: install its authority on the bot's machine or give the server a certificate for that name", at.Host)
	}
	return nil, unanswered(ctx, at, err)
}

func isRedirect(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// onward is where a redirect leads, if it may be followed: over https, or over
// plain http if the configured URL is plain http itself.
func (d *delivery) onward(at *url.URL, res *http.Response) (*url.URL, error) {
	to, err := res.Request.URL.Parse(res.Header.Get("Location"))
	if err != nil || to.Hostname() == "" {
		return nil, d.fault(deploy.CodeFailed, nil, "%s redirects to an address that is not understood: check artifact_url and sha256_url of the build section", shownURL(at))
	}
	if to.Scheme != "https" && (to.Scheme != "http" || at.Scheme != "http") {
		return nil, d.fault(deploy.CodeRefused, nil, "%s redirects to %s://%s, which is not https and is not followed: configure an address that stays on https", shownURL(at), to.Scheme, to.Host)
	}
	to.User, to.Fragment = nil, ""
	return to, nil
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
