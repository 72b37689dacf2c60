package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// member is one host that a rolling plan is about, as it was found.
type member struct {
	Member
	host Host
	has  bool // it runs the wanted release already, and only lacks traffic
}

// crew are the hosts that a rolling plan works through, in their turn.
type crew struct {
	members  []member
	behind   []HostFailure // could not be looked at, or held by a stranger
	removed  []Host        // not in the configuration any more
	fine     int           // hosts that need nothing
	serving  int           // hosts that count for the floor now
	parallel int           // hosts in traffic that may be taken out at once
}

// rolled plans how a release gets onto the hosts; obtain gives the steps that
// bring its bytes there.
func (p planning) rolled(rel Release, obtain func(Plan) []Step) (Plan, error) {
	c, err := p.muster(rel, func(m member) bool { return !m.has || !m.Served && !m.Kept })
	if err != nil {
		return Plan{}, err
	}
	if len(c.members)+c.fine == 0 {
		return Plan{}, p.refuse(CodeRefused, "every host is left out or cannot be worked on, so that %s would run nowhere: mend one, or name fewer in `--without`", rel.Commit.Short())
	}
	plan := p.rollPlan(rel, &c)
	if len(c.members) == 0 && len(c.removed) == 0 {
		plan.Notes = append(plan.Notes, p.idleNote(rel, c))
		return plan, nil
	}
	plan.Notes = append(plan.Notes, p.app.Caveats...)
	if c.serving > 0 && p.asksFront() {
		plan.Steps = append(plan.Steps, p.step(OpFront, 30*time.Second))
	}
	hosts := hostsOf(c.members)
	if len(hosts) > 0 {
		for _, s := range obtain(plan) {
			if s.Op == OpStage {
				s.Hosts = idsOf(hosts)
			}
			plan.Steps = append(plan.Steps, s)
		}
		if plan.Want == WantDeploy {
			plan.Steps = append(plan.Steps, p.hookOn(OpHook, "migrate", p.app.Hooks.Migrate, hosts, rel)...)
		}
	}
	p.waves(&plan, &c, rel, p.replace)
	plan.Baked = len(plan.Steps) - 1
	plan.Steps = append(plan.Steps, p.dismiss(c.removed)...)
	prune := p.prune(rel, p.live.Release)
	prune.Hosts = idsOf(hosts)
	plan.Steps = append(plan.Steps, prune)
	return plan, nil
}

// idleNote says why there is nothing to do.
func (p planning) idleNote(rel Release, c crew) string {
	if c.fine < len(p.env.Hosts) {
		return fmt.Sprintf("nothing to do: %s is live on the other hosts since #%d", rel.Commit.Short(), p.live.Deploy)
	}
	return fmt.Sprintf("nothing to do: %s is live on every host since #%d", rel.Commit.Short(), p.live.Deploy)
}

// rollPlan is a plan about hosts, without steps.
func (p planning) rollPlan(rel Release, c *crew) Plan {
	plan := p.plan(rel)
	plan.Slot, plan.OldSlot, plan.Behind = Main, p.live.Slot, c.behind
	plan.Settings.Gone = c.removed
	for _, b := range c.behind {
		plan.Notes = append(plan.Notes, fmt.Sprintf("%s is left behind: %s", b.Host, MessageOf(b.Err)))
	}
	return plan
}

// muster sorts the wanted hosts into their turn: those that users do not reach
// come first, for they cost no budget.
func (p planning) muster(rel Release, wanted func(member) bool) (crew, error) {
	var c crew
	if err := p.knownHosts(p.st.Request.Without); err != nil {
		return c, err
	}
	var in []member
	for _, h := range p.env.Hosts {
		sight := p.obs.Hosts[h.ID]
		if sight.Serving() {
			c.serving++
		}
		switch m := p.member(h, sight, rel); {
		case slices.Contains(p.st.Request.Without, h.ID), len(p.st.Request.Hosts) > 0 && !slices.Contains(p.st.Request.Hosts, h.ID):
		case p.obstacle(h.ID, sight) != nil:
			c.behind = append(c.behind, HostFailure{Host: h.ID, Err: p.obstacle(h.ID, sight)})
		case !wanted(m):
			c.fine++
		case m.Served:
			in = append(in, m)
		default:
			c.members = append(c.members, m)
		}
	}
	for _, id := range p.live.Hosts.IDs() {
		if !slices.ContainsFunc(p.env.Hosts, func(h Host) bool { return h.ID == id }) {
			c.removed = append(c.removed, p.live.Hosts.Get(id).Host)
		}
	}
	err := p.affordable(&c, len(in))
	c.members = append(c.members, in...)
	return c, err
}

