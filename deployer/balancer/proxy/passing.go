package proxy

import (
	"errors"
	"maps"
	"net"
	"time"

	"ipublish/deploy"
)

// freeze keeps everything as it is while a successor takes over. From here on
// the answers about routes are the successor's to give, or wait for the thaw.
// deploy.CodeRefused when another one is taking over, deploy.CodeUnavailable
// when this process is ending.
func (g *registry) freeze() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.phase {
	case serving:
		g.phase = frozen
		return nil
	case frozen:
		return &deploy.Error{Code: deploy.CodeRefused, Op: "take over", Message: "another proxy is taking over: see what became of it, then try again"}
	}
	return errEnding()
}

// thaw goes on after a successor that did not take over.
func (g *registry) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == frozen {
		g.phase = serving
	}
}

// retire leaves everything but the clients that are connected to the successor.
func (g *registry) retire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = retired
	g.elders = elders{}
	for _, l := range g.lanes {
		g.admit(l, nil)
	}
	close(g.gone)
}

// abandon cuts what is still in flight after orphanGrace, unless the process was
// to end before: then that end's time counts. It blocks until then, or until left
// is closed.
func (g *registry) abandon(left <-chan struct{}) {
	if g.calm.Err() != nil {
		return
	}
	g.log.Error("the proxy that took over has ended: this one ends too, so that it is started again", "limit", orphanGrace)
	g.hurry()
	grace := time.NewTimer(orphanGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
		g.cut()
	case <-left:
	}
}

// known are the elders' processes.
func (g *registry) known() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	var pids []int
	for _, x := range g.elders.living {
		pids = append(pids, x.PID)
	}
	return pids
}

// forsake lets go of the elders: another process has them.
func (g *registry) forsake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.elders = elders{}
}

// errMoved says that another process may already know better: nothing was done,
// and who asks is to ask that one.
var errMoved = errors.New("another proxy has taken over or may do so")

// here reports why it is not this process that answers about routes. The caller
// holds the lock.
func (g *registry) here() error {
	switch g.phase {
	case serving:
		return nil
	case ending:
		return errEnding()
	}
	return errMoved
}

// answers is here for who does not hold the lock.
func (g *registry) answers() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.here()
}

// follow puts the successor's table in force for the clients that are still
// connected here: of two the one of the later turn, whenever they arrive. A route
// that came later has none.
func (g *registry) follow(o order) (status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.lanes[o.Name]
	if !ok {
		return status{}, unknownRoute(o.Name)
	}
	if o.turn < g.turns[o.Name] {
		return status{}, errTurnOver(o.Name)
	}
	g.turns[o.Name] = o.turn
	l.enforce(o.normal())
	if o.drain != nil {
		l.expire(*o.drain)
	}
	return l.status(), nil
}

// own tells of a route in this process only.
func (g *registry) own(name string) (status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.lanes[name]
	if !ok {
		return status{}, unknownRoute(name)
	}
	return l.status(), nil
}

// will is what a successor needs besides the state file, and the doors to give it.
func (g *registry) will() (will, map[string]net.Listener) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := will{Form: willForm, Routes: g.routes(), Turns: maps.Clone(g.turns), Past: g.elders.past, Elders: g.elders.living}
	doors := map[string]net.Listener{}
	for name, l := range g.lanes {
		if l.door != nil {
			doors[name] = l.door.listener
		}
	}
	return w, doors
}

// estate is what this process counted, for its successor.
func (g *registry) estate() estate {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := estate{Counts: map[string]counts{}}
	for name, l := range g.lanes {
		e.Counts[name] = l.status().Addresses
	}
	return e
}

// inherit takes what an elder counted until its end.
func (g *registry) inherit(e estate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.here(); err != nil {
		return err
	}
	g.elders.bury(e)
	return nil
}
