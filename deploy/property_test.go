package deploy_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// chronicle is a legal journal, written as the engine would write it: what
// Decide says is done, with the outcomes, crashes and orders that chance has.
type chronicle struct {
	*story
	t      *rapid.T
	w      *world
	live   deploy.Live
	states []deploy.State // after each event
	lives  []deploy.Live
}

// chance draws a small number.
func (c *chronicle) chance(n int, what string) int { return rapid.IntRange(0, n-1).Draw(c.t, what) }

func (c *chronicle) write(ev deploy.Event) {
	c.add(ev)
	c.live = deploy.FoldEnv(c.live, c.state, c.events[len(c.events)-1])
	c.states, c.lives = append(c.states, c.state), append(c.lives, c.live)
}

func drawn(t *rapid.T) *chronicle {
	all := worlds()
	name := rapid.SampledFrom([]string{"first", "usual", "two hosts", "stop at once", "flip", "with verify"}).Draw(t, "world")
	w := all[name]
	w.env.AutoRevert = rapid.Bool().Draw(t, "auto revert")
	return drawnIn(t, w)
}

func drawnIn(t *rapid.T, w *world) *chronicle {
	c := &chronicle{story: &story{t: t}, t: t, w: w, live: w.live}
	r := w.st.Request
	c.write(deploy.Event{Kind: deploy.KindRequested, Request: &r})
	for range c.chance(3, "lookups") {
		c.write(deploy.Event{Kind: deploy.KindResolved, Commit: &deploy.Commit{SHA: sha("b")}})
	}
	if c.chance(10, "claimed") == 0 {
		c.finish(rapid.SampledFrom([]deploy.Ending{deploy.Cancelled, deploy.Superseded, deploy.Rejected}).Draw(t, "ending"), nil)
		return c
	}
	c.write(deploy.Event{Kind: deploy.KindClaimed})
	for range 400 {
		if !c.turn() {
			return c
		}
	}
	// Whatever happened, a person can end it.
	c.orders(deploy.KindAbandon)
	c.turn()
	return c
}

// turn is one round of the engine; false when the deploy has ended.
func (c *chronicle) turn() bool {
	if c.state.Active() && c.somebody() {
		c.orders(rapid.SampledFrom([]deploy.Kind{deploy.KindCancel, deploy.KindPause, deploy.KindResume, deploy.KindNoted}).Draw(c.t, "order"))
	}
	d := deploy.Decide(c.state)
	switch d.Act {
	case deploy.ActExit:
		return false
	case deploy.ActPlan:
		c.plan()
	case deploy.ActRun:
		c.step()
	case deploy.ActUndo:
		undo := deploy.Undo(c.state)
		c.write(deploy.Event{Kind: deploy.KindRevert, Plan: &undo, Ending: d.Ending, Err: d.Err})
	case deploy.ActSkip:
		c.leave()
	case deploy.ActHold:
		c.write(deploy.Event{Kind: deploy.KindStuck, Err: d.Err})
	case deploy.ActWait:
		c.orders(rapid.SampledFrom([]deploy.Kind{deploy.KindCancel, deploy.KindResume, deploy.KindAbandon}).Draw(c.t, "way out"))
	case deploy.ActEnd, deploy.ActAbandon:
		c.finish(d.Ending, d.Err)
	default:
		c.t.Fatalf("nobody knows how to %q", d.Act)
	}
	return true
}

// somebody reports whether a person says something now; a roll has many turns.
func (c *chronicle) somebody() bool {
	if c.state.Plan != nil && c.state.Plan.Rolls() {
		return c.chance(1000, "somebody")%80 == 31
	}
	return c.chance(12, "somebody") == 0
}

func (c *chronicle) orders(kind deploy.Kind) {
	by := ann()
	c.write(deploy.Event{Kind: kind, By: &by, Text: "because"})
}

func (c *chronicle) plan() {
	p, err := c.w.plan()
	if err != nil {
		c.finish(deploy.Failed, deploy.AsError(err))
		return
	}
	c.write(deploy.Event{Kind: deploy.KindPlanned, Plan: &p})
}

