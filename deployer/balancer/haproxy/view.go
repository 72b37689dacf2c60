package haproxy

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxyapi"
)

// Label is the host label that names a host's server: "server" of the section's
// backend, or "backend/server".
const Label = "haproxy"

// listed is how many servers a message names.
const listed = 20

// view is what one HAProxy answered.
type view struct {
	door    *haproxyapi.API
	servers []haproxyapi.Server
}

// find gives the server of a target: by its label, else by its address in the
// section's backend. deploy.CodeInvalid with the label to write.
func (v view) find(e deploy.Endpoint, backend string) (haproxyapi.Server, error) {
	if label := e.Labels[Label]; label != "" {
		return v.byLabel(e, label, backend)
	}
	if backend == "" {
		return haproxyapi.Server{}, unknown(e, "give balancer.haproxy a `backend`, or write the label `haproxy: BACKEND/SERVER` at host %s, with one of %s", e.Host, v.list(""))
	}
	found := v.byAddress(e.Addr, backend)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return haproxyapi.Server{}, unknown(e, "no server of HAProxy's backend %s has the address %s of host %s: write the label `haproxy: SERVER` there, with one of %s", backend, e.Addr, e.Host, v.list(backend))
	}
	return haproxyapi.Server{}, unknown(e, "several servers of HAProxy's backend %s have the address %s of host %s: write the label `haproxy: SERVER` there, with one of %s", backend, e.Addr, e.Host, list(found))
}

func (v view) byLabel(e deploy.Endpoint, label, backend string) (haproxyapi.Server, error) {
	in, name, whole := strings.Cut(label, "/")
	if !whole {
		in, name = backend, label
	}
	if in == "" {
		return haproxyapi.Server{}, unknown(e, "the label `haproxy: %s` of host %s needs a backend: write BACKEND/SERVER there, or give balancer.haproxy a `backend`; the servers are %s", label, e.Host, v.list(""))
	}
	for _, s := range v.servers {
		if s.Backend == in && s.Name == name {
			return s, nil
		}
	}
	return haproxyapi.Server{}, unknown(e, "HAProxy has no server %s, which the label `haproxy: %s` of host %s names: write there one of %s", in+"/"+name, label, e.Host, v.list(in))
}

func (v view) byAddress(addr, backend string) []haproxyapi.Server {
	var found []haproxyapi.Server
	for _, s := range v.servers {
		if s.Backend == backend && at(s, addr) {
			found = append(found, s)
		}
	}
	return found
}

// at reports whether a server stands at addr, by IP or by the name in haproxy.cfg.
func at(s haproxyapi.Server, addr string) bool {
	if s.Addr == addr {
		return true
	}
	if a, err := netip.ParseAddrPort(addr); err == nil {
		b, err := netip.ParseAddrPort(s.Addr)
		return err == nil && a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
	}
	name, port, err := net.SplitHostPort(addr)
	_, serverPort, serverErr := net.SplitHostPort(s.Addr)
	return err == nil && serverErr == nil && s.FQDN != "" && strings.EqualFold(name, s.FQDN) && port == serverPort
}

// endpoints are the servers of a backend as targets; none of no backend.
func (v view) endpoints(backend string) []deploy.Endpoint {
	var out []deploy.Endpoint
	for _, s := range v.servers {
		if backend != "" && s.Backend == backend {
			out = append(out, deploy.Endpoint{Addr: s.Addr, Labels: map[string]string{Label: s.Subject()}})
		}
	}
	return out
}

// list names the servers of a backend for a message; of every backend when there
// is none of that name.
func (v view) list(backend string) string {
	var of []haproxyapi.Server
	for _, s := range v.servers {
		if s.Backend == backend {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		of = v.servers
	}
	return list(of)
}

func list(servers []haproxyapi.Server) string {
	var names []string
	for _, s := range servers[:min(len(servers), listed)] {
		names = append(names, s.Subject()+" ("+s.Addr+")")
	}
	if len(servers) > listed {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

func unknown(e deploy.Endpoint, format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "find", Subject: string(e.Host), Message: fmt.Sprintf(format, args...)}
}
