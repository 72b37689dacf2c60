package deploy_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// story writes the journal of deploy #9, an event a second.
type story struct {
	t      rapid.TB
	events []deploy.Event
	state  deploy.State
}

func begin(t rapid.TB, r deploy.Request) *story {
	t.Helper()
	s := &story{t: t}
	r.App, r.Env = "shop", "production"
	s.add(deploy.Event{Kind: deploy.KindRequested, Request: &r})
	return s
}

// planned begins a story whose deploy is claimed and has its plan.
func planned(t rapid.TB, w *world) *story {
	t.Helper()
	s := begin(t, w.st.Request)
	s.add(deploy.Event{Kind: deploy.KindClaimed})
	p := w.mustPlan(t)
	s.add(deploy.Event{Kind: deploy.KindPlanned, Plan: &p})
	return s
}

// event fills in what every event has.
func (s *story) event(ev deploy.Event) deploy.Event {
	n := uint64(len(s.events) + 1)
	ev.N, ev.Seq, ev.V, ev.Deploy, ev.Target = n, 100+n, deploy.EventVersion, 9, target()
	ev.At = noon().Add(time.Duration(n) * time.Second)
	return ev
}

// add appends an event, which has to be legal.
func (s *story) add(ev deploy.Event) {
	s.t.Helper()
	ev = s.event(ev)
	s.state = s.state.Apply(ev)
	s.events = append(s.events, ev)
	if s.state.Broken != nil {
		s.t.Fatalf("event %d (%s) is not legal: %v", ev.N, ev.Kind, s.state.Broken)
	}
}

func (s *story) start() {
	s.t.Helper()
	s.add(deploy.Event{Kind: deploy.KindStarted, Step: s.state.Next})
}

// do runs the next step to its end.
func (s *story) do(after *deploy.Evidence) {
	s.t.Helper()
	s.start()
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next, Evidence: after})
}

// fail runs the next step into a failure.
func (s *story) fail(err *deploy.Error) {
	s.t.Helper()
	s.start()
	s.add(deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Err: err})
}

// failOn runs the next step into failures of these hosts.
func (s *story) failOn(code deploy.Code, hosts ...deploy.HostID) {
	s.t.Helper()
	s.start()
	step, _ := s.state.StepAt(s.state.Next)
	var failures []deploy.HostFailure
	for _, id := range hosts {
		failures = append(failures, deploy.HostFailure{Host: id, Err: &deploy.Error{
			Code: code, Op: step.Name(), Subject: string(id), Message: "it is " + string(code) + " on " + string(id)}})
	}
	s.add(deploy.Event{Kind: deploy.KindFailed, Step: s.state.Next, Evidence: &deploy.Evidence{Failures: failures},
		Err: &deploy.Error{Code: code, Op: step.Name(), Subject: string(hosts[0]), Message: failures[0].Err.Message}})
}

// skip goes on without the hosts that the step at Next failed on.
func (s *story) skip() {
	s.t.Helper()
	_, outcomes, _ := s.state.Current()
	failures := outcomes.At(s.state.Next).After.Failures
	ev := deploy.Event{Kind: deploy.KindSkipped, Step: s.state.Next, Err: s.state.Trouble, Evidence: &deploy.Evidence{Failures: failures}}
	for _, f := range failures {
		ev.Hosts = append(ev.Hosts, f.Host)
	}
	s.add(ev)
}

// reach runs steps until the next one is this operation about this host.
func (s *story) reach(op deploy.Op, id deploy.HostID) {
	s.t.Helper()
	for {
		step, ok := s.state.StepAt(s.state.Next)
		if !ok {
			s.t.Fatalf("the plan has no step %s of %s", op, id)
		}
		if step.Op == op && slices.Contains(step.Hosts, id) {
			return
		}
		s.do(nil)
	}
}

// until runs steps until the next one has this operation.
func (s *story) until(op deploy.Op) {
	s.t.Helper()
	for {
		step, ok := s.state.StepAt(s.state.Next)
		if !ok {
			s.t.Fatalf("the plan has no step %s", op)
		}
		if step.Op == op {
			return
		}
		s.do(nil)
	}
}

// all runs every step that is left.
func (s *story) all() {
	s.t.Helper()
	for {
		if _, ok := s.state.StepAt(s.state.Next); !ok {
			return
		}
		s.do(nil)
	}
}

// back journals the undo plan.
func (s *story) back(to deploy.Ending) {
	s.t.Helper()
	undo := deploy.Undo(s.state)
	s.add(deploy.Event{Kind: deploy.KindRevert, Plan: &undo, Ending: to, Err: s.state.Trouble})
}

func (s *story) order(kind deploy.Kind) {
	s.t.Helper()
	by := ann()
	s.add(deploy.Event{Kind: kind, By: &by, Text: "because"})
}

func (s *story) end(e deploy.Ending) {
	s.t.Helper()
	s.add(deploy.Event{Kind: deploy.KindEnded, Ending: e, Report: &deploy.Report{}})
}

func unhealthy(op deploy.Op) *deploy.Error {
	return &deploy.Error{Code: deploy.CodeUnhealthy, Op: string(op), Subject: "green", Message: "it answered 503", Log: "boom"}
}

// usual is a world in which green takes over from blue.
func usual() *world {
	w := newWorld()
	w.serves(deploy.Blue, "a")
	return w
}
