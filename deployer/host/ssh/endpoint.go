package ssh

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// endpoint is a host as somebody wrote it; empty parts are to be filled in.
type endpoint struct{ user, host, port string }

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]*$`)
	// userForm refuses what OpenSSH refuses: a leading '-', shell syntax, white space.
	userForm = regexp.MustCompile("^[^-\\s'`\";&<>|(){}$\\\\[:cntrl:]][^\\s'`\";&<>|(){}$[:cntrl:]]*$")
)

// parseEndpoint reads "user@host:port", "[v6]:port" and "ssh://user@host:port".
func parseEndpoint(written string) (endpoint, error) {
	s := strings.TrimSuffix(strings.TrimPrefix(written, "ssh://"), "/")
	e := endpoint{host: s}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		e.user, e.host = s[:at], s[at+1:]
		if !userForm.MatchString(e.user) || strings.Contains(e.user, ":") {
			return e, badEndpoint(written, "the user's name is empty, starts with '-', or holds white space, ':' or shell syntax")
		}
	}
	if host, port, err := net.SplitHostPort(e.host); err == nil {
		e.host, e.port = host, port
	} else {
		e.host = strings.TrimSuffix(strings.TrimPrefix(e.host, "["), "]")
	}
	return e, e.check(written)
}

func (e endpoint) check(written string) error {
	if !hostForm.MatchString(e.host) {
		return badEndpoint(written, "the host's name is empty, starts with '-', or holds other characters than letters, digits, '.', '-' and '_'")
	}
	if strings.Contains(e.host, ":") && net.ParseIP(strings.Split(e.host, "%")[0]) == nil {
		return badEndpoint(written, "the port is missing or the IPv6 address is not one")
	}
	if e.port == "" {
		return nil
	}
	if n, err := strconv.Atoi(e.port); err != nil || n < 1 || n > 65535 {
		return badEndpoint(written, "the port is not a number from 1 to 65535")
	}
	return nil
}

func badEndpoint(written, why string) error {
	return invalid(written, nil, "%q is not user@host:port: %s", written, why)
}

func invalid(subject string, cause error, format string, args ...any) error {
	return &deploy.Error{
		Code: deploy.CodeInvalid, Op: "open", Subject: subject, Message: fmt.Sprintf(format, args...), Err: cause,
	}
}
