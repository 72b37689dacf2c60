package deploy_test

import (
	"slices"

	"ipublish/deploy"
)

// prove runs a rolling step to its end with the evidence that drivers give.
func (s *story) prove(w *world) {
	s.t.Helper()
	step, _ := s.state.StepAt(s.state.Next)
	s.add(deploy.Event{Kind: deploy.KindStarted, Step: s.state.Next, Evidence: w.seenBefore(step)})
	s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next, Evidence: w.seenAfter(step)})
}

// proveUntil proves steps until the next one is this operation about this host.
func (s *story) proveUntil(w *world, op deploy.Op, id deploy.HostID) {
	s.t.Helper()
	for {
		step, ok := s.state.StepAt(s.state.Next)
		if !ok {
			s.t.Fatalf("the plan has no step %s of %s", op, id)
		}
		if step.Op == op && slices.Contains(step.Hosts, id) {
			return
		}
		s.prove(w)
	}
}

// proveAll proves every step that is left.
func (s *story) proveAll(w *world) {
	s.t.Helper()
	for {
		if _, ok := s.state.StepAt(s.state.Next); !ok {
			return
		}
		s.prove(w)
	}
}

// seenBefore is what a driver sees before a step of a rolling plan: the balancer
// gives every host the weight 7.
func (w *world) seenBefore(step deploy.Step) *deploy.Evidence {
	if step.Op != deploy.OpOut && step.Op != deploy.OpIn {
		return nil
	}
	t := deploy.Traffic{Weights: map[string]int{}}
	for _, e := range step.Targets {
		t.Up, t.Weights[e.Addr] = append(t.Up, e.Addr), 7
	}
	return &deploy.Evidence{Traffic: &t}
}

// seenAfter is what a driver sees once a step of a rolling plan is true.
func (w *world) seenAfter(step deploy.Step) *deploy.Evidence {
	name := "?"
	if !step.Release.IsZero() {
		name = step.Release.Commit.SHA[:1]
	}
	var in []deploy.Instance
	for _, id := range step.Hosts {
		one := w.one(id, name)
		one.Log = "the password is hunter2"
		in = append(in, one)
	}
	switch step.Op {
	case deploy.OpBuild:
		built := w.release(name)
		return &deploy.Evidence{Release: &built}
	case deploy.OpStart:
		return &deploy.Evidence{Instances: in}
	case deploy.OpCheck:
		return &deploy.Evidence{Instances: passed(in)}
	case deploy.OpOut, deploy.OpIn:
		t := deploy.Traffic{}
		for _, e := range step.Targets {
			if e.Up {
				t.Up = append(t.Up, e.Addr)
			} else {
				t.Down = append(t.Down, e.Addr)
			}
		}
		return &deploy.Evidence{Traffic: &t}
	}
	return nil
}
