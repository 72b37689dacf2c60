package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer"
)

// labels tells which hosts lack what their balancer knows them by.
func (k *checking) labels(name string, e deploy.Environment) {
	label, required := config.Label(e)
	if label == "" {
		return
	}
	var bare []deploy.HostID
	for _, h := range e.Hosts {
		if h.Labels[label] == "" {
			bare = append(bare, h.ID)
		}
	}
	switch {
	case required && len(bare) == 0:
		k.fact(fmt.Sprintf("%s: every host has the label %s", name, label), nil)
	case required:
		k.fact(fmt.Sprintf("%s: every host has the label %s", name, label), unfit(
			"%s: the balancer %s finds them by nothing else: write labels: { %s: … } for each", listed(bare), e.Balancer.Driver, label))
	case len(bare) > 0:
		k.note(fmt.Sprintf("%s: no label %s: %s; the balancer finds them by their address", name, label, listed(bare)))
	}
}

// advice asks runtime and balancer what would go wrong later, on each of the hosts.
func (k *checking) advice(ctx context.Context, name string, a deploy.App, e deploy.Environment, hosts []deploy.Host) {
	advisers := k.advisers(a, e)
	if len(advisers) == 0 {
		return
	}
	found := onEach(hosts, func(h deploy.Host) []string {
		ctx, cancel := context.WithTimeout(ctx, checkPatience)
		defer cancel()
		host, err := k.drivers.Host(h)
		if err != nil {
			return nil // told with the host
		}
		var out []string
		for _, ask := range advisers {
			out = append(out, ask(ctx, host, h)...)
		}
		return out
	})
	said := grouped{}
	for i, h := range hosts {
		for _, text := range found[i] {
			said.add(text, h.ID)
		}
	}
	for _, text := range said.texts() {
		who := listed(said[text]) + ": "
		if n := len(said[text]); n > 1 && n == len(hosts) {
			who = "" // it is about none of them in particular
		}
		k.warn(name + ": " + who + text)
	}
}

// asking is one question for advice about a host.
type asking func(context.Context, deployer.Host, deploy.Host) []string

// advisers are the questions that an environment's drivers can answer. A driver
// that cannot be opened was told at load.
func (k *checking) advisers(a deploy.App, e deploy.Environment) []asking {
	slots, route := deploy.ObserveSteps(a, e, deploy.Live{})
	var out []asking
	rt, _ := k.drivers.Runtime(a.Runtime)
	if adviser, ok := rt.(deployer.Adviser); ok {
		for _, slot := range slices.Sorted(maps.Keys(slots)) {
			out = append(out, func(ctx context.Context, host deployer.Host, h deploy.Host) []string {
				return adviser.Advise(ctx, host, about(slots[slot], h, e))
			})
		}
	}
	b, _ := k.openBalancer(a, e)
	if adviser, ok := b.(deployer.Adviser); ok {
		out = append(out, func(ctx context.Context, host deployer.Host, h deploy.Host) []string {
			return adviser.Advise(ctx, host, about(route, h, e))
		})
	}
	return out
}

// about is a step about one host: of a rolling environment with its target only.
func about(s deploy.Step, h deploy.Host, e deploy.Environment) deploy.Step {
	s.Hosts = []deploy.HostID{h.ID}
	if e.Rolling != nil {
		s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), func(t deploy.Endpoint) bool { return t.Host != h.ID })
	}
	return s
}

// budget tells what the numbers of a rolling strategy mean for users.
func (k *checking) budget(name string, e deploy.Environment) {
	n, r := len(e.Hosts), e.Rolling
	spare := n - r.MinHealthy
	switch {
	case n == 1:
		k.warn(name + ": the only host is out of traffic while it is replaced: users notice every deploy; a second host, or blue_green, ends that")
	case r.MinHealthy == 0:
		k.warn(name + ": min_healthy is 0: nothing keeps the last host in traffic")
	case r.MaxFailedHosts >= spare:
		k.note(fmt.Sprintf("%s: a host that is left behind out of traffic uses up the budget, %d hosts - min_healthy %d = %d, as one being replaced does: max_failed_hosts %d is not reached before it", name, n, r.MinHealthy, spare, r.MaxFailedHosts))
	}
}

// grouped are hosts by what is said of them.
type grouped map[string][]deploy.HostID

func (g grouped) add(text string, id deploy.HostID) {
	if !slices.Contains(g[text], id) {
		g[text] = append(g[text], id)
	}
}

// texts are in the order of their alphabet.
func (g grouped) texts() []string { return slices.Sorted(maps.Keys(g)) }

// mostListed is how many hosts are named in one line.
const mostListed = 20

// listed names hosts.
func listed(ids []deploy.HostID) string {
	var names []string
	for _, id := range ids[:min(len(ids), mostListed)] {
		names = append(names, string(id))
	}
	text := strings.Join(names, ", ")
	if more := len(ids) - mostListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
