package deploy_test

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
)

// plain is a fleet of n hosts that is released one host at a time.
func plain(tb testing.TB, n int) *world {
	w, err := read(fmt.Sprintf("hosts %d\nrolling parallel=1 floor=%d\nfleet a\nwant deploy b", n, n-1))
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// rollout is a whole deploy of the world as the engine and the store would go
// through it: planned, run step by step, folded into the deploy and the
// environment. It gives the events.
func rollout(tb testing.TB, w *world) []deploy.Event {
	p, err := w.plan()
	if err != nil {
		tb.Fatal(err)
	}
	r := roller{tb: tb, live: w.live, events: make([]deploy.Event, 0, 2*len(p.Steps)+4)}
	request := w.st.Request
	r.add(deploy.Event{Kind: deploy.KindRequested, Request: &request})
	r.add(deploy.Event{Kind: deploy.KindClaimed})
	r.add(deploy.Event{Kind: deploy.KindPlanned, Plan: &p})
	for deploy.Decide(r.st).Act == deploy.ActRun {
		step, _ := r.st.StepAt(r.st.Next)
		r.add(deploy.Event{Kind: deploy.KindStarted, Step: r.st.Next, Evidence: w.seenBefore(step)})
		r.add(deploy.Event{Kind: deploy.KindDone, Step: r.st.Next, Evidence: w.seenAfter(step)})
	}
	report := deploy.Conclude(r.st, r.live, deploy.Succeeded, noon())
	r.add(deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &report})
	if r.st.Broken != nil || !r.st.Ended() || r.live.Release.Key() != w.release("b").Key() {
		tb.Fatalf("it ended %s with %s live: %v", r.st.Ending, r.live.Release.Commit.Short(), r.st.Broken)
	}
	return r.events
}

// roller folds what it is given.
type roller struct {
	tb     testing.TB
	st     deploy.State
	live   deploy.Live
	events []deploy.Event
}

func (r *roller) add(ev deploy.Event) {
	s := story{events: r.events}
	ev = s.event(ev)
	r.st = r.st.Apply(ev)
	r.live = deploy.FoldEnv(r.live, r.st, ev)
	r.events = append(r.events, ev)
}

// cost is what one deploy takes, for each of its hosts.
type cost struct{ journal, events, bytes, objects float64 }

func costOf(t *testing.T, n int) cost {
	t.Helper()
	w := plain(t, n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	events := rollout(t, w)
	runtime.ReadMemStats(&after)
	journal := 0
	for _, ev := range events {
		b, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		journal += len(b)
	}
	per := func(total float64) float64 { return total / float64(n) }
	return cost{
		journal: per(float64(journal)), events: per(float64(len(events))),
		bytes: per(float64(after.TotalAlloc - before.TotalAlloc)), objects: per(float64(after.Mallocs - before.Mallocs)),
	}
}

func TestAHostCostsTheSameAmongTenAndAmongAThousand(t *testing.T) {
	costOf(t, 10) // what is done once in a process
	ten, hundred, thousand := costOf(t, 10), costOf(t, 100), costOf(t, 1000)
	for _, c := range []struct {
		what string
		of   func(cost) float64
	}{
		{"bytes of the journal", func(c cost) float64 { return c.journal }},
		{"events", func(c cost) float64 { return c.events }},
		{"bytes allocated", func(c cost) float64 { return c.bytes }},
		{"objects allocated", func(c cost) float64 { return c.objects }},
	} {
		few, many := c.of(ten), c.of(thousand)
		t.Logf("%s for each host: %.0f of 10, %.0f of 100, %.0f of 1000 (%+.0f%%)", c.what, few, c.of(hundred), many, 100*(many/few-1))
		if math.Abs(many/few-1) > 0.2 {
			t.Errorf("%s: a host costs %.0f among 10 and %.0f among 1000", c.what, few, many)
		}
	}
}

// BenchmarkRoll measures planning and folding for one host of so many.
func BenchmarkRoll(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			w := plain(b, n)
			b.ReportAllocs()
			began := processorTime()
			for b.Loop() {
				rollout(b, w)
			}
			each := float64(b.N * n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/each, "ns/host")
			b.ReportMetric(float64(processorTime()-began)/each, "cpu-ns/host")
		})
	}
}

// processorTime is what this process has used so far: on a machine that others
// use too it tells more than the time on the clock.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
