package deploy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// serving is the environment as it stands at a deploy's end.
func serving(w *world, slot deploy.Slot, name string) deploy.Live {
	return deploy.Live{Target: target(), Release: w.release(name), Slot: slot}
}

func TestTheReportSaysWhatTheEnvironmentHasToRemember(t *testing.T) {
	noRest := usual()
	noRest.env.BlueGreen.KeepOld = 0
	flip := worlds()["flip"]
	baked := func(s *story) { s.all() }
	failing := func(op deploy.Op, err *deploy.Error) func(*story) {
		return func(s *story) { s.until(op); s.fail(err); s.back(deploy.Failed); s.all() }
	}
	for _, c := range []struct {
		name         string
		w            *world
		tell         func(*story)
		ending       deploy.Ending
		warm         string // slot and release
		failed, left []string
	}{
		{name: "succeeded", w: usual(), tell: baked, ending: deploy.Succeeded, warm: "blue a"},
		{name: "succeeded, nothing is kept", w: noRest, tell: baked, ending: deploy.Succeeded},
		{name: "the first", w: newWorld(), tell: baked, ending: deploy.Succeeded},
		{name: "a rollback leaves what it rolled back", w: flip, tell: baked, ending: deploy.Succeeded, warm: "green b", left: []string{"b"}},
		{name: "reverted by a bad bake", w: usual(), tell: failing(deploy.OpBake, unhealthy(deploy.OpBake)), ending: deploy.Reverted, failed: []string{"b"}, left: []string{"b"}},
		{name: "failed its check", w: usual(), tell: failing(deploy.OpCheck, unhealthy(deploy.OpCheck)), ending: deploy.Failed, failed: []string{"b"}},
		{name: "did not start", w: usual(), tell: failing(deploy.OpStart, &deploy.Error{Code: deploy.CodeFailed, Op: "start"}), ending: deploy.Failed, failed: []string{"b"}},
		{name: "its host was gone", w: usual(), tell: failing(deploy.OpStart, &deploy.Error{Code: deploy.CodeUnavailable, Op: "start"}), ending: deploy.Failed},
		{name: "the switch failed", w: usual(), tell: failing(deploy.OpRoute, &deploy.Error{Code: deploy.CodeFailed, Op: "route"}), ending: deploy.Reverted, left: []string{"b"}},
		{name: "a build failed", w: usual(), tell: failing(deploy.OpBuild, &deploy.Error{Code: deploy.CodeFailed, Op: "build"}), ending: deploy.Failed},
		{name: "cancelled", w: usual(), tell: func(s *story) { s.do(nil); s.order(deploy.KindCancel); s.back(deploy.Cancelled) }, ending: deploy.Cancelled},
		{name: "cancelled while baking", w: usual(), tell: func(s *story) { s.until(deploy.OpBake); s.order(deploy.KindCancel); s.back(deploy.Reverted); s.all() },
			ending: deploy.Reverted, left: []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := planned(t, c.w)
			c.tell(s)
			r := deploy.Conclude(s.state, serving(c.w, deploy.Blue, "a"), c.ending, noon())
			if got := names(r.Failed); !slices.Equal(got, c.failed) {
				t.Errorf("failed: %v, want %v", got, c.failed)
			}
			if got := names(r.Left); !slices.Equal(got, c.left) {
				t.Errorf("left: %v, want %v", got, c.left)
			}
			warm := ""
			if r.Warm != nil {
				warm = string(r.Warm.Slot) + " " + names([]deploy.Release{r.Warm.Release})[0]
				if !r.Warm.Until.Equal(noon().Add(10 * time.Minute)) {
					t.Errorf("warm until %s", r.Warm.Until)
				}
			}
			if warm != c.warm {
				t.Errorf("warm: %q, want %q", warm, c.warm)
			}
			if r.Slot != deploy.Blue || r.Serving.Commit.SHA != sha("a") {
				t.Errorf("serves %+v", r)
			}
		})
	}
}

func names(list []deploy.Release) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.Commit.SHA[:1])
	}
	return out
}

func TestANothingToDoKeepsNoLeaseAndMarksNothing(t *testing.T) {
	w := usual()
	w.want(deploy.Request{Want: deploy.WantDeploy, Commit: sha("a"), By: ann()})
	s := planned(t, w)
	r := deploy.Conclude(s.state, w.live, deploy.Succeeded, noon())
	if r.Warm != nil || len(r.Left) != 0 || len(r.Failed) != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "nothing to do") {
		t.Errorf("%+v", r)
	}
}

