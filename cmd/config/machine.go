package config

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"ipublish/deploy"
)

// machine tells hosts apart by where they are, not by their names.
type machine struct {
	way     string // how it is reached: "web-1:22", also "web-1:22 behind jump"
	address string // where balancers reach it; "": nowhere but on itself
	given   bool   // the address is written, not taken from the way
}

// thisMachine is where ipublish itself runs, whatever a local host is called.
var thisMachine = machine{way: "this machine"}

// machineOf is where a host is.
func machineOf(h deploy.Host) machine {
	var s struct {
		Address   string `json:"address"`
		ProxyJump string `json:"proxy_jump"`
	}
	if h.Driver.Driver == "local" || json.Unmarshal(h.Driver.Settings, &s) != nil {
		return machine{way: thisMachine.way, address: reachable(h.Address), given: true}
	}
	if !strings.Contains(s.Address, "://") {
		s.Address = "ssh://" + s.Address
	}
	u, err := url.Parse(s.Address)
	if err != nil {
		return machine{way: s.Address}
	}
	m := machine{
		way:     net.JoinHostPort(strings.ToLower(u.Hostname()), cmp.Or(u.Port(), "22")),
		address: reachable(h.Address),
		given:   h.Address != u.Hostname(),
	}
	if s.ProxyJump != "" {
		m.way += " behind " + s.ProxyJump
		m.address = "" // a net of its own
	}
	return m
}

// reachable is an address that other machines can know a machine by; empty for
// one that only leads back to itself.
func reachable(address string) string {
	ip, err := netip.ParseAddr(address)
	if address == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		return ""
	}
	return strings.ToLower(address)
}

// is reports whether two are one: they are reached the same way, or one is said
// to have the other's address. Two ways that only begin alike, such as two ports
// of one gateway, lead to two machines.
func (m machine) is(n machine) bool {
	return m.way == n.way || m.address != "" && m.address == n.address && (m.given || n.given)
}

// besides names the machine, with what makes it the same as n where the ways differ.
func (m machine) besides(n machine) string {
	if m.way == n.way {
		return m.way
	}
	return m.way + ", which is " + n.way + " by its address " + m.address + ","
}
