package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"ipublish/deploy"
)

// address is a configured repository URL, understood.
type address struct {
	scheme         string // "https", "http", "ssh" or "file"
	user, password string // as written in the URL, never shown
	host           string // without port; IPv6 in brackets
	port           int    // 0: the scheme's own
	path           string
}

// parseAddress reads a repository as the configuration has it. deploy.CodeInvalid
// says which forms are understood.
func parseAddress(repository string) (address, error) {
	if filepath.IsAbs(repository) {
		return address{scheme: "file", path: filepath.Clean(repository)}, nil
	}
	ep, err := transport.NewEndpoint(repository)
	if err != nil {
		return address{}, unknownForm(repository)
	}
	a := address{scheme: strings.ToLower(ep.Protocol), user: ep.User, password: ep.Password, host: ep.Host, port: ep.Port, path: ep.Path}
	return a, a.check(repository)
}

func (a address) check(repository string) error {
	switch a.scheme {
	case "https", "ssh":
	case "http":
		if !a.loopback() {
			return fault(deploy.CodeInvalid, "", a.shown(), "a repository is not fetched over plain http: use https or ssh", nil)
		}
	case "file":
		if !strings.HasPrefix(repository, "file://") || !filepath.IsAbs(a.path) || a.host != "" {
			return unknownForm(repository)
		}
		return nil
	default:
		return unknownForm(repository)
	}
	if a.host == "" || a.path == "" || strings.HasPrefix(a.host, "-") || strings.HasPrefix(a.user, "-") || strings.HasPrefix(a.path, "-") || strings.HasPrefix(a.path, ":") {
		return unknownForm(repository)
	}
	if strings.ContainsFunc(a.host+a.user+a.path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return unknownForm(repository)
	}
	return nil
}

func unknownForm(repository string) error {
	return fault(deploy.CodeInvalid, "", "", fmt.Sprintf(
		"the repository %q is not understood: write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, file:///PATH or an absolute path",
		withoutPassword(repository)), nil)
}

func withoutPassword(repository string) string {
	if u, err := url.Parse(repository); err == nil {
		repository = u.Redacted()
	}
	return clip(repository, 120)
}

func (a address) loopback() bool {
	host := strings.Trim(a.host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// shown is the address for people: without user and password.
func (a address) shown() string {
	if a.scheme == "file" {
		return a.path
	}
	return a.endpoint().String()
}

// endpoint is the address as go-git wants it, without credentials.
func (a address) endpoint() *transport.Endpoint {
	return &transport.Endpoint{Protocol: a.scheme, Host: a.host, Port: a.port, Path: a.path}
}

// folder names the mirror: what people recognise, and a hash that keeps two
// addresses apart.
func (a address) folder() string {
	whole := fmt.Sprintf("%s|%s|%s|%d|%s", a.scheme, a.user, strings.ToLower(a.host), a.port, a.path)
	sum := sha256.Sum256([]byte(whole))
	return slug(a.path) + "-" + hex.EncodeToString(sum[:8])
}

// slug keeps the last 40 letters, digits and dashes of a path.
func slug(path string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.TrimSuffix(path, ".git"))
	if len(s) > 40 {
		s = s[len(s)-40:]
	}
	return strings.Trim(s, "-")
}
