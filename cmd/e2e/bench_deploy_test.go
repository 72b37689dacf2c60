package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

// deploysVar is how many deploys each part of the bench makes.
const deploysVar = "E2E_DEPLOYS"

// The load that is in flight at a switch.
const (
	slowRequests = 3
	slowLasts    = 900 * time.Millisecond
)

// deployBench is an installation whose deploys wait for nothing but evidence.
type deployBench struct {
	*rig
	figures *figures
	deploys int
	marks   string
	last    int // number of the newest version
	lookout *lookout
}

func newDeployBench(t *testing.T, f *figures) *deployBench {
	t.Helper()
	b := &deployBench{figures: f, deploys: amount(t, deploysVar, 20)}
	b.rig = newRig(t, func(r *rig) {
		b.marks = filepath.Join(r.dir, "marks")
		if err := os.Mkdir(b.marks, 0o755); err != nil {
			t.Fatal(err)
		}
		delete(r.config, "chat")
		delete(r.env(), "channels")
		env := r.app()["env"].(object)
		delete(env, appVar)
		maps.Copy(env, object{peerVar: peerApp, marksVar: b.marks})
		r.health(object{"min_healthy_time": "0s"})
		r.blueGreen()["bake_time"] = "0s"
	})
	b.serve()
	b.deploy(0)
	return b
}

// told is one deploy with its journal.
type told struct {
	version string
	events  []deploy.Event
	state   deploy.State
}

// deploy pushes the next version, which takes boot until it listens.
func (b *deployBench) deploy(boot time.Duration) told {
	b.t.Helper()
	b.last++
	d := told{version: fmt.Sprint("v", b.last)}
	id := b.push(behaviour{Version: d.version, Boot: boot.Milliseconds()})
	return b.journal(d, id)
}

func (b *deployBench) journal(d told, id deploy.ID) told {
	b.t.Helper()
	d.state = b.api.watch(id, func(_ deploy.State, ev deploy.Event) { d.events = append(d.events, ev) }, deploy.State.Ended)
	if d.state.Ending != deploy.Succeeded {
		b.t.Fatalf("%s is %s (%v)", id, d.state.Ending, d.state.Err)
	}
	return d
}

// at is the time of the first event of a kind; of a step's, of the first step of the operation.
func (d told) at(kind deploy.Kind, op deploy.Op) time.Time {
	for _, ev := range d.events {
		step, ok := d.state.StepAt(ev.Step)
		if ev.Kind == kind && (op == "" || ok && step.Op == op) {
			return ev.At
		}
	}
	return time.Time{}
}

// committed is when the commit point lay behind the deploy.
func (d told) committed() time.Time {
	for _, ev := range d.events {
		if ev.Kind == deploy.KindDone && ev.Step == d.state.Plan.Commit {
			return ev.At
		}
	}
	return time.Time{}
}

// spent adds what each part of the deploy took: a step, or what led to an event.
func (d told) spent(parts map[string][]time.Duration) {
	sum := map[string]time.Duration{}
	for i, ev := range d.events[1:] {
		name := "before " + string(ev.Kind)
		if step, ok := d.state.StepAt(ev.Step); ok && (ev.Kind == deploy.KindDone || ev.Kind == deploy.KindStarted) {
			name = step.Name()
		}
		sum[name] += ev.At.Sub(d.events[i].At)
	}
	for name, took := range sum {
		parts[name] = append(parts[name], took)
	}
}

func TestBenchDeploy(t *testing.T) {
	bench(t, "Deploys with the built-in proxy: min_healthy_time, bake_time and keep_old are 0s, the mirror is warm, nothing is built", measureDeploys)
}

func measureDeploys(t *testing.T, f *figures) {
	b := newDeployBench(t, f)
	newest := b.whole()
	b.lookout = newLookout(t, b.frontURL())
	b.booting()
	b.draining()
	b.journalCost(newest)
	b.rollbacks()
}

