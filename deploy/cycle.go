package deploy

import (
	"path"
	"slices"
	"strings"
	"time"
)

// cycle makes the steps about a few hosts of a rolling environment.
type cycle struct {
	settings Settings
	root     string // folder of the environment on the hosts
	hosts    []Host
	batch    int
}

func (p planning) cycle(hosts []Host, batch int) cycle {
	return cycle{settings: p.settings(), root: p.root(), hosts: hosts, batch: batch}
}

func (c cycle) step(op Op, rel Release, limit Duration) Step {
	s := Step{Op: op, Hosts: idsOf(c.hosts), Slot: Main, Port: c.settings.Rolling.Port, Release: rel, Limit: limit,
		Home: path.Join(c.root, string(Main)), Stop: c.settings.StopTimeout, Batch: c.batch}
	if key := rel.Key(); key != "" {
		s.Dir = path.Join(c.root, "releases", key)
	}
	return s
}

// out states that the hosts receive no new requests.
func (c cycle) out(rel Release) Step {
	s := c.step(OpOut, rel, c.settings.ProgressDeadline)
	s.Targets = c.targets(false)
	return s
}

// in states that the hosts, which passed their check, receive traffic.
func (c cycle) in(rel Release) Step {
	s := c.step(OpIn, rel, c.settings.ProgressDeadline)
	s.Targets = c.targets(true)
	return s
}

// drain states that nothing is in flight to the hosts.
func (c cycle) drain(rel Release) Step {
	s := c.step(OpDrain, rel, c.settings.DrainTimeout+Duration(time.Minute))
	s.Targets, s.Hold = c.targets(false), c.settings.DrainTimeout
	return s
}

func (c cycle) stop(rel Release) Step {
	s := c.step(OpStop, rel, c.settings.StopTimeout+Duration(30*time.Second))
	s.Targets = c.targets(false)
	return s
}

func (c cycle) start(rel Release) Step { return c.step(OpStart, rel, Duration(time.Minute)) }

func (c cycle) check(rel Release) Step {
	s := c.step(OpCheck, rel, c.settings.Health.HealthyDeadline)
	s.Hold = c.settings.Health.MinHealthyTime
	return s
}

// targets are those of the hosts only, sorted by host.
func (c cycle) targets(up bool) []Endpoint {
	var out []Endpoint
	for _, h := range c.hosts {
		out = append(out, Endpoint{Host: h.ID, Slot: Main, Addr: Address(h, c.settings.Rolling.Port), Up: up, Labels: h.Labels})
	}
	slices.SortStableFunc(out, func(a, b Endpoint) int { return strings.Compare(string(a.Host), string(b.Host)) })
	return out
}

func idsOf(hosts []Host) []HostID {
	ids := make([]HostID, len(hosts))
	for i, h := range hosts {
		ids[i] = h.ID
	}
	return ids
}