// step is done, fails, or is cut by a crash.
func (c *chronicle) step() {
	next, _ := c.state.StepAt(c.state.Next)
	if c.state.Plan.Rolls() {
		c.rollStep(next)
		return
	}
	c.write(deploy.Event{Kind: deploy.KindStarted, Step: c.state.Next, Evidence: c.w.proof(next)})
	switch c.chance(8, "outcome") {
	case 0: // a crash: the step is started again
	case 1:
		code := rapid.SampledFrom([]deploy.Code{deploy.CodeUnhealthy, deploy.CodeFailed, deploy.CodeTimeout, deploy.CodeHold, deploy.CodeDrift}).Draw(c.t, "code")
		c.write(deploy.Event{Kind: deploy.KindFailed, Step: c.state.Next, Err: &deploy.Error{Code: code, Op: string(next.Op), Subject: string(next.Slot)}})
	default:
		c.write(deploy.Event{Kind: deploy.KindDone, Step: c.state.Next, Evidence: c.w.proof(next)})
	}
}

func (c *chronicle) finish(e deploy.Ending, err *deploy.Error) {
	r := deploy.Conclude(c.state, c.live, e, noon())
	if e == deploy.Abandoned {
		r.Observed, r.Slots = true, c.live.Slots
	}
	c.write(deploy.Event{Kind: deploy.KindEnded, Ending: e, Err: err, Report: &r})
}

func TestEveryPrefixOfALegalJournalFolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
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
		}
	})
}

// A stored state or environment is a value: what happens later does not reach it.
func TestNoEventChangesWhatWasFoldedBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		var states, lives []string
		for i := range c.states {
			states, lives = append(states, text(t, c.states[i])), append(lives, text(t, c.lives[i]))
		}
		st, l := deploy.State{}, c.w.live
		for i, ev := range c.events {
			st = st.Apply(ev)
			l = deploy.FoldEnv(l, st, ev)
			if text(t, st) != states[i] || text(t, l) != lives[i] {
				t.Fatalf("event %d: what was folded first has changed", i+1)
			}
		}
	})
}

// The invariants that the fold and the decision can keep by themselves.
func TestALegalJournalNeverStopsWhatServes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		l := c.w.live
		for i, ev := range c.events {
			st := c.states[i]
			step, ok := st.StepAt(ev.Step)
			if ev.Kind == deploy.KindStarted && ok && (step.Op == deploy.OpStop || step.Op == deploy.OpRetire) && step.Slot == l.Slot {
				t.Fatalf("event %d: %s of the %s slot while it serves %s", i+1, step.Op, step.Slot, l.Release.Commit.Short())
			}
			l = c.lives[i]
			if l.Warm != nil && l.Warm.Slot == l.Slot {
				t.Fatalf("event %d: the %s slot serves and is kept warm", i+1, l.Slot)
			}
			if (l.Active == ev.Deploy) != st.Active() {
				t.Fatalf("event %d: phase %s, and %s holds the environment", i+1, st.Phase, l.Active)
			}
			if st.Plan != nil && !st.Ended() && st.Undo == nil {
				checkWayBack(t, st)
			}
		}
	})
}

func checkWayBack(t *rapid.T, st deploy.State) {
	for _, s := range deploy.Undo(st).Steps {
		if s.Op == deploy.OpStop && s.Slot == st.Plan.OldSlot || s.Op == deploy.OpRoute && s.Slot != st.Plan.OldSlot {
			t.Fatalf("the way back has %s of the %s slot", s.Op, s.Slot)
		}
	}
}

// Each deploy is described at each moment of its life, in one line of title at least.
func TestEveryStateCanBeDescribed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		for i, st := range c.states {
			m := deploy.Describe(st)
			if m.Title == "" || m.Status == "" || m.Deploy != 9 || m.Final != st.Ended() || m.Percent < 0 || m.Percent > 100 {
				t.Fatalf("event %d: %+v", i+1, m)
			}
			if (m.Tone == deploy.ToneHold) != (st.Phase == deploy.PhaseStuck) {
				t.Fatalf("event %d: phase %s is told as %s", i+1, st.Phase, m.Tone)
			}
		}
	})
}
