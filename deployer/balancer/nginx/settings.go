package nginx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
)

const settingKeys = "host, upstream, include, server_params, extra, generation_listen, test, reload, pid, reload_timeout"

// settings is the section balancer.nginx of the configuration.
type settings struct {
	Host             string          `json:"host"`
	Upstream         string          `json:"upstream"`
	Include          string          `json:"include"`
	ServerParams     string          `json:"server_params"`
	Extra            []string        `json:"extra"`
	GenerationListen string          `json:"generation_listen"`
	Test             []string        `json:"test"`
	Reload           []string        `json:"reload"`
	PID              string          `json:"pid"`
	ReloadTimeout    deploy.Duration `json:"reload_timeout"`
}

// readSettings decodes strictly and fills in the defaults; it does not judge values.
func readSettings(raw json.RawMessage) (settings, error) {
	var s settings
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return s, invalid("%s (the keys of balancer.nginx are %s)", strings.TrimPrefix(err.Error(), "json: "), settingKeys)
		}
	}
	s.fillIn()
	return s, nil
}

func (s *settings) fillIn() {
	orText := func(v *string, def string) {
		if *v == "" {
			*v = def
		}
	}
	orText(&s.Host, "local")
	orText(&s.ServerParams, "weight=1 max_fails=0")
	orText(&s.GenerationListen, "127.0.0.1:8091")
	orText(&s.PID, "/run/nginx.pid")
	if len(s.Test) == 0 {
		s.Test = []string{"nginx", "-t"}
	}
	if len(s.Reload) == 0 {
		s.Reload = []string{"nginx", "-s", "reload"}
	}
	if s.ReloadTimeout == 0 {
		s.ReloadTimeout = deploy.Duration(10 * time.Second)
	}
}

var (
	upstreamForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	paramForm     = regexp.MustCompile(`^[a-z_]+(=[A-Za-z0-9_.]+)?$`)
	directiveForm = regexp.MustCompile(`^[a-z_]+( [A-Za-z0-9_.:/=$@+,~%*-]+)*$`)
)

// longestUpstream is the longest name of an upstream, in bytes.
const longestUpstream = 128

// check judges the values; t is named in the advice.
func (s settings) check(t deploy.Target) error {
	if len(s.Upstream) > longestUpstream || !upstreamForm.MatchString(s.Upstream) {
		return invalid("upstream %q: give the name that proxy_pass uses, of letters, digits, _ . and -, such as upstream: %s_%s", s.Upstream, t.App, t.Env)
	}
	if err := checkPath("include", s.Include); err != nil {
		return err
	}
	if strings.HasPrefix(path.Base(s.Include), ".") {
		return invalid("include %q: nginx's include patterns skip names that begin with a dot; give another name", s.Include)
	}
	if err := checkPath("pid", s.PID); err != nil {
		return err
	}
	if err := checkLoopback(s.GenerationListen); err != nil {
		return err
	}
	return firstError(s.checkParams(), s.checkExtra(), checkArgv("test", s.Test), checkArgv("reload", s.Reload), s.checkTest())
}

func checkPath(key, p string) error {
	plain := !strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f })
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || !plain {
		return invalid("%s %q: give an absolute path without . and .., such as /etc/nginx/ipublish/shop-production.conf", key, p)
	}
	return nil
}

func checkLoopback(listen string) error {
	a, err := netip.ParseAddrPort(listen)
	if err != nil || !a.Addr().IsLoopback() || a.Port() == 0 || a.Addr().Zone() != "" {
		return invalid("generation_listen %q: give a loopback address with a port, such as 127.0.0.1:8091; the answer is for ipublish only", listen)
	}
	return nil
}

func (s settings) checkParams() error {
	for _, p := range strings.Split(s.ServerParams, " ") {
		name, _, _ := strings.Cut(p, "=")
		if !paramForm.MatchString(p) {
			return invalid("server_params %q: write parameters of nginx's server directive with one space in between, such as weight=1 max_fails=0", s.ServerParams)
		}
		if slices.Contains([]string{"down", "backup", "drain"}, name) {
			return invalid("server_params %q: %s is ipublish's own to set; take it out", s.ServerParams, name)
		}
	}
	return nil
}

func (s settings) checkExtra() error {
	for _, line := range s.Extra {
		name, _, _ := strings.Cut(line, " ")
		if !directiveForm.MatchString(line) {
			return invalid("extra %q: write one directive of the upstream block, without ; braces, quotes and line breaks, such as keepalive 32", line)
		}
		if slices.Contains([]string{"server", "include", "upstream"}, name) {
			return invalid("extra %q: %s would send traffic past ipublish; the servers come from the deploy", line, name)
		}
	}
	return nil
}

func checkArgv(key string, argv []string) error {
	for _, a := range argv {
		if a == "" || strings.ContainsAny(a, "\x00\n\r") {
			return invalid("%s %q: give a list of words, the command and its arguments", key, argv)
		}
	}
	return nil
}

func (s settings) checkTest() error {
	if !slices.Contains(s.Test, "-t") {
		return invalid("test %q: the command needs an argument -t, as in [nginx, -t]; ipublish also asks it with -T which files nginx reads", s.Test)
	}
	return nil
}

// dumpArgv is the test command asked for the files that nginx reads as well.
func (s settings) dumpArgv() []string {
	argv := slices.Clone(s.Test)
	argv[slices.Index(argv, "-t")] = "-T"
	return argv
}

// sidecar is where the bytes stand that the last switch replaced. Its name keeps
// it out of nginx's include patterns.
func (s settings) sidecar() string {
	return path.Join(path.Dir(s.Include), "."+path.Base(s.Include)+".old")
}

var hostNameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// checkAddr accepts host:port as nginx's server directive takes it, and nothing else.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port || net.JoinHostPort(host, port) != addr {
		return invalid("address %q is not host:port", addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return invalid("address %q has a zone, which nginx does not take", addr)
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if len(host) > 253 || !hostNameForm.MatchString(host) || strings.Trim(last, "0123456789") == "" {
		return invalid("address %q: %q is neither an IP address nor a host name", addr, host)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "balancer nginx", Message: fmt.Sprintf(format, args...)}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
