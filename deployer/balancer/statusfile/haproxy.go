package statusfile

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxyapi"
)

// haproxyLabel is the label of a host that names its server in HAProxy.
const haproxyLabel = "haproxy"

// observing is the section observe.haproxy: where to ask HAProxy what it does.
type observing struct {
	Host    string   `json:"host"` // the machine it runs on; default local
	Socket  string   `json:"socket"`
	Sockets []string `json:"sockets"` // several processes are all asked
	Backend string   `json:"backend"`
}

var backendForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

func (o *observing) check() error {
	o.Host = cmp.Or(o.Host, "local")
	if o.Socket != "" {
		o.Sockets = append(o.Sockets, o.Socket)
	}
	if len(o.Sockets) == 0 {
		return invalid("observe.haproxy has no socket: give the path of a stats socket of HAProxy, such as /run/haproxy/admin.sock; the level user is enough")
	}
	for _, socket := range o.Sockets {
		if !path.IsAbs(socket) {
			return invalid("observe.haproxy socket %q: give the absolute path of a stats socket, such as /run/haproxy/admin.sock", socket)
		}
	}
	if !backendForm.MatchString(o.Backend) {
		return invalid("observe.haproxy backend %q: give the name of the backend in haproxy.cfg that holds these hosts", o.Backend)
	}
	return nil
}

// ask gives the servers of each HAProxy process.
func (b *balancer) ask(ctx context.Context, o *observing) ([][]haproxyapi.Server, error) {
	h, err := b.host(o.Host)
	if err != nil {
		return nil, err
	}
	all := make([][]haproxyapi.Server, len(o.Sockets))
	for i, socket := range o.Sockets {
		if all[i], err = haproxyapi.Open(h, socket).Servers(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// byHAProxy is the evidence of pages and HAProxy together. HAProxy is asked
// after the pages, so that its word is the newer one.
func (b *balancer) byHAProxy(ctx context.Context, targets []deploy.Endpoint, seen []sight) (deploy.Evidence, error) {
	o := b.settings.Observe.HAProxy
	processes, err := b.ask(ctx, o)
	if err != nil {
		return deploy.Evidence{}, err
	}
	t := &deploy.Traffic{InFlight: map[string]int{}}
	var untold []string
	for i, e := range targets {
		servers, err := o.find(processes, e)
		t.InFlight[e.Addr] = inFlight(servers)
		page := seen[i].page
		switch {
		case err != nil:
			untold = append(untold, deploy.MessageOf(err))
		case page == unknown:
			untold = append(untold, reason(e, seen[i]))
		case page == passes && receiving(servers) == len(servers):
			t.Up = append(t.Up, e.Addr)
		case page != passes && receiving(servers) == 0:
			t.Down = append(t.Down, e.Addr)
		default:
			untold = append(untold, disagreement(e, seen[i], servers))
		}
	}
	return evidence(t, untold), nil
}

// find gives the target's server in each process; deploy.CodeNotFound, with no
// servers, if one of them has none or several that could be meant.
func (o *observing) find(processes [][]haproxyapi.Server, t deploy.Endpoint) ([]haproxyapi.Server, error) {
	var found []haproxyapi.Server
	for _, servers := range processes {
		one := o.of(servers, t)
		if len(one) != 1 {
			return nil, &deploy.Error{Code: deploy.CodeNotFound, Message: fmt.Sprintf(
				"%s: which server it is in backend %s of HAProxy cannot be told, %d could be meant: give the host the label haproxy with the name of its server in haproxy.cfg",
				t.Host, o.Backend, len(one))}
		}
		found = append(found, one[0])
	}
	return found, nil
}

// of gives the servers that can be meant: by the label, else by address and
// port, else by address alone, because what HAProxy dials is the web server's port.
func (o *observing) of(servers []haproxyapi.Server, t deploy.Endpoint) []haproxyapi.Server {
	if label := t.Labels[haproxyLabel]; label != "" {
		if !strings.Contains(label, "/") {
			label = o.Backend + "/" + label
		}
		return matching(servers, func(s haproxyapi.Server) bool { return s.Subject() == label })
	}
	exact := matching(servers, func(s haproxyapi.Server) bool { return s.Backend == o.Backend && s.Addr == t.Addr })
	if len(exact) > 0 {
		return exact
	}
	address := hostOf(t.Addr)
	return matching(servers, func(s haproxyapi.Server) bool {
		return s.Backend == o.Backend && (hostOf(s.Addr) == address || s.FQDN != "" && s.FQDN == address)
	})
}

func matching(servers []haproxyapi.Server, is func(haproxyapi.Server) bool) []haproxyapi.Server {
	var out []haproxyapi.Server
	for _, s := range servers {
		if is(s) {
			out = append(out, s)
		}
	}
	return out
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// receiving counts the processes that send new requests.
func receiving(servers []haproxyapi.Server) int {
	return len(matching(servers, func(s haproxyapi.Server) bool { return s.Receives }))
}

// inFlight is what all processes together have open; -1 if that cannot be told.
func inFlight(servers []haproxyapi.Server) int {
	if len(servers) == 0 {
		return -1
	}
	sum := 0
	for _, s := range servers {
		sum += s.Sessions + s.Queued
	}
	return sum
}

// disagreement says what page and HAProxy make of a target that is not settled.
func disagreement(t deploy.Endpoint, seen sight, servers []haproxyapi.Server) string {
	odd := slices.IndexFunc(servers, func(s haproxyapi.Server) bool { return s.Receives != (seen.page == passes) })
	state := strings.TrimSpace(servers[odd].Status + " " + servers[odd].CheckStatus)
	if seen.page == passes {
		return fmt.Sprintf("%s: its status page answers %d, but HAProxy sends it nothing yet (%s)", t.Host, seen.status, state)
	}
	return fmt.Sprintf("%s: its status page says that it is out, but HAProxy still sends to it (%s)", t.Host, state)
}
