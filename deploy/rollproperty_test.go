package deploy_test

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// leave goes on without the hosts that the step at Next failed on.
func (c *chronicle) leave() {
	_, outcomes, _ := c.state.Current()
	failures := outcomes.At(c.state.Next).After.Failures
	ev := deploy.Event{Kind: deploy.KindSkipped, Step: c.state.Next, Err: c.state.Trouble, Evidence: &deploy.Evidence{Failures: failures}}
	for _, f := range failures {
		ev.Hosts = append(ev.Hosts, f.Host)
	}
	c.write(ev)
}

// rollStep is done, fails on some hosts or as a whole, or is cut by a crash.
func (c *chronicle) rollStep(step deploy.Step) {
	step = c.present(step)
	c.write(deploy.Event{Kind: deploy.KindStarted, Step: c.state.Next, Evidence: c.w.seenBefore(step)})
	switch c.chance(1000, "outcome") % 40 {
	case 13: // a crash: the step is started again
	case 7, 27:
		c.rollFails(step)
	default:
		c.write(deploy.Event{Kind: deploy.KindDone, Step: c.state.Next, Evidence: c.w.seenAfter(step)})
	}
}

// present is the step about the hosts that are not left behind.
func (c *chronicle) present(step deploy.Step) deploy.Step {
	var hosts []deploy.HostID
	for _, id := range step.Hosts {
		if !c.state.Behind(id) {
			hosts = append(hosts, id)
		}
	}
	step.Hosts = hosts
	return step
}

func (c *chronicle) rollFails(step deploy.Step) {
	code := rapid.SampledFrom([]deploy.Code{deploy.CodeUnhealthy, deploy.CodeFailed, deploy.CodeUnavailable, deploy.CodeTimeout, deploy.CodeHold}).Draw(c.t, "code")
	ev := deploy.Event{Kind: deploy.KindFailed, Step: c.state.Next, Err: &deploy.Error{Code: code, Op: step.Name()}, Evidence: &deploy.Evidence{}}
	for _, id := range step.Hosts {
		if c.chance(2, "here") == 0 {
			ev.Evidence.Failures = append(ev.Evidence.Failures, deploy.HostFailure{Host: id, Err: &deploy.Error{Code: code, Op: step.Name(), Subject: string(id)}})
		}
	}
	c.write(ev)
}

// rollWorld is an environment of many hosts, each found as chance has it.
func rollWorld(t *rapid.T) *world {
	n := rapid.IntRange(1, 7).Draw(t, "hosts")
	lines := []string{fmt.Sprintf("hosts %d", n), fmt.Sprintf("rolling parallel=%d floor=%d failed=%d failure=%s",
		rapid.IntRange(1, 3).Draw(t, "parallel"), rapid.IntRange(0, max(n-2, 0)).Draw(t, "floor"), rapid.SampledFrom([]int{2, 1, 0}).Draw(t, "failed"),
		rapid.SampledFrom([]string{"revert", "stop", "skip"}).Draw(t, "failure"))}
	if rapid.Bool().Draw(t, "batches") {
		lines[1] += rapid.SampledFrom([]string{" batches=1,50%", " batches=10%,2,100% bake=30s", " bake=1m"}).Draw(t, "which")
	}
	if rapid.Bool().Draw(t, "no revert") {
		lines = append(lines, "no_revert")
	}
	if rapid.Bool().Draw(t, "hooks") {
		lines = append(lines, "hooks")
	}
	lines = append(lines, "good c")
	if rapid.IntRange(0, 99).Draw(t, "live")%20 != 17 {
		lines = append(lines, "fleet a")
	}
	for i := range n {
		for _, how := range rapid.SampledFrom([][]string{nil, nil, nil, nil, nil, nil, nil, nil, {"sick"}, {"dead"}, {"down"}, {"empty"}, {"unknown"}, {"runs c"}, {"runs b", "out"}, {"out"}, {"offline"}, {"dead", "offline"}, {"unreachable"}}).Draw(t, "found") {
			lines = append(lines, fmt.Sprintf("host web-%d %s", i+1, how))
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
		lines = append(lines, "gone web-9 a")
	}
	lines = append(lines, rapid.SampledFrom([]string{"want deploy b", "want deploy b", "want deploy b", "want deploy a", "want rollback", "want restart", "want drill", "want deploy b without=web-1",
		"want offline web-1", "want online web-1", "want stop web-1", "want start web-1"}).Draw(t, "want"))
	return rolls(t, lines...)
}

// ground is what really is so, worked out from what the journal says was begun
// and done; of what was begun and not proven the worse is assumed.
type ground struct {
	w     *world
	in    map[deploy.HostID]bool // it certainly has traffic
	maybe map[deploy.HostID]bool // it may have traffic
	runs  map[deploy.HostID]string
	left  map[deploy.HostID]bool // it was left behind at some time
}

func newGround(w *world) *ground {
	g := &ground{w: w, in: map[deploy.HostID]bool{}, maybe: map[deploy.HostID]bool{}, runs: map[deploy.HostID]string{}, left: map[deploy.HostID]bool{}}
	for id, s := range w.obs.Hosts {
		g.in[id], g.maybe[id], g.runs[id] = s.Up, s.Up, s.Instance.Key
	}
	return g
}

// follow takes one more event into account; st is the state after it.
func (g *ground) follow(t *rapid.T, st deploy.State, ev deploy.Event) {
	if ev.Kind == deploy.KindSkipped {
		for _, id := range ev.Hosts {
			g.left[id] = true
		}
	}
	step, ok := st.StepAt(ev.Step)
	if !ok || ev.Kind != deploy.KindStarted && ev.Kind != deploy.KindDone {
		return
	}
	for _, id := range step.Hosts {
		if st.Behind(id) {
			continue
		}
		switch {
		case step.Op == deploy.OpOut && ev.Kind == deploy.KindStarted:
			g.in[id] = false
		case step.Op == deploy.OpOut:
			g.maybe[id] = false
		case step.Op == deploy.OpIn && ev.Kind == deploy.KindStarted:
			g.maybe[id] = true
		case step.Op == deploy.OpIn:
			g.in[id] = true
		case step.Op == deploy.OpStop || step.Op == deploy.OpStart:
			if g.maybe[id] {
				t.Fatalf("event %d: %s of %s, which may have traffic", ev.N, step.Op, id)
			}
			if g.runs[id] = ""; step.Op == deploy.OpStart {
				g.runs[id] = step.Release.Key()
			}
		}
	}
}

// out counts the hosts that served and that ipublish's plan has out of traffic.
func (g *ground) out(p deploy.Plan) int {
	n := 0
	for _, m := range p.Fleet {
		if m.Served && !g.in[m.Host] {
			n++
		}
	}
	return n
}

func TestEveryPrefixOfALegalRollFoldsAndCanBeUndoneAndDescribed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawnIn(t, rollWorld(t))
		if !c.state.Ended() {
			t.Fatalf("it never ends: %s", c.state.Phase)
		}
		for i := range c.events {
			st := deploy.Fold(c.events[:i+1])
			if st.Broken != nil {
				t.Fatalf("after event %d: %v", i+1, st.Broken)
			}
			if !reflect.DeepEqual(st, c.states[i]) {
				t.Fatalf("after event %d the fold gives\n%s\nand step by step it was\n%s", i+1, text(t, st), text(t, c.states[i]))
			}
			deploy.Undo(st)
			st.Untouched()
			m := deploy.Describe(st)
			if m.Title == "" || m.Status == "" || m.Percent < 0 || m.Percent > 100 || m.Final != st.Ended() || (m.Tone == deploy.ToneHold) != (st.Phase == deploy.PhaseStuck) {
				t.Fatalf("event %d: %+v", i+1, m)
			}
		}
	})
}

