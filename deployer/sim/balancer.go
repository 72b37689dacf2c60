package sim

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// table is what will be in force.
type table struct {
	up map[string]bool
	at time.Time
	by deploy.ID
}

// Balancer is the world's own table.
type Balancer struct{ W *World }

// Route implements deployer.Balancer.
func (b Balancer) Route(ctx context.Context, s deploy.Step) error {
	return b.W.call(ctx, "balancer", func() error {
		return b.W.act(s, []deploy.Op{deploy.OpRoute, deploy.OpDrain, deploy.OpAdopt}, func() error { return b.route(s) })
	})
}

func (b Balancer) route(s deploy.Step) error {
	w := b.W
	if err := w.refused(s.Op); err != nil {
		return err
	}
	if w.hands.edited {
		return &deploy.Error{Code: deploy.CodeDrift, Op: "route", Subject: "sim.conf", Message: "edited by hand"}
	}
	next := map[string]bool{}
	for _, t := range s.Targets {
		w.known[t.Addr] = true
		if t.Up {
			next[t.Addr] = true
		}
	}
	w.checkTable(s, next)
	if w.loses() {
		return nil
	}
	w.file = fmt.Sprint(inUse(next))
	w.coming = &table{up: next, at: w.due(next), by: s.Deploy}
	w.settle()
	return nil
}

// checkTable judges what is about to be routed.
func (w *World) checkTable(s deploy.Step, next map[string]bool) {
	if len(next) == 0 {
		w.violate("I1 serve: an empty table is written by %s", s.Deploy)
	}
	if w.hands.moved && !maps.Equal(next, w.up) {
		w.violate("I18 drift: %s writes %v over what a person moved to %v", s.Deploy, inUse(next), inUse(w.up))
	}
	for _, addr := range inUse(next) {
		if !w.up[addr] {
			w.checkGate(s, addr)
		}
	}
}

func (w *World) loses() bool {
	if w.hands.lost > 0 {
		w.hands.lost--
		return true
	}
	return time.Now().Before(w.faultsEnd) && w.Rates.Lost > 0 && w.random("lost").Float64() < w.Rates.Lost
}

// due is when a table comes into force: what is on its way keeps its time.
func (w *World) due(next map[string]bool) time.Time {
	if w.coming != nil && maps.Equal(w.coming.up, next) {
		return w.coming.at
	}
	return time.Now().Add(w.Lag)
}

// settle puts what was routed into force when its time has come.
func (w *World) settle() {
	if w.coming == nil || time.Now().Before(w.coming.at) {
		return
	}
	next := w.coming
	w.coming = nil
	w.checkSwitch(next)
	w.put(maps.Keys(next.up))
}

// put makes exactly these addresses receive traffic.
func (w *World) put(addrs iter.Seq[string]) {
	next := map[string]bool{}
	for addr := range addrs {
		next[addr] = true
	}
	if !maps.Equal(next, w.up) {
		w.doorPasses = 0
	}
	r := w.random("clients")
	for _, addr := range inUse(w.up) {
		if next[addr] {
			continue
		}
		w.left[addr], w.busy[addr] = time.Now(), nil
		for range r.IntN(4) {
			w.busy[addr] = append(w.busy[addr], time.Now().Add(time.Duration(r.Int64N(int64(8*time.Second)))))
		}
	}
	w.up = next
}

func inUse(table map[string]bool) []string {
	var out []string
	for addr, up := range table {
		if up {
			out = append(out, addr)
		}
	}
	slices.Sort(out)
	return out
}

// Observe implements deployer.Balancer.
func (b Balancer) Observe(ctx context.Context, _ deploy.Step) (deploy.Evidence, error) {
	t := &deploy.Traffic{InFlight: map[string]int{}, File: "sim.conf"}
	err := b.W.call(ctx, "balancer", func() error {
		t.Up = inUse(b.W.up)
		for addr := range b.W.known {
			if !b.W.up[addr] {
				t.Down = append(t.Down, addr)
			}
			t.InFlight[addr] = b.W.inFlight(addr)
		}
		slices.Sort(t.Down)
		t.SHA256, t.Edited = hash(b.W.file), b.W.hands.edited
		return nil
	})
	return deploy.Evidence{Traffic: t}, err
}

// Front is the world's front door.
type Front struct{ W *World }

// Open implements deployer.Front.
func (f Front) Open(deploy.Verify) deployer.Door { return &door{w: f.W} }

// door is one who asks. Who keeps a connection is a passer-by, whose questions
// are no effects of a deploy: nothing crashes or goes wrong at them.
type door struct {
	w    *World
	kept atomic.Bool
}

// answerTime is what an answer to a passer-by takes.
const answerTime = 1300 * time.Microsecond

// Once implements deployer.Door.
func (d *door) Once(ctx context.Context) error {
	if d.kept.Load() {
		return d.pass(ctx)
	}
	return d.w.call(ctx, "front", func() error {
		if d.w.opens("door") {
			d.w.doorPasses++
			return nil
		}
		return closed()
	})
}

// Kept implements deployer.Door.
func (d *door) Kept(ctx context.Context) error {
	d.kept.Store(true)
	return d.pass(ctx)
}

// Close implements deployer.Door.
func (*door) Close() error { return nil }

func (d *door) pass(ctx context.Context) error {
	if !sleep(ctx, answerTime) {
		return ctx.Err()
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.w.settle()
	if d.w.opens("passers-by") {
		return nil
	}
	return closed()
}

func closed() error {
	return &deploy.Error{Code: deploy.CodeUnhealthy, Op: "probe", Subject: "5xx", Message: "502"}
}

// opens reports whether the front door answers well now.
func (w *World) opens(who string) bool {
	if w.hands.shut || !w.serves() {
		return false
	}
	for _, addr := range inUse(w.up) {
		if _, p := w.at(addr); p != nil && p.shuts(time.Now()) {
			return false
		}
	}
	return !time.Now().Before(w.faultsEnd) || w.Rates.Door == 0 || w.random(who).Float64() >= w.Rates.Door
}
