package config

import (
	"cmp"
	"encoding/json"
	"net"
	"net/url"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// thisMachine is where ipublish itself runs, whatever a local host is called.
const thisMachine = "this machine"

// apart wants environments and the server not to share what only one of them
// can have: ports of a machine and files of an nginx.
func (b *building) apart(c *Config) {
	t := &claims{building: b, includes: map[string]string{}}
	t.listen("server.listen", "server.listen", thisMachine, c.Listen)
	for _, a := range c.Apps {
		for _, e := range a.Environments {
			t.environment("apps."+a.Name+".environments."+e.Name, a.Name+"/"+e.Name, e)
		}
	}
}

// claims is the one table of what is taken.
type claims struct {
	*building
	ports    []claim
	includes map[string]string // machine and path → whose
}

// claim is a port of a machine.
type claim struct {
	who     string
	machine string
	address string // "": every one
	port    int
	shared  string // claims with the same text here may have it together
}

func (t *claims) environment(key, name string, e deploy.Environment) {
	for _, h := range e.Hosts {
		slots := key + ".strategy.blue_green.slots."
		t.port(slots+"blue", claim{who: "slot blue of " + name, machine: machine(h), port: e.BlueGreen.Blue})
		t.port(slots+"green", claim{who: "slot green of " + name, machine: machine(h), port: e.BlueGreen.Green})
	}
	var s struct {
		Listen           string `json:"listen"`
		Host             string `json:"host"`
		Include          string `json:"include"`
		GenerationListen string `json:"generation_listen"`
	}
	if json.Unmarshal(e.Balancer.Settings, &s) != nil {
		return // the driver has refused it
	}
	switch e.Balancer.Driver {
	case "proxy":
		t.listen(key+".balancer.proxy.listen", "the proxy of "+name, thisMachine, s.Listen)
	case "nginx":
		where := balancerMachine(e, s.Host)
		t.include(key+".balancer.nginx.include", name, where, s.Include)
		host, port := split(cmp.Or(s.GenerationListen, "127.0.0.1:8091"))
		t.port(key+".balancer.nginx.generation_listen", claim{who: "nginx of " + name, machine: where, address: host, port: port, shared: "nginx"})
	}
}

func (t *claims) listen(key, who, machine, listen string) {
	host, port := split(listen)
	t.port(key, claim{who: who, machine: machine, address: host, port: port})
}

func (t *claims) port(key string, c claim) {
	for _, other := range t.ports {
		if other.meets(c) {
			t.fail(key, "port %d on %s belongs to %s already", c.port, c.machine, other.who)
		}
	}
	t.ports = append(t.ports, c)
}

func (t *claims) include(key, who, machine, path string) {
	if other, taken := t.includes[machine+" "+path]; taken {
		t.fail(key, "%s on %s belongs to %s already", path, machine, other)
	}
	t.includes[machine+" "+path] = who
}

// meets reports whether only one of two claims can be had.
func (c claim) meets(d claim) bool {
	if c.machine != d.machine || c.port != d.port || c.port == 0 || c.shared != "" && c.shared == d.shared {
		return false
	}
	return c.address == "" || d.address == "" || c.address == d.address
}

// split gives host and port; an address that stands for all is empty.
func split(listen string) (host string, port int) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	return host, port
}

// machine tells hosts apart by where they are reached, not by their names.
func machine(h deploy.Host) string {
	var s struct {
		Address   string `json:"address"`
		ProxyJump string `json:"proxy_jump"`
	}
	if h.Driver.Driver == "local" || json.Unmarshal(h.Driver.Settings, &s) != nil {
		return thisMachine
	}
	if !strings.Contains(s.Address, "://") {
		s.Address = "ssh://" + s.Address
	}
	u, err := url.Parse(s.Address)
	if err != nil {
		return s.Address
	}
	name := net.JoinHostPort(strings.ToLower(u.Hostname()), cmp.Or(u.Port(), "22"))
	if s.ProxyJump != "" {
		name += " behind " + s.ProxyJump
	}
	return name
}

// balancerMachine is where the nginx of an environment runs.
func balancerMachine(e deploy.Environment, host string) string {
	for _, h := range e.Hosts {
		if string(h.ID) == host {
			return machine(h)
		}
	}
	return thisMachine
}