// whole measures deploys of an app that listens at once.
func (b *deployBench) whole() told {
	b.t.Helper()
	var took []time.Duration
	var d told
	parts := map[string][]time.Duration{}
	for range b.deploys {
		d = b.deploy(0)
		took = append(took, d.committed().Sub(d.events[0].At))
		d.spent(parts)
	}
	slices.Sort(took)
	b.figures.row(entry{
		Figure: fmt.Sprintf("accepted push → commit point, p50 of %d deploys", b.deploys), Ours: brief(middle(took)), Peer: "p99 " + brief(quantile(took, 0.99)),
		Goal: "≤ 150 ms", Result: reached(middle(took) <= 150*time.Millisecond),
	})
	b.t.Logf("a deploy spends its time so (p50): %s", shares(parts))
	return d
}

// shares lists medians, the longest first.
func shares(parts map[string][]time.Duration) string {
	names := slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return int(middle(parts[b]) - middle(parts[a])) })
	var out []string
	for _, name := range names {
		out = append(out, name+" "+brief(middle(parts[name])))
	}
	return strings.Join(out, ", ")
}

// booting measures how soon it is seen that an app is up, and how soon it then
// gets its first request; kamal-proxy does the same where it is there.
func (b *deployBench) booting() {
	b.t.Helper()
	var ours bootTimes
	var noticed []time.Duration
	for range b.deploys {
		d := b.deploy(someBoot())
		listens, healthy := marked(b.t, b.marks, d.version, markListens), marked(b.t, b.marks, d.version, markHealthy)
		noticed = append(noticed, d.at(deploy.KindDone, deploy.OpCheck).Sub(listens))
		ours.probed = append(ours.probed, healthy.Sub(listens))
		ours.first = append(ours.first, b.lookout.seen(b.t, d.version).Sub(healthy))
	}
	theirs := b.kamal()
	slowest, mean := slices.Max(noticed), average(noticed)
	b.figures.row(entry{
		Figure: "a booting app listens → its check is done, slowest", Ours: brief(slowest), Goal: "≤ 50 ms", Result: reached(slowest <= 50*time.Millisecond),
	})
	b.figures.row(entry{Figure: "… mean", Ours: brief(mean), Goal: "≤ 25 ms", Result: reached(mean <= 25*time.Millisecond)})
	b.figures.row(entry{Figure: "… its first good probe, slowest", Ours: brief(slices.Max(ours.probed)), Peer: theirs.say(slices.Max, theirs.probed)})
	b.figures.row(entry{Figure: "… its first good probe, mean", Ours: brief(average(ours.probed)), Peer: theirs.say(average, theirs.probed)})
	e := entry{
		Figure: "first good probe → first request on the new release, p50", Ours: brief(middle(ours.first)), Goal: "≤ 1 ×",
		Peer: theirs.say(middle, theirs.first), Result: notCompared,
	}
	if len(theirs.first) > 0 {
		e.Ratio, e.Result = ratioOf(middle(ours.first).Seconds(), middle(theirs.first).Seconds()), reached(middle(ours.first) <= middle(theirs.first))
	}
	b.figures.row(e)
}

// someBoot is 0.3 to 1.3 seconds.
func someBoot() time.Duration { return 300*time.Millisecond + rand.N(time.Second) }

func average(of []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range of {
		sum += d
	}
	return sum / time.Duration(max(len(of), 1))
}

// bootTimes are those of apps that take a while until they listen: until the first
// good probe, and from it until the first request.
type bootTimes struct{ probed, first []time.Duration }

// say gives a figure of kamal-proxy's.
func (bootTimes) say(of func([]time.Duration) time.Duration, times []time.Duration) string {
	if len(times) == 0 {
		return laneKamal + ": set " + kamalVar + " to its program"
	}
	return laneKamal + " " + brief(of(times))
}

// kamal starts one app after another and tells kamal-proxy of it at once.
func (b *deployBench) kamal() (times bootTimes) {
	b.t.Helper()
	k := newKamal(b.t)
	if k == nil {
		return times
	}
	startBeside(b.t, k.environ, k.argv[0], k.argv[1:]...)
	look := newLookout(b.t, k.url)
	defer look.end()
	var old *beside
	for i := range min(b.deploys, 10) {
		version := fmt.Sprint("k", i)
		app, addr := b.appOf(behaviour{Version: version, Boot: someBoot().Milliseconds()})
		k.mustDeploy(b.t, addr, "/healthz")
		healthy := marked(b.t, b.marks, version, markHealthy)
		times.probed = append(times.probed, healthy.Sub(marked(b.t, b.marks, version, markListens)))
		times.first = append(times.first, look.seen(b.t, version).Sub(healthy))
		if old != nil {
			old.kill()
		}
		old = app
	}
	return times
}