func (p planning) member(h Host, sight Sight, rel Release) member {
	was := p.live.Hosts.Get(h.ID)
	m := member{host: h, Member: Member{Host: h.ID, Old: p.ranThere(was, sight.Instance), Served: sight.Serving(), Kept: was.Out != nil && was.Out.Person}}
	m.has = !rel.IsZero() && sight.Healthy && sight.Instance.Running() && sight.Instance.Owned && sight.Instance.Key == rel.Key()
	return m
}

// ranThere is the release that a host runs, or ran last; zero where nobody knows.
func (p planning) ranThere(was HostState, in Instance) Release {
	if in.Key == "" || in.Key == was.Release.Key() {
		return was.Release
	}
	for _, past := range p.live.Good {
		if past.Release.Key() == in.Key {
			return past.Release
		}
	}
	return was.Release
}

// obstacle is why a host cannot be worked on, or nil.
func (p planning) obstacle(id HostID, sight Sight) *Error {
	switch in := sight.Instance; {
	case sight.Err != nil:
		return sight.Err
	case in.Foreign() && in.PortPID < 0:
		return &Error{Code: CodeForeign, Op: "plan", Subject: string(id),
			Message: fmt.Sprintf("port %d on %s is held by a process of another user, which ipublish did not start: stop it", p.env.Rolling.Port, id)}
	case in.Foreign():
		return &Error{Code: CodeForeign, Op: "plan", Subject: string(id),
			Message: fmt.Sprintf("port %d on %s is held by process %d (%s), which ipublish did not start: stop it", p.env.Rolling.Port, id, in.PortPID, in.Program())}
	}
	return nil
}

// affordable says how many hosts in traffic can be out at once, or why not one.
func (p planning) affordable(c *crew, in int) error {
	r := p.env.Rolling
	if n := len(c.behind); n > r.MaxFailedHosts {
		first := c.behind[0]
		return p.refuse(refusalOf(first.Err), "%s: mend it, or deploy `--without %s`; max_failed_hosts is %d", MessageOf(first.Err), first.Host, r.MaxFailedHosts)
	}
	mended := 0
	for _, m := range c.members {
		if !m.Kept {
			mended++
		}
	}
	c.parallel = min(r.MaxParallel, c.serving+mended-r.MinHealthy)
	if in > 0 && c.parallel < 1 {
		return p.refuse(CodeRefused, "%d of %d hosts are healthy and in traffic and min_healthy is %d, so that none can be taken out: mend the others, or lower min_healthy",
			c.serving, len(p.env.Hosts), r.MinHealthy)
	}
	return nil
}

func refusalOf(e *Error) Code {
	if e.Code == CodeForeign {
		return CodeForeign
	}
	return CodeRefused
}

// knownHosts refuses names that the environment does not have.
func (p planning) knownHosts(ids []HostID) error {
	for _, id := range ids {
		if !slices.Contains(p.env.HostIDs(), id) {
			return p.refuse(CodeNotFound, "there is no host %q in %s: one of %s", id, p.target(), someOf(p.env.HostIDs()))
		}
	}
	return nil
}

