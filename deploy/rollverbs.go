package deploy

import (
	"slices"
)

// rolling plans a request for hosts that are worked through one after another.
func (p planning) rolling() (Plan, error) {
	switch p.st.Request.Want {
	case WantDeploy:
		return p.rollDeploy()
	case WantRollback:
		rel, err := p.rollbackTarget()
		if err != nil {
			return Plan{}, err
		}
		return p.rolled(rel, p.restage)
	case WantRestart, WantDrill:
		return p.rounds()
	case WantStart, WantStop, WantOffline, WantOnline:
		return p.byName()
	case WantRetire:
		plan := p.rollPlan(Release{}, &crew{})
		plan.Notes = []string{"nothing to do: no slot is kept warm"}
		return plan, nil
	}
	return Plan{}, p.refuse(CodeRefused, "there is nothing to %s in %s: it has one place a host, and its first deploy takes over what runs there", p.st.Request.Want, p.target())
}

func (p planning) rollDeploy() (Plan, error) {
	rel := NewRelease(p.app, p.st.Commit)
	if err := p.guard(rel); err != nil {
		return Plan{}, err
	}
	return p.rolled(rel, p.obtain)
}

// rounds plans a restart or a drill: every host, or the named ones, once around.
func (p planning) rounds() (Plan, error) {
	if err := p.knownHosts(p.st.Request.Hosts); err != nil {
		return Plan{}, err
	}
	drill := p.st.Request.Want == WantDrill
	c, err := p.muster(Release{}, func(m member) bool { return m.Served || !drill })
	if err != nil {
		return Plan{}, err
	}
	c.removed = nil
	plan := p.rollPlan(p.live.Release, &c)
	if len(c.members) == 0 {
		plan.Notes = append(plan.Notes, "nothing to do: no such host is in traffic")
		return plan, nil
	}
	around := p.drilled
	if !drill {
		if err := p.startable(c.members); err != nil {
			return Plan{}, err
		}
		around = p.restarted
	}
	p.waves(&plan, &c, Release{}, around) // each host keeps its own
	plan.Commit, plan.Baked = -1, -1
	return plan, nil
}

// drilled takes a wave out and puts it back as it is, whatever it runs.
func (p planning) drilled(w []member, batch int, _ Release) []Step {
	c := p.cycle(hostsOf(w), batch)
	return []Step{c.out(w[0].Old), c.drain(w[0].Old), c.check(Release{}), c.in(Release{})}
}

// restarted starts a wave's own release anew.
func (p planning) restarted(w []member, batch int, _ Release) []Step {
	return p.replace(w, batch, w[0].Old)
}

// startable refuses hosts of which nobody knows what they should run.
func (p planning) startable(members []member) error {
	for _, m := range members {
		if m.Old.IsZero() {
			return p.refuse(CodeRefused, "nobody knows what %s runs, because ipublish has not deployed there yet: `deploy %s to %s`", m.Host, p.app.Name, p.env.Name)
		}
	}
	return nil
}

// byName plans start, stop, offline and online of the named hosts.
func (p planning) byName() (Plan, error) {
	want, named := p.st.Request.Want, p.st.Request.Hosts
	if len(named) == 0 {
		return Plan{}, p.refuse(CodeInvalid, "say which hosts: `%s HOST… %s %s`, of %s", want, p.app.Name, p.env.Name, someOf(p.env.HostIDs()))
	}
	if err := p.knownHosts(named); err != nil {
		return Plan{}, err
	}
	c := crew{}
	for _, h := range p.env.Hosts {
		sight := p.obs.Hosts[h.ID]
		if sight.Serving() {
			c.serving++
		}
		if slices.Contains(named, h.ID) {
			if err := p.obstacle(h.ID, sight); err != nil {
				return Plan{}, p.refuse(refusalOf(err), "%s", MessageOf(err))
			}
			c.members = append(c.members, p.member(h, sight, p.live.Release))
		}
	}
	plan := p.rollPlan(p.live.Release, &c)
	steps, err := p.steps(want, &plan, c)
	plan.Steps = steps
	for _, m := range c.members {
		m.Batch = 1
		plan.Fleet = append(plan.Fleet, m.Member)
	}
	return plan, err
}

func (p planning) steps(want Want, plan *Plan, c crew) ([]Step, error) {
	hosts, rel := hostsOf(c.members), p.live.Release
	all := p.cycle(hosts, 1)
	switch want {
	case WantOnline:
		return []Step{all.check(rel), all.in(rel)}, p.current(c.members)
	case WantStart:
		return p.started(plan, c)
	}
	if err := p.spared(c); err != nil {
		return nil, err
	}
	steps := []Step{all.out(rel), all.drain(rel)}
	if want == WantOffline {
		return steps, nil
	}
	steps = append(steps, p.hookOn(OpIdle, "idle", p.app.Hooks.Idle, hosts, rel)...)
	return append(steps, all.stop(rel)), nil
}

// started checks what runs and starts what does not, of the live release.
func (p planning) started(plan *Plan, c crew) ([]Step, error) {
	var idle, running []member
	for _, m := range c.members {
		if p.obs.Hosts[m.Host].Instance.Running() {
			running = append(running, m)
		} else {
			idle = append(idle, m)
		}
	}
	if p.live.Release.IsZero() {
		if err := p.startable(c.members); err != nil {
			return nil, err
		}
		return nil, p.refuse(CodeRefused, "ipublish has not deployed anything to %s that it could restart: `deploy %s to %s`", p.target(), p.app.Name, p.env.Name)
	}
	if err := p.current(running); err != nil {
		return nil, err
	}
	var steps []Step
	if len(idle) > 0 {
		stage := p.restage(*plan)[0]
		stage.Hosts = idsOf(hostsOf(idle))
		c := p.cycle(hostsOf(idle), 1)
		steps = append(steps, stage, c.out(p.live.Release), c.start(p.live.Release)) // no traffic before its check
	}
	all := p.cycle(hostsOf(c.members), 1)
	return append(steps, all.check(p.live.Release), all.in(p.live.Release)), nil
}

// current refuses to give traffic to a host that runs something else than what is live.
func (p planning) current(members []member) error {
	for _, m := range members {
		in := p.obs.Hosts[m.Host].Instance
		if key := p.live.Release.Key(); key != "" && in.Running() && in.Key != "" && in.Key != key {
			return p.refuse(CodeRefused, "%s runs %s, and live is %s: `deploy %s %s to %s` brings it there", m.Host, m.Old.Commit.Short(), p.live.Release.Commit.Short(),
				p.app.Name, p.live.Release.Commit.Short(), p.env.Name)
		}
	}
	return nil
}

// spared refuses what would leave fewer hosts in service than the floor.
func (p planning) spared(c crew) error {
	leaving := 0
	for _, m := range c.members {
		if m.Served {
			leaving++
		}
	}
	if left := c.serving - leaving; leaving > 0 && left < p.env.Rolling.MinHealthy {
		return p.refuse(CodeRefused, "%d of %d hosts are healthy and in traffic; without %s it would be %d, and min_healthy is %d: mend or put others online first, or lower min_healthy",
			c.serving, len(p.env.Hosts), someOf(p.st.Request.Hosts), left, p.env.Rolling.MinHealthy)
	}
	return nil
}
