package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Limits of one exchange with a web server, besides the caller's context. A
// pack may take as long as the context allows.
const (
	dialTimeout   = 15 * time.Second
	headerTimeout = 2 * time.Minute
	maxRefusal    = 64 << 10 // bytes read of an answer that is not a success
)

// errForeignRedirect stops a redirect that would leave the configured host.
var errForeignRedirect = errors.New("redirected to another host")

// newWeb is the transport that all conversations over http share.
func newWeb(roots *x509.CertPool) *modest {
	return &modest{&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
	}}
}

// modest reads little of an answer that is not a success: go-git takes all of
// it into its error.
type modest struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (m *modest) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := m.Transport.RoundTrip(r)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxRefusal), res.Body}
	}
	return res, err
}

// dialWeb prepares a conversation over https, or over http on the loopback interface.
func (w *Workshop) dialWeb(a address, cred credential) (remote, error) {
	auth := basic(a, cred)
	client := &http.Client{Transport: w.web}
	if auth != nil {
		client.CheckRedirect = sameHost
	}
	s, err := githttp.NewClient(client).NewUploadPackSession(a.endpoint(), authMethod(auth))
	if err != nil {
		return nil, err
	}
	return &wire{session: s}, nil
}

// authMethod keeps a nil *BasicAuth from becoming an interface that is not nil.
func authMethod(b *githttp.BasicAuth) transport.AuthMethod {
	if b == nil {
		return nil
	}
	return b
}

// anyUser stands where only a token is configured: hosts that take tokens
// accept this name or ignore it.
const anyUser = "x-access-token"

func basic(a address, cred credential) *githttp.BasicAuth {
	user, password := a.user, a.password
	if cred.user != "" {
		user = cred.user
	}
	if cred.token != "" {
		password = cred.token
	}
	if user == "" && password == "" {
		return nil
	}
	if user == "" {
		user = anyUser
	}
	return &githttp.BasicAuth{Username: user, Password: password}
}

func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return errForeignRedirect
	}
	return nil
}