// someOf lists the first names, and how many there are besides.
func someOf[T ~string](names []T) string {
	const shown = 12
	var out []string
	for _, n := range names[:min(len(names), shown)] {
		out = append(out, string(n))
	}
	if more := len(names) - shown; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

func hostsOf(members []member) []Host {
	out := make([]Host, len(members))
	for i, m := range members {
		out[i] = m.host
	}
	return out
}

// waves works through the crew: groups that are out of traffic together, one
// after another, with a pause to watch between batches.
func (p planning) waves(plan *Plan, c *crew, rel Release, cycle func(wave []member, batch int, rel Release) []Step) {
	done, ran := []HostID{}, map[string]bool{}
	for turn, w := range p.split(c) {
		batch := w[0].Batch
		if turn > 0 && batch != plan.Fleet[len(plan.Fleet)-1].Batch {
			plan.Steps = append(plan.Steps, p.watch(done, rel, batch-1)...)
		}
		for _, m := range w {
			plan.Fleet = append(plan.Fleet, m.Member)
			if !m.Kept {
				done = append(done, m.Host)
			}
		}
		for _, s := range cycle(w, batch, rel) {
			if s.On == OnFirstHost && ran[s.Hook] {
				continue // once a plan, in the first wave that has it
			}
			ran[s.Hook] = true
			plan.Steps = append(plan.Steps, s)
		}
	}
	if len(plan.Fleet) > 0 {
		plan.Commit = len(plan.Steps) - 1
		plan.Steps = append(plan.Steps, p.watch(done, rel, plan.Fleet[len(plan.Fleet)-1].Batch)...)
	}
}

// split cuts the crew into waves. A wave is of one batch and of one kind of
// hosts, so that a step is the same for all of them.
func (p planning) split(c *crew) [][]member {
	bounds := p.bounds(len(c.members))
	var out [][]member
	for i, m := range c.members {
		m.Batch = 1 + slices.IndexFunc(bounds, func(b int) bool { return i < b })
		limit := p.env.Rolling.MaxParallel
		if m.Served {
			limit = c.parallel
		}
		if last := len(out) - 1; last >= 0 && len(out[last]) < limit && alike(out[last][0], m) {
			out[last] = append(out[last], m)
			continue
		}
		out = append(out, []member{m})
	}
	return out
}

func alike(a, b member) bool {
	return a.Batch == b.Batch && a.Served == b.Served && a.Kept == b.Kept && a.has == b.has && a.Old.Key() == b.Old.Key()
}

// bounds are how many of n hosts are done at the end of each batch; the last is n.
func (p planning) bounds(n int) []int {
	var out []int
	for _, share := range p.env.Rolling.Batches {
		if b := share.Of(n); len(out) == 0 || b > out[len(out)-1] {
			out = append(out, b)
		}
	}
	if len(out) == 0 || out[len(out)-1] < n {
		out = append(out, n)
	}
	return out
}

// watch lets what was released serve for a while.
func (p planning) watch(done []HostID, rel Release, batch int) []Step {
	if p.env.Rolling.BakeTime == 0 || len(done) == 0 {
		return nil
	}
	s := p.slotStep(OpBake, Main, rel, p.env.Rolling.BakeTime.D()+time.Minute)
	s.Hosts, s.Hold, s.Batch = slices.Clone(done), p.env.Rolling.BakeTime, batch
	return []Step{s}
}

// replace is the way of a wave from the old release to the new one.
func (p planning) replace(w []member, batch int, rel Release) []Step {
	c, hooks, old := p.cycle(hostsOf(w), batch), p.app.Hooks, w[0].Old
	if w[0].has {
		return []Step{c.check(rel), c.in(rel)}
	}
	steps := append([]Step{c.out(old)}, p.waveHook(OpHook, "on_idle", hooks.OnIdle, c, old)...)
	steps = append(steps, c.drain(old))
	steps = append(steps, p.waveHook(OpIdle, "idle", hooks.Idle, c, old)...)
	steps = append(steps, c.stop(old), c.start(rel), c.check(rel))
	steps = append(steps, p.waveHook(OpHook, "smoke_test", hooks.SmokeTest, c, rel)...)
	if w[0].Kept {
		return steps
	}
	steps = append(steps, c.in(rel))
	return append(steps, p.waveHook(OpHook, "on_live", hooks.OnLive, c, rel)...)
}

// waveHook is the user's program about the hosts of a wave.
func (p planning) waveHook(op Op, name string, h Hook, c cycle, rel Release) []Step {
	steps := p.hookOn(op, name, h, c.hosts, rel)
	for i := range steps {
		steps[i].Batch = c.batch
	}
	return steps
}

func (p planning) hookOn(op Op, name string, h Hook, hosts []Host, rel Release) []Step {
	if rel.IsZero() || rel.Adopted() {
		return nil
	}
	steps := h.step(p.cycle(hosts, 0).step(op, rel, 0), name)
	if h.On == OnFirstHost {
		for i := range steps {
			steps[i].Hosts = idsOf(hosts) // the first of them that is not left behind when its turn comes
		}
	}
	return steps
}

// dismiss takes hosts out that are in the configuration no more.
func (p planning) dismiss(removed []Host) []Step {
	if len(removed) == 0 {
		return nil
	}
	c := p.cycle(removed, 0)
	stop := c.stop(p.live.Release)
	stop.Forget = true
	return []Step{c.out(p.live.Release), c.drain(p.live.Release), stop}
}
