package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginx"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/host/local"
)

// lapTurns is how many switches a front door does before the next one's lap: a
// machine that is disturbed for a while disturbs all.
const lapTurns = 2

// TestBenchSwitch switches behind every front door under one and the same load.
func TestBenchSwitch(t *testing.T) {
	turns, rate := amount(t, switchesVar, 10), amount(t, rateVar, 1000)
	ours, reload := newRacer(t, builtIn()), newRacer(t, front{"nginx include and reload", throughNginx})
	others := []*racer{newRacer(t, nginxBefore()), newRacer(t, runtimeAPI())}
	peer := &racer{name: laneKamal}
	all := append([]*racer{ours, reload}, others...)
	if os.Getenv(kamalVar) != "" {
		peer = newRacer(t, front{laneKamal, throughKamal})
		all = append(all, peer)
	}
	table := newTable(t, fmt.Sprintf("%d switches under %d keep-alive POSTs/s with idle gaps, %d/s on a connection each, ten 3-second requests in flight; times from the call of the switch", turns, rate, rate/10))
	for done := 0; done < turns; done += lapTurns {
		for _, r := range all {
			r.lap(rate)
		}
	}
	table.row(ours.lossRow(peer))
	for _, r := range others {
		table.row(r.lossRow(ours))
	}
	reload.reloadRows(table)
	table.row(ours.firstRow(peer))
	for _, r := range append(others, reload) {
		table.row(r.besides("first answer of the new one", r.timed.first, ours, ours.timed.first))
	}
	table.row(ours.lastRow(peer))
	for _, r := range append(others, reload) {
		table.row(r.besides("last answer of the old one", r.timed.last, ours, ours.timed.last))
	}
}

// racer is a front door and what its switches came to. The times of the old one
// leave the 3-second requests out.
type racer struct {
	t       *testing.T
	name    string
	pair    *pair
	timed   stopwatch
	loads   []*load
	command time.Duration // of a time, what starting the peer's command alone takes
}

func newRacer(t *testing.T, f front) *racer {
	t.Helper()
	rig := newBenchRig(t)
	pairs := newPairs(t, rig, 1)
	f.open(rig, pairs)
	r := &racer{t: t, name: f.name, pair: pairs[0]}
	r.pair.route()
	if k, ok := r.pair.by.(kamalDeploys); ok {
		r.command = k.alone(t.Context())
	}
	r.timed = stopwatch{switcher: r.pair.by, pair: r.pair}
	r.pair.by = &r.timed
	return r
}

// lap sends users, switches a few times, and lets all requests end.
func (r *racer) lap(rate int) {
	r.t.Helper()
	long := startLoad(r.t, r.pair.front, users{Slow: 10})
	r.pair.users = startLoad(r.t, r.pair.front, users{KeepAlive: rate, OneShot: rate / 10})
	r.loads = append(r.loads, r.pair.users, long)
	for range lapTurns {
		if err := r.pair.turn(r.t.Context()); err != nil {
			r.t.Fatalf("%s: %v", r.name, err)
		}
	}
	r.pair.users.halt()
	long.halt()
}

// lossRow wants nobody to have noticed.
func (r *racer) lossRow(peer *racer) entry {
	e := entry{
		Figure: r.name + ": lost", Ours: losses(r.loads, keepAlive, oneShot, slow),
		Goal: "0", Result: reached(len(lostBy(r.loads)) == 0),
	}
	if peer.pair != nil {
		e.Peer = peer.name + " " + losses(peer.loads, keepAlive, oneShot, slow)
	}
	for _, f := range lostBy(r.loads) {
		r.t.Errorf("%s: %s", r.name, f)
	}
	return e
}

// reloadRows print what nginx itself does to kept connections as it is.
func (r *racer) reloadRows(table *benchTable) {
	table.row(entry{
		Figure: r.name + ": lost", Ours: losses(r.loads, oneShot, slow),
		Goal: "0", Result: reached(len(lostBy(r.loads, oneShot, slow)) == 0),
	})
	table.row(entry{Figure: r.name + ": lost", Ours: losses(r.loads, keepAlive), Goal: "printed as it is"})
}

// firstRow compares with the peer, of whose times the start of its command does not count.
func (r *racer) firstRow(peer *racer) entry {
	e := r.besides("first answer of the new one", r.timed.first, peer, peer.timed.first)
	e.Goal = "≤ 1 ×"
	if peer.pair == nil {
		return e
	}
	var its []float64
	for _, d := range peer.timed.first {
		its = append(its, (d - peer.command).Seconds())
	}
	ratio := against(inSeconds(r.timed.first), its)
	e.Peer += fmt.Sprintf(", %s of it its command's start", brief(peer.command))
	e.Ratio, e.Result = fmt.Sprintf("%.2f", ratio), reached(ratio <= 1)
	return e
}

