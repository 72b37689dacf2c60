package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/deploy"
	"ipublish/store"
)

// pastVar is how many deploys the long history has.
const pastVar = "E2E_HISTORY"

const (
	historyApps = 20
	wholeOnes   = 500 // of the newest deploys have their whole journals
)

// historyApp is the name of one of the apps of the history.
func historyApp(n int) string { return fmt.Sprintf("app%02d", n%historyApps) }

// manyApps gives the installation the apps of the history in place of its shop.
// The test listens on their ports, so that the server takes none for dead.
func manyApps(r *rig) {
	r.t.Helper()
	delete(r.config, "chat")
	repository := r.app()["repository"]
	apps := object{}
	for n := range historyApps {
		name := historyApp(n)
		apps[name] = object{
			"repository": repository, "slug": "acme/" + name, "health": object{"path": "/healthz"},
			"runtime": object{"command": object{"run": []string{"/bin/false"}, "supervisor": "session"}},
			"environments": object{"production": object{
				"branch": "main", "hosts": []any{"local"}, "release_dir": filepath.Join(r.dir, "releases"),
				"strategy": object{"blue_green": object{"slots": object{"blue": heldPort(r.t), "green": heldPort(r.t)}}},
				"balancer": object{"nginx": object{"host": "local", "upstream": name, "include": filepath.Join(r.dir, name+".conf"), "generation_listen": "127.0.0.1:9"}},
			}},
		}
	}
	r.config["apps"] = apps
}

// heldPort is one on which the test listens until its end.
func heldPort(t *testing.T) int {
	t.Helper()
	port := freePort(t)
	l, err := net.Listen("tcp", "127.0.0.1:"+itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return port
}

// sampleDeploy is the journal of a real deploy that replaced another one.
func sampleDeploy(t *testing.T) []deploy.Event {
	t.Helper()
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	var events []deploy.Event
	r.api.follow(r.push(behaviour{Version: "v2"}), func(_ deploy.State, ev deploy.Event) { events = append(events, ev) })
	r.server.stop()
	return events
}

// brieflyTold leaves of a journal what every deploy has: its request, claim, plan
// and end.
func brieflyTold(events []deploy.Event) []deploy.Event {
	kept := []deploy.Kind{deploy.KindRequested, deploy.KindClaimed, deploy.KindPlanned, deploy.KindEnded}
	return slices.DeleteFunc(slices.Clone(events), func(ev deploy.Event) bool { return !slices.Contains(kept, ev.Kind) })
}

// story is a journal of which there can be one for every commit.
type story struct {
	text   string
	commit string
}

func newStory(t testing.TB, events []deploy.Event) story {
	t.Helper()
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	return story{text: string(text), commit: events[0].Request.Commit}
}

// of is the story of the n-th commit.
func (s story) of(t testing.TB, n int) (events []deploy.Event) {
	t.Helper()
	text := strings.ReplaceAll(s.text, s.commit, bottest.Hash(fmt.Sprint("commit ", n)))
	if err := json.Unmarshal([]byte(text), &events); err != nil {
		t.Fatal(err)
	}
	return events
}

// fill makes a state folder with n ended deploys through the store itself, which
// does not wait for the disk meanwhile; the newest ones have whole journals.
func fill(t *testing.T, dir string, n int, events []deploy.Event) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	history := func(from, to int, tale story) {
		var writers sync.WaitGroup
		for app := range historyApps {
			writers.Go(func() {
				for i := from + app; i < to; i += historyApps {
					replay(t, s, deploy.Target{App: historyApp(app), Env: "production"}, fmt.Sprint("github:", i), tale.of(t, i))
				}
			})
		}
		writers.Wait()
	}
	whole := min(wholeOnes, n)
	history(0, n-whole, newStory(t, brieflyTold(events)))
	history(n-whole, n, newStory(t, events))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// footprint is what a server that is started anew takes.
type footprint struct {
	start              time.Duration // until /readyz says yes
	worker, supervisor float64       // MiB, resident
	both               float64       // MiB, pages that they share counted once
}

// startUp starts the server and measures it once it has nothing to do.
func (r *rig) startUp() footprint {
	r.t.Helper()
	began := time.Now()
	s := r.launch()
	f := footprint{start: readyAt(r).Sub(began)}
	pid, ok := s.worker()
	if !ok {
		r.t.Fatal("the server has no worker")
	}
	eventually(r.t, startLimit, "the branches were looked at", func() bool {
		return strings.Contains(read(r.t, r.log()), "branches were compared")
	})
	f.worker = settled(r.t, pid, "Rss")
	f.supervisor = memory(r.t, s.cmd.Process.Pid, "Rss")
	f.both = memory(r.t, pid, "Pss") + memory(r.t, s.cmd.Process.Pid, "Pss")
	return f
}

// readyAt waits for /readyz, looking every millisecond, and returns when it said yes.
func readyAt(r *rig) time.Time {
	r.t.Helper()
	c := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(startLimit); ; {
		if res, err := c.Get(r.hookless("/readyz")); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Now()
			}
		}
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("the server is not ready: %s", tail(r.log()))
		}
	}
}

