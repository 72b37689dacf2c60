package sim_test

import (
	"context"
	"slices"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/sim"
)

// The mutation list: bugs that somebody could write tomorrow. Each is planted
// between the engine and what it works with, and the simulator must see it.
func mutations() map[string]mutation {
	return map[string]mutation{
		"no health check":             replan(without(deploy.OpCheck)),
		"no drain before the stop":    replan(hasty),
		"stop before the switch":      replan(stopFirst),
		"the gate does not hold":      replan(holdless),
		"no retire of the idle slot":  replan(without(deploy.OpRetire)),
		"not staged":                  replan(without(deploy.OpStage)),
		"undo stops before it routes": undone(reverse),
		"undo forgets to route":       undone(without(deploy.OpRoute)),
		"undo does nothing":           undone(func(deploy.Plan) deploy.Plan { return deploy.Plan{Commit: -1, Baked: -1} }),
		"done before effect":          rebalance(func(b deployer.Balancer) deployer.Balancer { return &lazy{Balancer: b} }),
		"toggle instead of truth":     rebalance(func(b deployer.Balancer) deployer.Balancer { return &toggle{Balancer: b} }),
		"empties the table":           rebalance(func(b deployer.Balancer) deployer.Balancer { return empties{b} }),
		"effect before its record":    func(o *deployer.Options) { o.Drivers = eager{o.Drivers} },
		"prunes what is live":         replan(pruneAll),
		"wrong slot":                  replan(wrongSlot),
		"records the wrong slot":      func(o *deployer.Options) { o.Journal = misreporting{o.Journal} },
	}
}

func TestEveryPlantedBugIsCaught(t *testing.T) {
	for name, m := range mutations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, s := range hunt() {
				s.mutate = m
				if res := run(t, s); len(res.violations) > 0 || s.rates == (sim.Rates{}) && s.crashAt == nil && !fits(s.scenario, res) {
					return
				}
			}
			t.Error("no run saw it")
		})
	}
}

// hunt is where a planted bug is looked for: every scenario, then some stories.
func hunt() []setup {
	var out []setup
	for _, sc := range scenarios() {
		out = append(out, setup{scenario: sc, seed: 0}, setup{scenario: sc, seed: 1}, setup{scenario: sc, seed: 2, rates: sim.Rates{After: 0.1}})
	}
	for seed := uint64(1); seed <= 100; seed++ {
		out = append(out, swarm(seed))
	}
	return out
}

// replan changes every forward plan before it is journaled.
func replan(change func(deploy.Plan) deploy.Plan) mutation {
	return onAppend(deploy.KindPlanned, change)
}

// undone changes every undo plan before it is journaled.
func undone(change func(deploy.Plan) deploy.Plan) mutation {
	return onAppend(deploy.KindRevert, change)
}

func onAppend(kind deploy.Kind, change func(deploy.Plan) deploy.Plan) mutation {
	return func(o *deployer.Options) { o.Journal = rewriting{o.Journal, kind, change} }
}

type rewriting struct {
	deployer.Journal
	kind   deploy.Kind
	change func(deploy.Plan) deploy.Plan
}

func (r rewriting) Append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	if ev.Kind == r.kind {
		p := *ev.Plan
		p.Steps = slices.Clone(p.Steps)
		p = r.change(p)
		ev.Plan = &p
	}
	return r.Journal.Append(id, afterN, ev)
}

// marks keeps the commit point and the end of bake on their steps.
func marked(p deploy.Plan) deploy.Plan {
	if len(p.Steps) == 0 || p.Commit < 0 {
		p.Commit, p.Baked = -1, -1
		return p
	}
	p.Commit = slices.IndexFunc(p.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpRoute })
	p.Baked = slices.IndexFunc(p.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpBake })
	return p
}

func without(op deploy.Op) func(deploy.Plan) deploy.Plan {
	return func(p deploy.Plan) deploy.Plan {
		p.Steps = slices.DeleteFunc(p.Steps, func(s deploy.Step) bool { return s.Op == op })
		return marked(p)
	}
}

// oldStop is the stop of the old slot, made from the start of the new one.
func oldStop(p deploy.Plan) (deploy.Step, bool) {
	i := slices.IndexFunc(p.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpRetire })
	if i < 0 || p.OldSlot == "" {
		return deploy.Step{}, false
	}
	s := p.Steps[i]
	s.Op, s.Slot, s.Port = deploy.OpStop, p.OldSlot, p.Settings.BlueGreen.Port(p.OldSlot)
	return s, true
}

func hasty(p deploy.Plan) deploy.Plan {
	if stop, ok := oldStop(p); ok {
		p = without(deploy.OpDrain)(without(deploy.OpBake)(p))
		i := slices.IndexFunc(p.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpRoute })
		p.Steps = slices.Insert(p.Steps, i+1, stop)
	}
	return marked(p)
}

