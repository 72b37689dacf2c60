package deploy_test

import (
	"slices"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestFailuresAreToleratedAsFarAsTheyWereUsual(t *testing.T) {
	tally := func(requests, failures uint64) deploy.Tally {
		return deploy.Tally{Requests: requests, Failures: failures}
	}
	for name, c := range map[string]struct {
		max           int
		before, since deploy.Tally
		want          bool
	}{
		"none failed":                                {0, tally(50, 0), tally(300, 0), true},
		"one failed and none is allowed":             {0, tally(50, 0), tally(300, 1), false},
		"one failed and one is allowed":              {1, tally(50, 0), tally(300, 1), true},
		"two failed and one is allowed":              {1, tally(50, 0), tally(300, 2), false},
		"as many failed as before":                   {0, tally(50, 1), tally(100, 2), true},
		"more failed than before":                    {0, tally(50, 1), tally(100, 3), false},
		"nothing was asked before":                   {0, tally(0, 0), tally(10, 1), false},
		"everything failed before (a forced deploy)": {0, tally(5, 5), tally(100, 100), true},
	} {
		if got := (deploy.Verify{MaxFailures: c.max}).Tolerates(c.before, c.since); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRealTrafficIsJudgedAgainstWhatItWas(t *testing.T) {
	tally := func(requests, errors5 uint64) deploy.Tally {
		return deploy.Tally{Requests: requests, Errors5: errors5}
	}
	for name, c := range map[string]struct {
		before, since deploy.Tally
		worse, burst  bool
	}{
		"all is well":                       {tally(1000, 0), tally(1000, 0), false, false},
		"somebody's odd requests":           {tally(1000, 0), tally(10000, 9), false, false},
		"one in fifty":                      {tally(1000, 0), tally(500, 10), true, false},
		"one in fifty as before":            {tally(1000, 20), tally(1000, 20), false, false},
		"three times as often as before":    {tally(1000, 20), tally(1000, 70), true, false},
		"everything":                        {tally(1000, 0), tally(20, 20), true, true},
		"everything, as before":             {tally(1000, 900), tally(20, 20), false, true},
		"everything, and nothing is known":  {tally(0, 0), tally(10, 10), true, true},
		"a little more than a small sample": {tally(100, 1), tally(600, 15), false, false},
	} {
		if got := c.since.Worse(c.before); got != c.worse {
			t.Errorf("%s: worse %t", name, got)
		}
		if got := c.since.Burst(); got != c.burst {
			t.Errorf("%s: a burst %t", name, got)
		}
	}
}

func TestABalancerThatStartedAnewCountsFromZero(t *testing.T) {
	then := deploy.Counter{Requests: 100, Failures: 2, Errors5: 3}
	if got := (deploy.Tally{}).Count(deploy.Counter{Requests: 110, Failures: 2, Errors5: 4}, then); got.Requests != 10 || got.Failures != 0 || got.Errors5 != 1 {
		t.Errorf("%+v", got)
	}
	if got := (deploy.Tally{}).Count(deploy.Counter{Requests: 7, Failures: 1}, then); got.Requests != 7 || got.Failures != 1 {
		t.Errorf("anew: %+v", got)
	}
}

// watched journals a deploy that has switched with these windows, each in a
// record of its own.
func watched(t *testing.T, windows ...deploy.Window) deploy.State {
	t.Helper()
	s := planned(t, usual())
	s.until(deploy.OpBake)
	for _, w := range windows {
		s.add(deploy.Event{Kind: deploy.KindWatched, Evidence: &deploy.Evidence{Watch: []deploy.Window{w}}})
	}
	return s.state
}

func window(from, to int, when deploy.When, probes deploy.Tally) deploy.Window {
	at := func(s int) time.Time { return noon().Add(time.Duration(s) * time.Second) }
	return deploy.Window{When: when, From: at(from), To: at(to), Probes: probes}
}

func TestTheReportTellsPartsKindsAndGaps(t *testing.T) {
	quick, slow := deploy.Latencies{}, deploy.Latencies{}
	quick.Add(2 * time.Millisecond)
	slow.Add(40 * time.Millisecond)
	s := watched(t,
		window(0, 5, deploy.Before, deploy.Tally{Requests: 1, Latency: quick}),
		window(5, 9, deploy.During, deploy.Tally{Requests: 2, Failures: 1, Kinds: map[string]uint64{"refused": 1}, Latency: slow}),
		window(15, 20, deploy.After, deploy.Tally{Requests: 1, Latency: quick}),
	)
	r := deploy.Conclude(s, deploy.Live{}, deploy.Succeeded, noon().Add(time.Minute))
	want := []string{
		"1 of 4 requests failed (verify)",
		"p50/p99 in ms: 2/2 before, 41/41 during, 2/2 after; two versions for 1s",
		"probes that failed: refused 1",
		"nobody watched for 6s from 12:00:09 UTC on, because the bot was away",
	}
	if got := r.Lines(); !slices.Equal(got, want) {
		t.Errorf("%q\nis not\n%q", got, want)
	}
}

func TestAPauseForAPersonIsNoGap(t *testing.T) {
	resting := window(0, 5, deploy.Before, deploy.Tally{Requests: 1})
	resting.Rest = true
	s := watched(t, resting, window(600, 605, deploy.During, deploy.Tally{Requests: 1}))
	if len(s.Watched.Gaps) != 0 {
		t.Errorf("%+v", s.Watched.Gaps)
	}
}

func TestTheChartHasEveryWindowAndMove(t *testing.T) {
	s := planned(t, usual())
	s.until(deploy.OpBake)
	s.add(deploy.Event{Kind: deploy.KindWatched, Evidence: &deploy.Evidence{Watch: []deploy.Window{window(0, 5, deploy.Before, deploy.Tally{Requests: 25})}}})
	s.start()
	s.do(&deploy.Evidence{Watch: []deploy.Window{window(8, 9, deploy.After, deploy.Tally{Requests: 5})}})
	c := deploy.NewChart(s.events)
	if len(c.Windows) != 2 || len(c.Gaps) != 1 || c.Silence != nil {
		t.Errorf("%+v", c)
	}
	if len(c.Moves) != 1 || c.Moves[0].Op != deploy.OpRoute || c.Moves[0].Slot != s.state.Plan.Slot || c.Moves[0].Back {
		t.Errorf("%+v", c.Moves)
	}
}
