package statusfile

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// keptSuffix ends the name under which a file waits that was taken away.
const keptSuffix = ".ipublish"

// place is the file and the URL of one host.
type place struct {
	host deploy.HostID
	path string
	kept string // where the file waits while the host is out
	url  string
	addr string // host:port of url
}

// sample is what placeholders are checked with before any target is known.
var sample = deploy.Endpoint{Host: "web-1", Addr: "127.0.0.1:80"}

// at fills in the placeholders of path and url; deploy.CodeInvalid if what comes out is neither.
func (s *settings) at(t deploy.Endpoint) (place, error) {
	address, port, err := net.SplitHostPort(t.Addr)
	if err != nil {
		address = t.Addr
	}
	fill := strings.NewReplacer("{host}", string(t.Host), "{address}", address, "{port}", port)
	p := place{host: t.Host, path: fill.Replace(s.Path), url: fill.Replace(s.URL)}
	p.kept = p.path + keptSuffix
	if err := checkPath(p.path); err != nil {
		return p, err
	}
	p.addr, err = readURL(p.url)
	return p, err
}

func checkPath(p string) error {
	plain := !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f })
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || !plain || strings.HasSuffix(p, keptSuffix) {
		return invalid("path %q: give the absolute path of the file that the status page is answered from, without . and .., such as /usr/java/tomcat/status/nginx-status.html", p)
	}
	return nil
}

var hostNameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// readURL gives the address to dial.
func readURL(text string) (addr string, err error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || !isHost(u.Hostname()) {
		return "", badURL(text)
	}
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", badURL(text)
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", badURL(text)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func badURL(text string) error {
	return invalid("url %q: give the address of the status page as the host itself reaches it, such as http://127.0.0.1:80/nginx-status.html", text)
}

func isHost(name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Zone() == ""
	}
	return len(name) <= 253 && hostNameForm.MatchString(name)
}
