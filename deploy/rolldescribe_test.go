package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

// tale is a story whose message is shown in testdata/messages.txt.
type tale = struct {
	name string
	tell func(*testing.T) *story
}

// rollTales are those of rolling deploys.
func rollTales() []tale {
	ten := []string{"hosts 10", "rolling floor=8 failed=1", "fleet a", "want deploy b"}
	four := []string{"hosts 4", "rolling parallel=2 floor=1 failed=1 batches=1 bake=30s", "fleet a"}
	in := func(lines []string, tell func(*story, *world)) func(*testing.T) *story {
		return func(t *testing.T) *story {
			w := rolls(t, lines...)
			if w.st.Request.Want == deploy.WantDeploy {
				w.st.Request.Title, w.st.Request.Ref = "Fix the basket", "main"
			}
			s := planned(t, w)
			tell(s, w)
			return s
		}
	}
	with := func(lines []string, more ...string) []string { return append(lines[:len(lines):len(lines)], more...) }
	third := func(s *story, w *world) {
		s.proveUntil(w, deploy.OpCheck, "web-3")
		s.failOn(deploy.CodeUnhealthy, "web-3")
	}
	return []tale{
		{"a roll of ten hosts", in(ten, func(s *story, w *world) { s.proveUntil(w, deploy.OpDrain, "web-4"); s.start() })},
		{"a roll of ten hosts, a note", in(ten, func(s *story, w *world) {
			s.proveUntil(w, deploy.OpCheck, "web-4")
			s.start()
			s.add(deploy.Event{Kind: deploy.KindNoted, Text: "web-4: it answered 503"})
		})},
		{"a roll that asked to pause", in(ten, func(s *story, w *world) {
			s.proveUntil(w, deploy.OpDrain, "web-4")
			s.start()
			s.order(deploy.KindPause)
		})},
		{"a paused roll", in(ten, func(s *story, w *world) { s.order(deploy.KindPause); s.proveUntil(w, deploy.OpOut, "web-4") })},
		{"a roll without a host", in(ten, func(s *story, w *world) {
			s.proveUntil(w, deploy.OpStop, "web-4")
			s.failOn(deploy.CodeUnavailable, "web-4")
			s.skip()
			s.proveUntil(w, deploy.OpStart, "web-6")
			s.start()
		})},
		{"a roll in batches, watched in between", in(with(four, "want deploy b"), func(s *story, w *world) { s.until(deploy.OpBake); s.start() })},
		{"a held roll", in([]string{"hosts 4", "rolling floor=2 failure=stop", "fleet a", "want deploy b"}, func(s *story, w *world) {
			third(s, w)
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: deploy.Decide(s.state).Err})
		})},
		{"a roll that goes back", in(ten, func(s *story, w *world) {
			third(s, w)
			s.back(deploy.Reverted)
			s.proveUntil(w, deploy.OpStart, "web-2")
			s.start()
		})},
		{"a roll that is held on its way back", in(ten, func(s *story, w *world) {
			third(s, w)
			s.back(deploy.Reverted)
			s.proveUntil(w, deploy.OpCheck, "web-2")
			s.failOn(deploy.CodeUnhealthy, "web-2")
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: deploy.Decide(s.state).Err})
		})},
		{"a reverted roll", in(ten, func(s *story, w *world) {
			third(s, w)
			s.back(deploy.Reverted)
			s.proveAll(w)
			s.conclude(w.live, deploy.Reverted)
		})},
		{"a roll that failed on its first host", in(ten, func(s *story, w *world) {
			s.proveUntil(w, deploy.OpCheck, "web-1")
			s.failOn(deploy.CodeUnhealthy, "web-1")
			s.back(deploy.Failed)
			s.proveAll(w)
			s.conclude(w.live, deploy.Failed)
		})},
		{"a reverted roll with a host that is not reached", in(ten, func(s *story, w *world) {
			third(s, w)
			s.back(deploy.Reverted)
			s.proveUntil(w, deploy.OpStop, "web-3")
			s.failOn(deploy.CodeUnavailable, "web-3")
			s.skip()
			s.proveAll(w)
			s.conclude(w.live, deploy.Reverted)
		})},
		{"a roll that is done", in(with(four, "want deploy b"), func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"a roll that is done but for two hosts", in(with(four, "host web-4 offline", "host web-2 unreachable", "want deploy b"), func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"the first roll", in([]string{"hosts 2", "rolling", "want deploy b"}, func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"a roll with nothing to do", in([]string{"hosts 2", "rolling", "fleet a", "want deploy a"}, func(s *story, w *world) { s.conclude(w.live, deploy.Succeeded) })},
		{"work in flight when the drain time was over", in(with(four, "want deploy b"), func(s *story, w *world) {
			for range s.state.Plan.Steps {
				step, _ := s.state.StepAt(s.state.Next)
				ev := w.seenAfter(step)
				if step.Op == deploy.OpDrain {
					ev = &deploy.Evidence{TimedOut: true}
				}
				s.do(ev)
			}
			s.conclude(w.live, deploy.Succeeded)
		})},
		{"a rollback of a fleet", in([]string{"hosts 2", "rolling", "fleet b", "good a", "want rollback"}, func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"one host is restarted", in(with(four, "want restart web-2"), func(s *story, w *world) { s.proveUntil(w, deploy.OpStart, "web-2"); s.start() })},
		{"a restart that fails", in(with(four, "want restart web-2"), func(s *story, w *world) {
			s.proveUntil(w, deploy.OpCheck, "web-2")
			s.failOn(deploy.CodeUnhealthy, "web-2")
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: deploy.Decide(s.state).Err})
		})},
		{"hosts are taken offline", in(with(four, "want offline web-2 web-3"), func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"a host comes online", in(with(four, "host web-2 offline", "want online web-2"), func(s *story, w *world) { s.proveAll(w); s.conclude(w.live, deploy.Succeeded) })},
		{"a drill", in(with(four, "want drill"), func(s *story, w *world) { s.proveUntil(w, deploy.OpDrain, "web-3"); s.start() })},
		{"a roll of two hundred hosts", in(crowd(), func(s *story, w *world) { s.proveUntil(w, deploy.OpStart, "web-130"); s.start() })},
		{"a roll of two hundred hosts, held", in(crowd(), func(s *story, w *world) {
			s.proveUntil(w, deploy.OpCheck, "web-130")
			s.failOn(deploy.CodeUnhealthy, "web-130")
			s.add(deploy.Event{Kind: deploy.KindStuck, Err: deploy.Decide(s.state).Err})
		})},
	}
}

// crowd is an environment of two hundred hosts.
func crowd() []string {
	return []string{"hosts 200", "rolling parallel=10 floor=170 failed=20 failure=stop batches=10%,50%,100% bake=30s", "fleet a", "want deploy b"}
}

// longest is how many bytes of text a message may have, where hosts have names
// like web-17, and where they have those of long domains; chats cut what is longer.
const longest, longestOfDomains = 2500, 4000

func TestAMessageAboutTwoHundredHostsStaysShort(t *testing.T) {
	for name, lines := range map[string][]string{
		"all goes well":            crowd(),
		"twenty cannot be reached": append(crowd()[:3:3], append(unreachable(20), "want deploy b")...),
		"twenty are offline":       append(crowd()[:3:3], append(offline(20), "want deploy b")...),
		"a drill":                  append(crowd()[:3:3], "want drill"),
		"the first deploy":         {"hosts 200", "rolling parallel=20 floor=0 failed=20", "want deploy b"},
	} {
		t.Run(name, func(t *testing.T) {
			w := rolls(t, lines...)
			s := planned(t, w)
			for {
				step, ok := s.state.StepAt(s.state.Next)
				if !ok {
					break
				}
				ev := w.seenAfter(step)
				if step.Op == deploy.OpDrain {
					ev = &deploy.Evidence{TimedOut: true}
				}
				s.start()
				short(t, s.state, longest)
				s.add(deploy.Event{Kind: deploy.KindDone, Step: s.state.Next, Evidence: ev})
			}
			s.conclude(w.live, deploy.Succeeded)
			short(t, s.state, longest)
		})
	}
}

func TestAMessageAboutAWayBackOfTwoHundredHostsStaysShort(t *testing.T) {
	wayBackIsShort(t, rolls(t, crowd()...), longest)
	w := rolls(t, crowd()...)
	named(w, "%s.shop.eu-central-1.internal.example.com")
	wayBackIsShort(t, w, longestOfDomains)
}

func wayBackIsShort(t *testing.T, w *world, most int) {
	t.Helper()
	s := planned(t, w)
	for range 12 {
		s.reach(deploy.OpStop, w.env.Hosts[10*len(s.state.Skipped)].ID)
		s.failOn(deploy.CodeUnavailable, w.env.Hosts[10*len(s.state.Skipped)].ID)
		short(t, s.state, most)
		s.skip()
	}
	s.reach(deploy.OpCheck, w.env.Hosts[190].ID)
	s.failOn(deploy.CodeUnhealthy, w.env.Hosts[190].ID)
	held := s.state.Apply(s.event(deploy.Event{Kind: deploy.KindStuck, Err: deploy.Decide(s.state).Err}))
	short(t, held, most)
	s.back(deploy.Reverted)
	for {
		step, ok := s.state.StepAt(s.state.Next)
		if !ok {
			break
		}
		s.do(w.seenAfter(step))
		short(t, s.state, most)
	}
	s.conclude(w.live, deploy.Reverted)
	short(t, s.state, most)
}

func short(t *testing.T, st deploy.State, most int) {
	t.Helper()
	if m := shown(deploy.Describe(st)); len(m) > most {
		t.Fatalf("the message has %d bytes:\n%s", len(m), m)
	}
}

func unreachable(n int) []string { return each(n, "unreachable") }
func offline(n int) []string     { return each(n, "offline") }

func each(n int, how string) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("host web-%d %s", i+1, how))
	}
	return out
}

// named gives every host of the world another name.
func named(w *world, format string) {
	rename := func(id deploy.HostID) deploy.HostID { return deploy.HostID(fmt.Sprintf(format, id)) }
	sights, known := map[deploy.HostID]deploy.Sight{}, deploy.Roster{}
	for i, h := range w.env.Hosts {
		id := rename(h.ID)
		sight := w.obs.Hosts[h.ID]
		sight.Instance.Host = id
		if sight.Err != nil {
			e := *sight.Err
			e.Message = strings.ReplaceAll(e.Message, string(h.ID), string(id))
			sight.Err = &e
		}
		sights[id] = sight
		if w.live.Hosts.Has(h.ID) {
			known = known.With(id, w.live.Hosts.Get(h.ID))
		}
		w.env.Hosts[i].ID = id
	}
	w.obs.Hosts, w.live.Hosts = sights, known
}