func stopFirst(p deploy.Plan) deploy.Plan {
	if stop, ok := oldStop(p); ok {
		i := slices.IndexFunc(p.Steps, func(s deploy.Step) bool { return s.Op == deploy.OpRoute })
		p.Steps = slices.Insert(p.Steps, i, stop)
	}
	return marked(p)
}

func holdless(p deploy.Plan) deploy.Plan {
	for i := range p.Steps {
		if p.Steps[i].Op == deploy.OpCheck {
			p.Steps[i].Hold = 0
		}
	}
	return p
}

func reverse(p deploy.Plan) deploy.Plan {
	slices.Reverse(p.Steps)
	return p
}

func pruneAll(p deploy.Plan) deploy.Plan {
	for i := range p.Steps {
		if p.Steps[i].Op == deploy.OpPrune {
			p.Steps[i].Keep = nil
		}
	}
	return p
}

// wrongSlot routes to the slot that was not prepared.
func wrongSlot(p deploy.Plan) deploy.Plan {
	for i := range p.Steps {
		if p.Steps[i].Op == deploy.OpRoute {
			targets := slices.Clone(p.Steps[i].Targets)
			for j := range targets {
				targets[j].Up = !targets[j].Up
			}
			p.Steps[i].Targets = targets
		}
	}
	return p
}

// rebalance wraps the balancer.
func rebalance(wrap func(deployer.Balancer) deployer.Balancer) mutation {
	return func(o *deployer.Options) { o.Drivers = rebalanced{o.Drivers, wrap} }
}

type rebalanced struct {
	deployer.Drivers
	wrap func(deployer.Balancer) deployer.Balancer
}

func (r rebalanced) Balancer(t deploy.Target, s deploy.Section, host func(string) (deployer.Host, error)) (deployer.Balancer, error) {
	b, err := r.Drivers.Balancer(t, s, host)
	return r.wrap(b), err
}

// lazy says that it routed, and did not.
type lazy struct{ deployer.Balancer }

func (l *lazy) Route(context.Context, deploy.Step) error { return nil }

func (l *lazy) Observe(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	ev, err := l.Balancer.Observe(ctx, s)
	if err == nil && len(s.Targets) > 0 {
		ev.Traffic.Up = nil
		for _, t := range s.Targets {
			if t.Up {
				ev.Traffic.Up = append(ev.Traffic.Up, t.Addr)
			}
		}
		slices.Sort(ev.Traffic.Up)
	}
	return ev, err
}

// toggle flips what is up instead of stating it, and believes itself.
type toggle struct{ deployer.Balancer }

func (g *toggle) Route(ctx context.Context, s deploy.Step) error {
	ev, err := g.Balancer.Observe(ctx, deploy.Step{})
	if err != nil {
		return err
	}
	s.Targets = slices.Clone(s.Targets)
	if len(ev.Traffic.Up) > 0 {
		for i := range s.Targets {
			s.Targets[i].Up = !slices.Contains(ev.Traffic.Up, s.Targets[i].Addr)
		}
	}
	return g.Balancer.Route(ctx, s)
}

func (g *toggle) Observe(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	return (&lazy{g.Balancer}).Observe(ctx, s)
}

// empties takes everything out before it puts the new one in.
type empties struct{ deployer.Balancer }

func (e empties) Route(ctx context.Context, s deploy.Step) error {
	none := s
	none.Targets = slices.Clone(s.Targets)
	for i := range none.Targets {
		none.Targets[i].Up = false
	}
	if err := e.Balancer.Route(ctx, none); err != nil {
		return err
	}
	return e.Balancer.Route(ctx, s)
}

// eager acts before the intent is written: looking is already doing.
type eager struct{ deployer.Drivers }

func (e eager) Runtime(s deploy.Section) (deployer.Runtime, error) {
	r, err := e.Drivers.Runtime(s)
	return eagerRuntime{r}, err
}

type eagerRuntime struct{ deployer.Runtime }

func (e eagerRuntime) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	if s.Op == deploy.OpStart {
		if err := e.Start(ctx, h, s); err != nil {
			return deploy.Evidence{}, err
		}
	}
	return e.Runtime.Observe(ctx, h, s)
}

// misreporting ends with the other slot as the live one.
type misreporting struct{ deployer.Journal }

func (r misreporting) Append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	if ev.Kind == deploy.KindEnded && ev.Ending == deploy.Succeeded && ev.Report != nil {
		rep := *ev.Report
		rep.Slot = rep.Slot.Other()
		rep.Observed = true
		ev.Report = &rep
	}
	return r.Journal.Append(id, afterN, ev)
}