func (r *racer) lastRow(peer *racer) entry {
	return r.besides("last answer of the old one", r.timed.last, peer, peer.timed.last)
}

// besides puts times beside a peer's of the same laps.
func (r *racer) besides(what string, times []time.Duration, peer *racer, its []time.Duration) entry {
	e := entry{Figure: r.name + ": " + what, Ours: spread(times), Peer: peer.name + " " + spread(its)}
	if peer.pair == nil {
		e.Peer, e.Result = peer.name+": set "+kamalVar+" to its program", notCompared
		return e
	}
	e.Ratio = ratioOf(middle(inSeconds(times)), middle(inSeconds(its)))
	return e
}

func inSeconds(times []time.Duration) []float64 {
	var out []float64
	for _, d := range times {
		out = append(out, d.Seconds())
	}
	return out
}

// spread prints median, least and greatest.
func spread(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s–%s)", brief(middle(times)), brief(slices.Min(times)), brief(slices.Max(times)))
}

// stopwatch notes of each switch, from its call, when the first answer of the
// new one came and the last one of the old.
type stopwatch struct {
	switcher
	pair        *pair
	first, last []time.Duration
}

func (w *stopwatch) over(ctx context.Context, to, from *instance) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	var first, last time.Duration
	began := time.Now()
	watching.Go(func() { first, last = w.watch(ctx, began, to.version(), from.version()) })
	err := w.switcher.over(ctx, to, from)
	cancel()
	watching.Wait()
	if err == nil && first == 0 {
		err = fmt.Errorf("%s drained before %s answered", from.version(), to.version())
	}
	w.first, w.last = append(w.first, first), append(w.last, last)
	return err
}

// watch looks each millisecond until ctx ends.
func (w *stopwatch) watch(ctx context.Context, began time.Time, to, from string) (first, last time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	news, olds := w.pair.users.answered(to), w.pair.users.answered(from)
	for {
		at := time.Since(began)
		if first == 0 && w.pair.users.answered(to) > news {
			first = at
		}
		if n := w.pair.users.answered(from); n > olds {
			olds, last = n, at
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return first, last
		}
	}
}

// throughNginx makes nginx itself the balancer of the only pair.
func throughNginx(r *rig, pairs []*pair) {
	r.t.Helper()
	h, err := local.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	n := nginxtest.Start(r.t, nginxtest.Options{HTTP: "    keepalive_requests 1000000;", Initial: []string{pairs[0].live.addr()}})
	d, err := nginx.New(n.Settings(nil), deploy.Target{App: "shop", Env: "production"}, h)
	if err != nil {
		r.t.Fatal(err)
	}
	pairs[0].front, pairs[0].by = strings.TrimSuffix(n.URL, "/"), &driven{driver: d}
}

// kamalDeploys switches by kamal-proxy's own command.
type kamalDeploys struct{ *kamal }

// throughKamal starts the binary that kamalVar names before the only pair.
func throughKamal(r *rig, pairs []*pair) {
	r.t.Helper()
	k := kamalDeploys{newKamal(r.t)}
	startBeside(r.t, k.environ, k.argv[0], k.argv[1:]...)
	eventually(r.t, startLimit, "kamal-proxy answers its command", func() bool { return k.command(r.t.Context(), "list").Run() == nil })
	pairs[0].front, pairs[0].by = strings.TrimSuffix(k.url, "/"), k
}

func (k kamalDeploys) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.program, args...)
	cmd.Env = append(os.Environ(), k.environ...)
	return cmd
}

// over is its deploy, which checks, switches and drains.
func (k kamalDeploys) over(ctx context.Context, to, _ *instance) error {
	out, err := k.command(ctx, "deploy", "shop", "--target", to.addr(), "--health-check-path", "/healthz", "--drain-timeout", drainLimit.String()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kamal-proxy deploy: %w: %s", err, out)
	}
	return nil
}

// alone is how long the command takes when it asks for nothing that takes time.
func (k kamalDeploys) alone(ctx context.Context) time.Duration {
	var took []time.Duration
	for range 10 {
		began := time.Now()
		if k.command(ctx, "list").Run() == nil {
			took = append(took, time.Since(began))
		}
	}
	return middle(took)
}