// appOf starts the bench's app by hand.
func (b *deployBench) appOf(v behaviour) (*beside, string) {
	b.t.Helper()
	dir, port := b.t.TempDir(), itoa(freePort(b.t))
	write(b.t, filepath.Join(dir, "app.json"), v.files()["app.json"].Body)
	environ := []string{peerVar + "=" + peerApp, marksVar + "=" + b.marks, "PORT=" + port}
	return startBeside(b.t, environ, "/bin/sh", "-c", `cd "$0" && exec "$1"`, dir, testBinary(b.t)), "127.0.0.1:" + port
}

// draining measures how soon a switch is done after the slowest request that the
// old release still has, and how soon its process is gone.
func (b *deployBench) draining() {
	b.t.Helper()
	var done, gone []time.Duration
	for range max(b.deploys/2, 1) {
		live := b.api.live()
		old := live.Slots[live.Slot].Instances[0].PID
		ended, left := b.slowOnes(), goneAt(old)
		d := b.deploy(0)
		drained := d.at(deploy.KindDone, deploy.OpDrain)
		done = append(done, drained.Sub(<-ended))
		gone = append(gone, (<-left).Sub(drained))
	}
	slices.Sort(done)
	slices.Sort(gone)
	last := len(done) - 1
	b.figures.row(entry{
		Figure: "switch done after the slowest request in flight, slowest", Ours: brief(done[last]), Peer: "p50 " + brief(middle(done)), Goal: "≤ 10 ms",
		Result: reached(done[last] <= 10*time.Millisecond),
	})
	b.figures.row(entry{
		Figure: "old process gone after that, slowest", Ours: brief(gone[last]), Peer: "p50 " + brief(middle(gone)), Goal: "≤ 100 ms",
		Result: reached(gone[last] <= 100*time.Millisecond),
	})
}

// slowOnes sends the slow requests and tells when the last one had its answer.
func (b *deployBench) slowOnes() <-chan time.Time {
	ended := make(chan time.Time, 1)
	var all sync.WaitGroup
	for range slowRequests {
		all.Go(func() {
			c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			if whoAnswers(context.Background(), c, fmt.Sprintf("%s/slow?ms=%d", b.frontURL(), slowLasts.Milliseconds())) == "" {
				b.t.Error("a slow request was lost")
			}
		})
	}
	go func() {
		all.Wait()
		ended <- time.Now()
	}()
	return ended
}

// goneAt tells when a process is no more.
func goneAt(pid int) <-chan time.Time {
	gone := make(chan time.Time, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for alive(pid) {
			<-tick.C
		}
		gone <- time.Now()
	}()
	return gone
}

// rollbacks measures rollbacks while the old release is warm.
func (b *deployBench) rollbacks() {
	b.t.Helper()
	b.rewrite(func() { b.blueGreen()["keep_old"] = "5m" })
	var took []time.Duration
	for range b.deploys {
		b.last++
		old := whoAnswers(b.t.Context(), http.DefaultClient, b.frontURL())
		version := fmt.Sprint("v", b.last)
		sha := b.commit(behaviour{Version: version})
		b.api.ends(b.api.command("deploy shop "+sha, "").Deploy, deploy.Succeeded)
		b.lookout.seen(b.t, version)
		b.lookout.forget(old)
		id := b.api.command("rollback shop production", "").Deploy
		acknowledged := time.Now()
		took = append(took, max(b.lookout.seen(b.t, old).Sub(acknowledged), 0))
		b.api.ends(id, deploy.Succeeded)
	}
	slices.Sort(took)
	slowest := took[len(took)-1]
	b.figures.row(entry{
		Figure: fmt.Sprintf("rollback to the warm slot: ack → first request, p50 of %d", len(took)), Ours: brief(middle(took)), Goal: "≤ 100 ms",
		Result: reached(middle(took) <= 100*time.Millisecond),
	})
	b.figures.row(entry{Figure: "… slowest", Ours: brief(slowest), Goal: "≤ 1 s", Result: reached(slowest <= time.Second)})
}