// Whatever fails, crashes or is ordered: no more hosts that served are out at
// once than may be, besides those that were left behind; nothing is stopped in
// traffic; and whoever is out has an entry in the ledger.
func TestARollNeverHasMoreHostsOutThanItMayAndForgetsNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawnIn(t, rollWorld(t))
		g := newGround(c.w)
		for i, ev := range c.events {
			st, l := c.states[i], c.lives[i]
			g.follow(t, st, ev)
			if st.Plan == nil {
				continue
			}
			byName := st.Plan.Want == deploy.WantOffline || st.Plan.Want == deploy.WantStop
			if out, most := g.out(*st.Plan), c.w.env.Rolling.MaxParallel+len(g.left); out > most && !byName {
				t.Fatalf("event %d (%s): %d hosts that served are out, of %d that may be", i+1, ev.Kind, out, most)
			}
			for _, m := range st.Plan.Fleet {
				if m.Served && !g.in[m.Host] && l.Hosts.Get(m.Host).Out == nil && ev.Kind != deploy.KindFailed {
					t.Fatalf("event %d (%s): %s is out of traffic, and no ledger has it", i+1, ev.Kind, m.Host)
				}
			}
		}
	})
}

func TestARollEndsAsItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawnIn(t, rollWorld(t))
		g := newGround(c.w)
		for i, ev := range c.events {
			g.follow(t, c.states[i], ev)
		}
		if c.state.Plan == nil || c.state.Plan.Want != deploy.WantDeploy && c.state.Plan.Want != deploy.WantRollback {
			return
		}
		for _, m := range c.state.Plan.Fleet {
			if g.left[m.Host] {
				continue
			}
			switch kept := m.Kept && !m.Served; {
			case kept && g.in[m.Host] != c.w.obs.Hosts[m.Host].Up:
				t.Fatalf("%s: %s, which a person took out, is in traffic", c.state.Ending, m.Host)
			case c.state.Ending == deploy.Succeeded && g.runs[m.Host] != c.state.Plan.Release.Key():
				t.Fatalf("succeeded, and %s runs %s", m.Host, g.runs[m.Host])
			case c.state.Ending == deploy.Succeeded && !kept && !g.in[m.Host]:
				t.Fatalf("succeeded, and %s is out of traffic", m.Host)
			case c.state.Undo != nil && c.state.Ending != deploy.Abandoned:
				g.takenBack(t, c, m)
			}
		}
	})
}

// takenBack: a host that served has traffic again, and none serves what was
// given up.
func (g *ground) takenBack(t *rapid.T, c *chronicle, m deploy.Member) {
	rel := c.state.Plan.Release.Key()
	if m.Served && !g.in[m.Host] {
		t.Fatalf("%s: %s, which served, is out of traffic", c.state.Ending, m.Host)
	}
	if g.maybe[m.Host] && g.runs[m.Host] == rel && rel != c.state.Plan.Old.Key() && !(m.Served && m.Old.Key() == rel) {
		t.Fatalf("%s: %s serves %s, which was given up", c.state.Ending, m.Host, rel)
	}
}