func TestBenchState(t *testing.T) {
	n := amount(t, pastVar, 100_000)
	bench(t, fmt.Sprintf("The state folder: with %d deploys, and empty", n), func(t *testing.T, f *figures) { measureState(t, f, n) })
}

func measureState(t *testing.T, f *figures, n int) {
	events := sampleDeploy(t)
	empty, long := newRig(t, manyApps), newRig(t, manyApps)
	began := time.Now()
	fill(t, long.state(""), n, events)
	info, err := os.Stat(long.state("ipublish.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d ended deploys of %d apps, the newest %d with all %d events, the others with %d, were made through the store without sync in %s: %d MiB",
		n, historyApps, min(wholeOnes, n), len(events), len(brieflyTold(events)), time.Since(began).Round(time.Second), info.Size()>>20)

	startGoals(f, "empty", empty.starts(), 150*time.Millisecond, 35)
	empty.server.stop() // the program's pages are its own and the supervisor's only
	startGoals(f, fmt.Sprint(n), long.starts(), 500*time.Millisecond, 100)
	long.lists(f)
	long.server.stop()
	perEvent(t, f, long.state(""), events)
}

// starts measures several starts; the last server goes on.
func (r *rig) starts() []footprint {
	r.t.Helper()
	var all []footprint
	for i := range 5 {
		if i > 0 {
			r.server.stop()
		}
		all = append(all, r.startUp())
	}
	return all
}

func startGoals(f *figures, state string, all []footprint, start time.Duration, most float64) {
	var took []time.Duration
	var both []float64
	for _, one := range all {
		took = append(took, one.start)
		both = append(both, one.both)
	}
	last := all[len(all)-1]
	f.row(entry{
		Figure: state + ": start to /readyz, p50", Ours: brief(middle(took)), Goal: "≤ " + brief(start), Result: reached(middle(took) <= start),
	})
	f.row(entry{
		Figure: state + ": memory, shared pages once", Ours: fmt.Sprintf("%.1f MiB", middle(both)), Goal: fmt.Sprintf("≤ %.0f MiB", most),
		Peer:   fmt.Sprintf("RSS of the worker %.1f, of the supervisor %.1f", last.worker, last.supervisor),
		Result: reached(middle(both) <= most),
	})
}

// lists asks for histories as the command line does.
func (r *rig) lists(f *figures) {
	r.t.Helper()
	const goal = 10 * time.Millisecond
	for _, words := range []string{"history", "history -n 50", "history " + historyApp(7) + " production"} {
		var took []time.Duration
		for range 50 {
			began := time.Now()
			answer := r.api.command(words, "")
			took = append(took, time.Since(began))
			if len(strings.Split(answer.Text, "\n")) < 5 {
				r.t.Fatalf("%s: %s", words, answer.Text)
			}
		}
		f.row(entry{
			Figure: "`" + words + "` through the API, p50", Ours: brief(middle(took)), Peer: "p99 " + brief(quantile(slices.Sorted(slices.Values(took)), 0.99)),
			Goal: "≤ 10 ms", Result: reached(middle(took) <= goal),
		})
	}
}

// perEvent measures what one event costs: to fold it, and to journal it.
func perEvent(t *testing.T, f *figures, full string, events []deploy.Event) {
	n, tale := time.Duration(len(events)), newStory(t, events)
	folded := several(func(int) time.Duration { return refold(t, events) }) / n
	f.row(entry{Figure: "read and fold, an event", Ours: brief(folded)})
	plain := several(func(int) time.Duration { return plainFile(t, events) }) / n
	for _, folder := range []struct{ name, dir string }{{"the empty", t.TempDir()}, {"the full", full}} {
		s, err := store.Open(folder.dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		target := deploy.Target{App: historyApp(3), Env: "production"}
		took := several(func(i int) time.Duration { return replay(t, s, target, fmt.Sprint("bench ", i), tale.of(t, -i)) }) / n
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f.row(entry{
			Figure: "journal append to " + folder.name + " folder, fsync'd, an event", Ours: brief(took),
			Peer: "a file, append and fsync " + brief(plain), Ratio: ratioOf(took.Seconds(), plain.Seconds()),
		})
	}
}

// refold decodes the events from their stored form and folds them.
func refold(t testing.TB, events []deploy.Event) time.Duration {
	t.Helper()
	var records [][]byte
	for _, ev := range events {
		text, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, text)
	}
	began := time.Now()
	again := make([]deploy.Event, len(records))
	for i, text := range records {
		if err := json.Unmarshal(text, &again[i]); err != nil {
			t.Fatal(err)
		}
	}
	if st := deploy.Fold(again); !st.Ended() {
		t.Fatalf("the sample folds to %s", st.Phase)
	}
	return time.Since(began)
}

// several is the median of some runs.
func several(run func(i int) time.Duration) time.Duration {
	var all []time.Duration
	for i := range 20 {
		all = append(all, run(i))
	}
	return middle(all)
}
