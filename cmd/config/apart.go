package config

import (
	"cmp"
	"encoding/json"
	"net"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// apart wants environments and the server not to share what only one of them
// can have: ports of a machine, files of an nginx and status files.
func (b *building) apart(c *Config) {
	t := &claims{building: b, ports: map[int][]claim{}, files: map[string][]claim{}}
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
	ports map[int][]claim
	files map[string][]claim // by path
}

// claim is a port or a file of a machine.
type claim struct {
	who     string
	machine machine
	address string // that the port is on; "": every one
	port    int
	shared  string // claims with the same text here may have it together
}

func (t *claims) environment(key, name string, e deploy.Environment) {
	for _, h := range e.Hosts {
		t.host(key+".strategy.", name, machineOf(h), e)
	}
	var s struct {
		Listen           string `json:"listen"`
		Host             string `json:"host"`
		Include          string `json:"include"`
		GenerationListen string `json:"generation_listen"`
		Path             string `json:"path"`
	}
	if !decoded(e.Balancer, &s) {
		return // the driver has refused it
	}
	switch e.Balancer.Driver {
	case "proxy":
		t.listen(key+".balancer.proxy.listen", "the proxy of "+name, thisMachine, s.Listen)
	case "nginx":
		where := balancerMachine(e, s.Host)
		t.file(key+".balancer.nginx.include", s.Include, claim{who: name, machine: where})
		host, port := split(cmp.Or(s.GenerationListen, "127.0.0.1:8091"))
		t.port(key+".balancer.nginx.generation_listen", claim{who: "nginx of " + name, machine: where, address: host, port: port, shared: "nginx"})
	case "statusfile":
		for _, h := range e.Hosts {
			path := strings.NewReplacer("{host}", string(h.ID), "{address}", h.Address, "{port}", strconv.Itoa(e.Port(deploy.Main))).Replace(s.Path)
			t.file(key+".balancer.statusfile.path", path, claim{who: name, machine: machineOf(h)})
		}
	}
}

// host claims the ports of the app on one host.
func (t *claims) host(key, name string, where machine, e deploy.Environment) {
	if e.Rolling != nil {
		t.port(key+"rolling.port", claim{who: name, machine: where, port: e.Rolling.Port})
		return
	}
	t.port(key+"blue_green.slots.blue", claim{who: "slot blue of " + name, machine: where, port: e.BlueGreen.Blue})
	t.port(key+"blue_green.slots.green", claim{who: "slot green of " + name, machine: where, port: e.BlueGreen.Green})
}

func (t *claims) listen(key, who string, where machine, listen string) {
	host, port := split(listen)
	t.port(key, claim{who: who, machine: where, address: host, port: port})
}

func (t *claims) port(key string, c claim) {
	for _, other := range t.ports[c.port] {
		if other.meets(c) {
			t.fail(key, "port %d on %s belongs to %s already", c.port, c.machine.besides(other.machine), other.who)
		}
	}
	t.ports[c.port] = append(t.ports[c.port], c)
}

func (t *claims) file(key, path string, c claim) {
	for _, other := range t.files[path] {
		if other.machine.is(c.machine) {
			t.fail(key, "%s on %s belongs to %s already", path, c.machine.besides(other.machine), other.who)
		}
	}
	t.files[path] = append(t.files[path], c)
}

// meets reports whether only one of two claims of a port can be had.
func (c claim) meets(d claim) bool {
	if c.port == 0 || c.shared != "" && c.shared == d.shared || !c.machine.is(d.machine) {
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

// balancerMachine is where the nginx of an environment runs.
func balancerMachine(e deploy.Environment, host string) machine {
	for _, h := range e.Hosts {
		if string(h.ID) == host {
			return machineOf(h)
		}
	}
	return thisMachine
}

// decoded reads what it knows of a driver's section; false where that has
// another form.
func decoded(s deploy.Section, into any) bool {
	return json.Unmarshal(s.Settings, into) == nil
}
