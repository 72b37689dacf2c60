package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ipublish/deploy"
)

// way prints the steps of a plan on one line: "out b web-1 · in a web-1".
func way(p deploy.Plan) string {
	var out []string
	for _, s := range p.Steps {
		words := []string{s.Name()}
		if !s.Release.IsZero() {
			words = append(words, s.Release.Commit.SHA[:1])
		}
		for _, id := range s.Hosts {
			words = append(words, strings.TrimPrefix(string(id), "web-"))
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, " · ")
}

// home is the whole way of hosts from the new release b back to a.
func home(hosts string) string {
	return fmt.Sprintf("out b %[1]s · drain b %[1]s · stop b %[1]s · start a %[1]s · check a %[1]s · in a %[1]s", hosts)
}

func TestARollingReleaseGoesBackTheFailedHostFirstAndThenTheLastOnesFirst(t *testing.T) {
	four := []string{"hosts 4", "rolling parallel=1 floor=3 failure=revert failed=1", "fleet a"}
	two := []string{"hosts 5", "rolling parallel=2 floor=3 failed=1", "fleet a"}
	deployed := func(world []string, more ...string) []string {
		return append(append(slices.Clone(world), more...), "want deploy b")
	}
	out := func(id deploy.HostID) func(*story) { return func(s *story) { s.reach(deploy.OpOut, id) } }
	for _, c := range []struct {
		name  string
		world []string
		tell  func(*story)
		way   string
	}{
		{"nothing was begun", deployed(four), func(*story) {}, ""},
		{"only staged", deployed(four), out("web-1"), ""},
		{"the first is out, and nothing was stopped", deployed(four), func(s *story) { out("web-1")(s); s.do(nil); s.do(nil) },
			"check 1 · in 1"},
		{"the first is about to be out", deployed(four), func(s *story) { out("web-1")(s); s.start() }, "check 1 · in 1"},
		{"the third fails its check", deployed(four), func(s *story) { s.reach(deploy.OpCheck, "web-3"); s.failOn(deploy.CodeUnhealthy, "web-3") },
			home("3") + " · " + home("2") + " · " + home("1")},
		{"the third fails before it was stopped", deployed(four), func(s *story) { s.reach(deploy.OpDrain, "web-3"); s.failOn(deploy.CodeHold, "web-3") },
			"check 3 · in 3 · " + home("2") + " · " + home("1")},
		{"the first was left behind, then the third fails", deployed(four), func(s *story) {
			s.reach(deploy.OpStart, "web-1")
			s.failOn(deploy.CodeUnavailable, "web-1")
			s.skip()
			s.reach(deploy.OpCheck, "web-3")
			s.failOn(deploy.CodeUnhealthy, "web-3")
		}, home("3") + " · " + home("1") + " · " + home("2")},
		{"a bad verdict after the last", deployed(four), func(s *story) { s.all() },
			strings.Join([]string{home("4"), home("3"), home("2"), home("1")}, " · ")},
		{"two at a time go back two at a time", deployed(two), func(s *story) { s.reach(deploy.OpCheck, "web-5"); s.failOn(deploy.CodeUnhealthy, "web-5") },
			home("5 4") + " · " + home("3 2") + " · " + home("1")},
		{"of a wave of two the one that failed is named first", deployed(two), func(s *story) { s.reach(deploy.OpCheck, "web-4"); s.failOn(deploy.CodeUnhealthy, "web-3") },
			home("3 4") + " · " + home("2 1")},
		{"a wave that is only out goes in as it is, the others one pair after the other", deployed(two),
			func(s *story) { s.reach(deploy.OpDrain, "web-5"); s.start() }, "check 5 · in 5 · " + home("4 3") + " · " + home("2 1")},
		{"a host that had nothing keeps nothing", deployed(four, "host web-2 empty"), func(s *story) { s.reach(deploy.OpCheck, "web-1"); s.failOn(deploy.CodeUnhealthy, "web-1") },
			home("1") + " · out b 2 · drain b 2 · stop b 2"},
		{"a person's offline host gets its release and no traffic", deployed(two, "host web-1 offline"), func(s *story) { s.reach(deploy.OpCheck, "web-3"); s.failOn(deploy.CodeUnhealthy, "web-3") },
			home("3") + " · " + home("2") + " · out b 1 · drain b 1 · stop b 1 · start a 1 · check a 1"},
		{"a person's offline host on which nothing was stopped is left alone", deployed(two, "host web-1 offline"), func(s *story) { s.reach(deploy.OpStop, "web-1") }, ""},
		{"each goes back to what it ran", deployed(four, "good c", "host web-2 runs c"), func(s *story) { s.reach(deploy.OpOut, "web-3") },
			strings.ReplaceAll(home("2"), " a ", " c ") + " · " + home("1")},
		{"a sick host goes back as well, last of all", deployed(four, "host web-3 sick"), func(s *story) { s.reach(deploy.OpOut, "web-2") }, home("1") + " · " + home("3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := planned(t, rolls(t, c.world...))
			c.tell(s)
			if got := way(deploy.Undo(s.state)); got != c.way {
				t.Errorf("the way back is\n%s, want\n%s", got, c.way)
			}
		})
	}
}

func TestCancelledVerbsPutEveryHostBackAsItWas(t *testing.T) {
	three := []string{"hosts 3", "rolling floor=1", "fleet a"}
	for _, c := range []struct {
		want string
		tell func(*story)
		way  string
	}{
		{"drill", func(s *story) { s.reach(deploy.OpDrain, "web-2"); s.start() }, "check 2 · in 2"},
		{"drill", func(s *story) { s.reach(deploy.OpOut, "web-2") }, ""},
		{"restart", func(s *story) { s.reach(deploy.OpStart, "web-2") }, strings.ReplaceAll(home("2"), " b ", " a ")},
		{"restart", func(s *story) { s.reach(deploy.OpOut, "web-2"); s.start() }, "check 2 · in 2"},
		{"offline web-2", func(s *story) { s.reach(deploy.OpDrain, "web-2") }, "check 2 · in 2"},
		{"stop web-2", func(s *story) { s.reach(deploy.OpStop, "web-2"); s.start() }, strings.ReplaceAll(home("2"), " b ", " a ")},
	} {
		s := planned(t, rolls(t, append(slices.Clone(three), "want "+c.want)...))
		c.tell(s)
		s.order(deploy.KindCancel)
		if d := deploy.Decide(s.state); d.Act != deploy.ActUndo || d.Ending != deploy.Cancelled {
			t.Errorf("%s: decides %+v", c.want, d)
		}
		if got := way(deploy.Undo(s.state)); got != c.way {
			t.Errorf("%s: the way back is\n%s, want\n%s", c.want, got, c.way)
		}
	}
}

func TestAHostIsUntouchedUntilItIsAboutToLeave(t *testing.T) {
	s := planned(t, rolls(t, "hosts 4", "rolling floor=1", "fleet a", "host web-2 sick", "host web-4 offline", "want deploy b"))
	s.reach(deploy.OpOut, "web-1")
	if got := s.state.Untouched(); !slices.Equal(got, []deploy.HostID{"web-1", "web-3"}) {
		t.Errorf("before: %v", got)
	}
	s.start()
	if got := s.state.Untouched(); !slices.Equal(got, []deploy.HostID{"web-3"}) {
		t.Errorf("about to leave: %v", got)
	}
	if got := (deploy.State{}).Untouched(); got != nil {
		t.Errorf("without a plan: %v", got)
	}
}

func TestAReleaseThatIsGivenUpServesNowhereAlsoWhereItRanBefore(t *testing.T) {
	s := planned(t, rolls(t, "hosts 3", "rolling floor=1", "fleet a", "host web-1 runs b", "host web-1 out", "want deploy b"))
	s.reach(deploy.OpCheck, "web-2")
	s.failOn(deploy.CodeUnhealthy, "web-2")
	if got, want := way(deploy.Undo(s.state)), home("2")+" · out b 1 · drain b 1"; got != want {
		t.Errorf("the way back is\n%s, want\n%s", got, want)
	}
	s = planned(t, rolls(t, "hosts 3", "rolling floor=1", "good c", "fleet a", "host web-1 out", "host web-2 runs c", "want deploy a"))
	s.reach(deploy.OpCheck, "web-2")
	s.order(deploy.KindCancel)
	if got, want := way(deploy.Undo(s.state)), strings.NewReplacer(" b ", " a ", " a ", " c ").Replace(home("2")); got != want {
		t.Errorf("the way back of what is live anyway is\n%s, want\n%s", got, want)
	}
}

// Every step of a way back is whole: the floor's budget is that of the plan.
func TestTheWayBackFromEveryPointOfARollingPlanIsSound(t *testing.T) {
	for name, w := range map[string]*world{
		"one by one": rolls(t, "hosts 4", "rolling batches=1,50% bake=30s", "fleet a", "want deploy b"),
		"two":        rolls(t, "hosts 5", "rolling parallel=2 floor=3", "fleet a", "host web-2 sick", "want deploy b"),
		"mixed":      rolls(t, "hosts 5", "rolling parallel=3 floor=1", "good c", "fleet a", "host web-2 runs c", "host web-3 empty", "host web-4 offline", "want deploy b"),
		"rollback":   rolls(t, "hosts 3", "rolling", "fleet b", "good a", "want rollback"),
	} {
		for i := range len(w.mustPlan(t).Steps) {
			for _, how := range []string{"started", "failed", "done"} {
				t.Run(fmt.Sprintf("%s/step %d %s", name, i+1, how), func(t *testing.T) {
					s := planned(t, w)
					for range i {
						s.do(nil)
					}
					step, _ := s.state.StepAt(s.state.Next)
					switch {
					case how == "started":
						s.start()
					case how == "failed" && len(step.Hosts) > 0:
						s.failOn(deploy.CodeUnhealthy, step.Hosts[0])
					default:
						s.do(nil)
					}
					soundBack(t, s.state)
				})
			}
		}
	}
}

// soundBack checks the way back of a rolling plan: only touched hosts, each once,
// within the width of the plan, stopped only out of traffic, in only checked.
func soundBack(t *testing.T, st deploy.State) {
	t.Helper()
	undo := deploy.Undo(st)
	seen, out, checked := map[deploy.HostID]bool{}, map[deploy.HostID]bool{}, map[deploy.HostID]bool{}
	if undo.Commit != -1 || undo.Baked != -1 || len(undo.Fleet) != len(st.Plan.Fleet) {
		t.Errorf("the way back has marks %d and %d and a fleet of %d", undo.Commit, undo.Baked, len(undo.Fleet))
	}
	for i, s := range undo.Steps {
		if s.Limit <= 0 || s.Port != 9001 || s.Home == "" || s.Batch == 0 {
			t.Errorf("step %d is not whole: %+v", i, s)
		}
		if len(s.Hosts) > st.Plan.Settings.Rolling.MaxParallel {
			t.Errorf("step %d is about %d hosts", i, len(s.Hosts))
		}
		for _, id := range s.Hosts {
			switch s.Op {
			case deploy.OpOut:
				if seen[id] {
					t.Errorf("step %d takes %s out twice", i, id)
				}
				seen[id], out[id] = true, true
			case deploy.OpStop, deploy.OpStart:
				if !out[id] {
					t.Errorf("step %d (%s) of %s in traffic", i, s.Op, id)
				}
			case deploy.OpCheck:
				checked[id] = true
			case deploy.OpIn:
				if !checked[id] {
					t.Errorf("step %d gives %s traffic before its check", i, id)
				}
			}
		}
	}
	for _, id := range st.Untouched() {
		if seen[id] || checked[id] {
			t.Errorf("the way back is about %s, which was not touched", id)
		}
	}
}
