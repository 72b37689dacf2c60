package deploy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

func (p planning) step(op Op, limit time.Duration) Step { return Step{Op: op, Limit: Duration(limit)} }

func (p planning) releaseStep(op Op, rel Release, limit time.Duration) Step {
	s := p.step(op, limit)
	s.Release = rel
	return s
}

func (p planning) slotStep(op Op, slot Slot, rel Release, limit time.Duration) Step {
	s := p.releaseStep(op, rel, limit)
	s.Hosts, s.Slot, s.Port, s.Stop = p.env.HostIDs(), slot, p.env.Port(slot), p.env.StopTimeout
	if key := rel.Key(); key != "" {
		s.Dir = path.Join(p.releases(), key)
	}
	if slot != "" {
		s.Home = path.Join(p.root(), string(slot))
	}
	return s
}

func (p planning) root() string     { return path.Join(p.env.ReleaseDir, p.app.Name, p.env.Name) }
func (p planning) releases() string { return path.Join(p.root(), "releases") }

// hook is the user's program of a point of the plan, where there is one. What
// was found running has no folder to run it in.
func (p planning) hook(op Op, name string, h Hook, slot Slot, rel Release) []Step {
	if rel.Adopted() || rel.IsZero() {
		return nil
	}
	return h.step(p.slotStep(op, slot, rel, 0), name)
}

// step makes the hook a step about the slot and release of another one.
func (h Hook) step(s Step, name string) []Step {
	if h.Absent() {
		return nil
	}
	s.Hook, s.Run, s.On, s.Hold = name, h.Run, h.On, h.Timeout
	s.Limit, s.Stop, s.Targets, s.Known = h.Timeout+Duration(30*time.Second), 0, nil, ""
	switch h.On {
	case OnBot:
		s.Hosts = nil
	case OnFirstHost:
		s.Hosts = s.Hosts[:1]
	}
	return []Step{s}
}

func (p planning) stopLimit() time.Duration { return p.env.StopTimeout.D() + 30*time.Second }

// route states that exactly slot receives traffic; spare may take refused connects until bake ends.
func (p planning) route(slot, spare Slot, rel Release) Step {
	s := p.slotStep(OpRoute, slot, rel, time.Minute)
	s.Targets, s.Known, s.First = p.targets(slot, spare), p.live.Known, p.live.Slot == ""
	return s
}

// drain states that nothing is in flight to the old slot; no spare is left.
func (p planning) drain(slot, old Slot) Step {
	s := p.step(OpDrain, p.env.DrainTimeout.D()+time.Minute)
	s.Slot, s.Port = old, p.env.BlueGreen.Port(old)
	s.Targets, s.Hold = p.targets(slot, ""), p.env.DrainTimeout
	return s
}

// targets is the whole table, sorted by host and slot.
func (p planning) targets(up, spare Slot) []Endpoint {
	var out []Endpoint
	for _, h := range p.env.Hosts {
		for _, slot := range []Slot{Blue, Green} {
			out = append(out, Endpoint{
				Host: h.ID, Slot: slot, Addr: Address(h, p.env.BlueGreen.Port(slot)),
				Up: slot == up, Spare: spare != "" && slot == spare,
			})
		}
	}
	slices.SortStableFunc(out, func(a, b Endpoint) int { return strings.Compare(string(a.Host), string(b.Host)) })
	return out
}

// addresses are those of one slot, sorted.
func (p planning) addresses(slot Slot) []string {
	var out []string
	for _, t := range p.targets(slot, "") {
		if t.Up {
			out = append(out, t.Addr)
		}
	}
	slices.Sort(out)
	return out
}

// Address is host:port as a balancer dials an instance on the host.
func Address(h Host, port int) string {
	name := h.Address
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	return fmt.Sprintf("%s:%d", name, port)
}

func (p planning) settings() Settings { return SettingsOf(p.app, p.env) }

// SettingsOf resolves what a plan carries of the configuration.
func SettingsOf(app App, env Environment) Settings {
	return Settings{
		Repository: app.Repository, Credential: app.Credential, Build: app.Build, Runtime: app.Runtime,
		Env: app.Env, EnvFile: app.EnvFile, Shared: app.Shared, Hooks: app.Hooks, Health: app.Health, Verify: env.Verify, Hosts: env.Hosts, Balancer: env.Balancer,
		ReleaseDir: env.ReleaseDir, DrainTimeout: env.DrainTimeout, ProgressDeadline: env.ProgressDeadline, BlueGreen: env.BlueGreen, Rolling: env.Rolling, IdleAfter: env.IdleAfter,
		StopTimeout: env.StopTimeout, AutoRevert: env.AutoRevert,
	}
}

// ObserveSteps are the steps that say what to look at before planning: the two
// slots and the route.
func ObserveSteps(app App, env Environment, live Live) (slots map[Slot]Step, route Step) {
	p := planning{app: app, env: env, live: live}
	slots = map[Slot]Step{}
	if env.Rolling != nil {
		all := p.cycle(p.env.Hosts, 0)
		slots[Main] = p.slotStep(OpObserve, Main, live.Release, time.Minute)
		return slots, all.in(live.Release)
	}
	for _, s := range []Slot{Blue, Green} {
		slots[s] = p.slotStep(OpObserve, s, live.Slots[s].Release, time.Minute)
	}
	return slots, p.route(live.Slot, "", live.Release)
}
