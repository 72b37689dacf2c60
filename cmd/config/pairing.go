package config

import (
	"maps"
	"slices"
	"strings"

	"ipublish/deploy"
)

// fit says which strategies a driver serves.
type fit struct {
	blueGreen, rolling bool
	label              string // by which a balancer knows a host; "": by its address
	labelled           bool   // by nothing else
}

// The one table of which driver goes with which strategy. A driver that is not
// in it is refused by name when it is opened.
var (
	balancerFits = map[string]fit{
		"proxy":      {blueGreen: true},
		"nginx":      {blueGreen: true},
		"haproxy":    {blueGreen: true, rolling: true, label: "haproxy"},
		"statusfile": {rolling: true},
		"slb":        {rolling: true, label: "slb", labelled: true},
		"script":     {rolling: true},
	}
	runtimeFits = map[string]fit{
		"command": {blueGreen: true, rolling: true},
		"tomcat":  {blueGreen: true, rolling: true},
		"systemd": {blueGreen: true, rolling: true},
		"script":  {rolling: true},
	}
)

// Label is the label by which the balancer of an environment knows its hosts,
// empty where it looks at addresses only. It is required where a host without it
// cannot be found by its address.
func Label(e deploy.Environment) (label string, required bool) {
	if f := balancerFits[e.Balancer.Driver]; f.label != "" {
		return f.label, f.labelled
	}
	for name, f := range balancerFits {
		if f.label != "" && observes(e.Balancer, name) {
			return f.label, f.labelled
		}
	}
	return "", false
}

// observes reports whether a balancer watches another one to see what it does.
func observes(s deploy.Section, name string) bool {
	var set struct {
		Observe map[string]any `json:"observe"`
	}
	decoded(s, &set)
	_, ok := set.Observe[name]
	return ok
}

// pairs wants balancer and runtime to serve the strategy.
func (b *building) pairs(key string, a deploy.App, e deploy.Environment) {
	driver, rolls := e.Balancer.Driver, e.Rolling != nil
	switch f, known := balancerFits[driver]; {
	case !known || f.serves(rolls):
	case rolls:
		b.fail(key+".balancer."+driver, "%s switches between two slots of a host, and rolling has one: write one of %s, or `strategy: { blue_green: … }`", driver, others(balancerFits, rolls))
	default:
		b.fail(key+".balancer."+driver, "%s takes whole hosts out of traffic, and blue_green keeps them in: write one of %s, or `strategy: { rolling: { port: 9001 } }`", driver, others(balancerFits, rolls))
	}
	b.machines(key+".balancer."+driver, e)
	driver = a.Runtime.Driver
	if f, known := runtimeFits[driver]; known && !f.serves(rolls) {
		b.fail(key+".strategy", "the runtime %s has one place on a host, and blue_green needs two: write `rolling: { port: 9001 }`, or one of the runtimes %s", driver, others(runtimeFits, rolls))
	}
	if label, _ := Label(e); label != "" {
		b.labels(key+".hosts", label, e.Hosts)
	}
	if rolls {
		b.addresses(key+".hosts", e.Hosts)
	}
}

// machines wants the balancer to run where ipublish gets to.
func (b *building) machines(key string, e deploy.Environment) {
	type place struct {
		Host string `json:"host"`
	}
	var set struct {
		place
		Observe map[string]place `json:"observe"`
	}
	decoded(e.Balancer, &set)
	named := map[string]string{key + ".host": set.Host}
	for name, other := range set.Observe {
		named[key+".observe."+name+".host"] = other.Host
	}
	for _, at := range slices.Sorted(maps.Keys(named)) {
		host := named[at]
		if host != "" && host != "local" && !slices.Contains(e.HostIDs(), deploy.HostID(host)) {
			b.fail(at, "%s is neither local nor the name of a host of this environment: run ipublish on that machine and write `host: local`, or drive it with balancer.script", host)
		}
	}
}

// labels wants no two hosts to be the same one to the balancer. That one has
// none at all may be meant: `check` tells.
func (b *building) labels(key, label string, hosts []deploy.Host) {
	owner := map[string]deploy.HostID{}
	for _, h := range hosts {
		value := h.Labels[label]
		if other, taken := owner[value]; taken && value != "" {
			b.fail(key, "%s and %s have the same label %s: %s, so that the balancer cannot tell them apart", other, h.ID, label, value)
		}
		owner[value] = h.ID
	}
}

// addresses wants no two hosts of a rolling environment to be reached at the same
// address: they have the same port.
func (b *building) addresses(key string, hosts []deploy.Host) {
	owner := map[string]deploy.HostID{}
	for _, h := range hosts {
		if other, taken := owner[h.Address]; taken {
			b.fail(key, "%s and %s have the same address %s, so that the balancer cannot tell them apart: give each its own `address`", other, h.ID, h.Address)
		}
		owner[h.Address] = h.ID
	}
}

func (f fit) serves(rolls bool) bool {
	if rolls {
		return f.rolling
	}
	return f.blueGreen
}

// others names the drivers of a family that serve the strategy.
func others(family map[string]fit, rolls bool) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(family)), func(name string) bool { return !family[name].serves(rolls) })
	return strings.Join(names, ", ")
}
