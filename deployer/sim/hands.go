package sim

import (
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// hands is what people and accidents do to the world, on the test's order.
type hands struct {
	outage   span                 // every process answers 500 then
	cut      map[string]time.Time // fakes that cannot be reached until then
	refusals map[deploy.Op]int    // calls to refuse for good; hooks by their name
	hooks    map[string]int       // runs of hooks
	busy     time.Time            // the idle hook says no until then
	barred   map[string]bool      // "web-1 stage": fails there for good
	lost     int                  // routes to lose
	shut     bool                 // the front door fails whatever is behind it
	moved    bool                 // a person moved traffic
	edited   bool                 // a person edited the managed file
}

func newHands() hands {
	return hands{cut: map[string]time.Time{}, refusals: map[deploy.Op]int{}, hooks: map[string]int{}, barred: map[string]bool{}}
}

// Occupy puts a foreign process that answers on a port of a host, in the place
// of what was there.
func (w *World) Occupy(host deploy.HostID, port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machines[host]
	m.pids++
	m.procs[port] = &process{pid: m.pids, born: time.Now(), foreign: true, key: deploy.AdoptedRelease("shop").Key(), outage: &w.hands.outage}
}

// Vacate ends the foreign process on a port of a host, as its owner does.
func (w *World) Vacate(host deploy.HostID, port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.machines[host].procs, port)
}

// Ran is how often a hook was run to its end, on all hosts.
func (w *World) Ran(hook string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hands.hooks[hook]
}

// BusyFor makes the idle hook say that there is background work, for so long.
func (w *World) BusyFor(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.busy = time.Now().Add(d)
}

// Kill ends what runs on a port of every host, now.
func (w *World) Kill(port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.machines {
		if p := m.on(port); p != nil && !p.foreign && p.alive(time.Now()) {
			p.killed = time.Now()
		}
	}
}

// Restart makes a supervisor replace what runs on a port of every host, now.
func (w *World) Restart(port int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.machines {
		if p := m.on(port); p != nil && !p.foreign && p.alive(time.Now()) {
			p.behaviour.Restarts = time.Since(p.born)
		}
	}
}

// Outage makes every process answer 500 for so long, as a database does that is down.
func (w *World) Outage(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.outage = span{time.Now(), time.Now().Add(d)}
}

// Cut makes a fake unreachable for so long: "balancer", "runtime:web-1", "host:web-1".
func (w *World) Cut(fake string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.cut[fake] = time.Now().Add(d)
}

// Refuse makes the next n calls for an operation fail for good.
func (w *World) Refuse(op deploy.Op, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.refusals[op] = n
}

func (w *World) refused(op deploy.Op) error {
	if w.hands.refusals[op] == 0 {
		return nil
	}
	w.hands.refusals[op]--
	return &deploy.Error{Code: deploy.CodeFailed, Op: string(op), Message: "refused for good"}
}

// LoseRoutes makes the balancer say of the next n routes that they are in force, and forget them.
func (w *World) LoseRoutes(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.lost = n
}

// ShutDoor makes the front door fail, or no longer.
func (w *World) ShutDoor(shut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.shut = shut
}

// MoveTraffic sends all traffic to these addresses, as a person does at the
// balancer. The bot must not write over it until PutBack or an accept.
func (w *World) MoveTraffic(addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	w.hands.moved = true
	w.put(slices.Values(addrs))
}

// PutBack undoes what a person did to the balancer: traffic goes to these addresses.
func (w *World) PutBack(addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(slices.Values(addrs))
	w.hands.moved = false
	if w.hands.edited {
		w.hands.edited, w.file = false, strings.TrimSuffix(w.file, byHand)
	}
}

const byHand = "\n# by hand"

// EditFile changes the balancer's managed file as a person does.
func (w *World) EditFile() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.edited, w.file = true, w.file+byHand
}

// Up lists the addresses that receive traffic now, sorted.
func (w *World) Up() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return inUse(w.up)
}
