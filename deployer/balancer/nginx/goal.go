package nginx

import (
	"net"
	"strconv"
	"strings"
)

// goal is where a directive sends requests.
type goal struct {
	Name     string // as written: an upstream's name or host:port, up to the first variable
	Addr     string // host:port, the port by the scheme where none is written; "" where it can be no address
	Variable bool   // a variable is part of it: only a request shows where it goes
}

// readGoal reads the parameter of proxy_pass and its kin, or of server in an upstream.
func readGoal(word string) goal {
	scheme, rest, ok := strings.Cut(word, "://")
	if !ok {
		scheme, rest = "", word
	}
	if strings.HasPrefix(rest, "unix:") {
		return goal{Name: rest}
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	name, _, variable := strings.Cut(rest, "$")
	return goal{Name: name, Addr: withPort(scheme, name), Variable: variable}
}

// withPort gives host:port of what is written; "" if it is no address.
func withPort(scheme, name string) string {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		host, port = strings.Trim(name, "[]"), "80"
		if scheme == "https" || scheme == "grpcs" {
			port = "443"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10))
}