func TestWithoutAPlanTheReportSaysWhatServes(t *testing.T) {
	s := stages()["queued"](t)
	w := usual()
	r := deploy.Conclude(s.state, w.live, deploy.Superseded, noon())
	if !reflect.DeepEqual(r, deploy.Report{Serving: w.live.Release, Slot: deploy.Blue}) {
		t.Errorf("%+v", r)
	}
}

// counted is what a balancer that counts real traffic says of one address.
func counted(addr string, requests, failures, errors5 uint64) *deploy.Evidence {
	return &deploy.Evidence{Traffic: &deploy.Traffic{Measured: true, Counters: map[string]deploy.Counter{
		addr: {Requests: requests, Failures: failures, Errors5: errors5},
	}}}
}

func TestTheSilenceIsMeasuredByWhatCounted(t *testing.T) {
	probed := func(requests, failures int) *deploy.Evidence {
		return &deploy.Evidence{Probe: &deploy.Probe{Requests: requests, Failures: failures}}
	}
	for _, c := range []struct {
		name                        string
		evidence                    []*deploy.Evidence // of the first steps, in order
		measured                    string
		requests, failures, errors5 uint64
		line                        string
	}{
		{name: "by nobody", line: "silence not measured (set verify, or use the built-in proxy)"},
		{name: "by the proxy", evidence: []*deploy.Evidence{counted("a", 1000, 1, 2), counted("a", 13345, 1, 5)},
			measured: "proxy", requests: 12345, errors5: 3, line: "0 of 12,345 requests failed (proxy), 3 answered 5xx by the app"},
		{name: "one look is no measure", evidence: []*deploy.Evidence{counted("a", 1000, 1, 2)}, line: "silence not measured (set verify, or use the built-in proxy)"},
		{name: "a proxy that started anew counts from zero", evidence: []*deploy.Evidence{counted("a", 1000, 4, 0), counted("a", 20, 1, 0)},
			measured: "proxy", requests: 20, failures: 1, line: "1 of 20 requests failed (proxy)"},
		{name: "an address that came later", evidence: []*deploy.Evidence{counted("a", 10, 0, 0), counted("b", 7, 0, 0)},
			measured: "proxy", requests: 7, line: "0 of 7 requests failed (proxy)"},
		{name: "by probes", evidence: []*deploy.Evidence{probed(30, 0), probed(20, 2)}, measured: "verify", requests: 50, failures: 2, line: "2 of 50 requests failed (verify)"},
		{name: "a balancer that does not count", evidence: []*deploy.Evidence{{Traffic: &deploy.Traffic{}}, {Traffic: &deploy.Traffic{}}},
			line: "silence not measured (set verify, or use the built-in proxy)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := planned(t, usual())
			for _, e := range c.evidence {
				s.do(e)
			}
			r := deploy.Conclude(s.state, deploy.Live{}, deploy.Failed, noon())
			if r.Measured != c.measured || r.Requests != c.requests || r.Failures != c.failures || r.Errors5 != c.errors5 {
				t.Errorf("%q: %d requests, %d failures, %d errors", r.Measured, r.Requests, r.Failures, r.Errors5)
			}
			if got := r.Silence(); got != c.line {
				t.Errorf("%q, want %q", got, c.line)
			}
		})
	}
}

func TestProbesThatTheProxyCountedAreNotCountedTwice(t *testing.T) {
	s := planned(t, usual())
	s.do(counted("a", 100, 0, 0))
	s.do(&deploy.Evidence{Probe: &deploy.Probe{Requests: 10}})
	s.do(counted("a", 150, 0, 0))
	r := deploy.Conclude(s.state, deploy.Live{}, deploy.Failed, noon())
	if r.Measured != "proxy and verify" || r.Requests != 50 {
		t.Errorf("%q: %d requests", r.Measured, r.Requests)
	}
}

func TestADrainThatRanOutOfTimeIsTold(t *testing.T) {
	s := planned(t, usual())
	s.until(deploy.OpDrain)
	s.do(&deploy.Evidence{TimedOut: true})
	s.all()
	r := deploy.Conclude(s.state, deploy.Live{}, deploy.Succeeded, noon())
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "the blue slot still had work in flight when its drain time of 30s was over") {
		t.Errorf("%q", r.Notes)
	}
}

func TestWhatADrainHadToCloseIsTold(t *testing.T) {
	s := planned(t, usual())
	s.until(deploy.OpDrain)
	s.do(&deploy.Evidence{Note: "2 WebSockets and 1 streams were still open after 29s and were closed"})
	s.all()
	r := deploy.Conclude(s.state, deploy.Live{}, deploy.Succeeded, noon())
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "2 WebSockets") {
		t.Errorf("%q", r.Notes)
	}
}
