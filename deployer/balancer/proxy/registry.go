package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"ipublish/deploy"
)

// registry is every route of this process. Changes come one at a time: checked,
// opened, on disk, in force, in this order.
type registry struct {
	log   *slog.Logger
	file  stateFile
	drain time.Duration
	house house
	doors sync.WaitGroup  // accept loops, and doors that are draining
	calm  context.Context // ends when the process is to end soon
	hurry context.CancelFunc
	last  context.Context // ends when it is to end now
	cut   context.CancelFunc
	gone  chan struct{} // closed when a successor has taken over

	mu      sync.Mutex
	phase   phase
	lanes   map[string]*lane
	turns   map[string]uint64 // the turn of each route
	damaged []damagedRecord
	elders  elders
}

// phase is how far a process is from its end.
type phase int

const (
	serving phase = iota
	frozen        // a successor is taking over: nothing changes until it has, or has not
	retired       // a successor has taken over: only those are served who are still connected
	ending        // nobody takes over
)

// restoreRegistry brings the routes of the state file into force. An address
// that cannot be opened does not keep the others closed; reopen tries it again.
// What a predecessor left is taken over.
func restoreRegistry(o Options, from legacy) (*registry, error) {
	file := stateFile(o.StateFile)
	routes, damaged, err := file.load()
	if err != nil {
		return nil, err
	}
	if err := from.check(routes); err != nil {
		return nil, err
	}
	g := &registry{
		log: o.Log, file: file, drain: o.Drain, damaged: damaged, gone: make(chan struct{}),
		house: house{buffers: &buffers{}, shortage: &shortage{log: o.Log}, limits: o.limits, log: o.Log},
		lanes: map[string]*lane{}, turns: from.turns(), elders: from.elders(o.Log),
	}
	g.calm, g.hurry = context.WithCancel(context.Background())
	g.last, g.cut = context.WithCancel(context.Background())
	tellDamaged(o.Log, damaged)
	for _, r := range routes {
		l := newLane()
		l.enforce(r)
		g.lanes[r.Name] = l
		if given := from.doors[r.Name]; given != nil {
			g.admit(l, newDoor(l, given, g.house))
		}
	}
	g.reopen()
	return g, nil
}

func tellDamaged(logger *slog.Logger, damaged []damagedRecord) {
	for _, d := range damaged {
		logger.Error("a record of the state file cannot be trusted: its route is not served until it is deployed again", "route", d.name, "error", d.why)
	}
}

// reopen opens every address that is not open, and reports whether all are. It
// does nothing while somebody else takes over or has.
func (g *registry) reopen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != serving {
		return false
	}
	all := true
	for _, name := range slices.Sorted(maps.Keys(g.lanes)) {
		l := g.lanes[name]
		if l.door != nil {
			continue
		}
		d, err := openDoor(l, l.route.Listen, g.house)
		if err != nil {
			g.log.Error("a route is not served", "route", name, "error", err)
			all = false
			continue
		}
		g.admit(l, d)
	}
	return all
}

// turn begins a new turn of a route; what was begun in an earlier one is not
// put into force any more, here or at an elder.
func (g *registry) turn(name string) (turn, error) {
	if _, err := deploy.ParseTarget(name); err != nil {
		return turn{}, &deploy.Error{Code: deploy.CodeInvalid, Op: "route", Subject: name, Err: err}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.here(); err != nil {
		return turn{}, err
	}
	g.turns[name]++
	return turn{g.turns[name]}, nil
}

// put brings a route into force; durable when it returns. After an error what
// was in force before is in force. deploy.CodeUnavailable when its turn is over.
func (g *registry) put(o order) (status, error) {
	o.route = o.normal()
	if err := o.check(); err != nil {
		return status{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.allow(o); err != nil {
		return status{}, err
	}
	if err := g.elders.put(o); err != nil && o.drain != nil {
		return status{}, err // else the drain tells them: until then the old addresses are served
	}
	l, known := g.lanes[o.Name]
	if !known {
		l = newLane()
	}
	if !l.route.same(o.route) || l.door == nil {
		if err := g.enforce(l, o.route); err != nil {
			return status{}, err
		}
	}
	if o.drain != nil {
		l.expire(*o.drain)
	}
	return g.status(l)
}

// enforce opens, saves and puts in force, in this order.
func (g *registry) enforce(l *lane, r route) error {
	d, err := g.doorFor(l, r.Listen)
	if err != nil {
		return err
	}
	if r.Generation = l.route.Generation; !l.route.same(r) {
		r.Generation++
	}
	if err := g.save(r); err != nil {
		if d != l.door {
			d.abandon()
		}
		return err
	}
	g.lanes[r.Name] = l
	l.enforce(r)
	g.admit(l, d)
	g.log.Info("route in force", "route", r.Name, "listen", r.Listen, "up", r.Up, "spare", r.Spare, "generation", r.Generation)
	return nil
}

// remove takes a route out of force and closes its address.
func (g *registry) remove(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.here(); err != nil {
		return err
	}
	g.turns[name]++
	l, ok := g.lanes[name]
	if !ok {
		return unknownRoute(name)
	}
	rest := slices.DeleteFunc(g.routes(), func(r route) bool { return r.Name == name })
	if err := g.file.save(rest, g.damaged); err != nil {
		return err
	}
	delete(g.lanes, name)
	g.admit(l, nil)
	g.log.Info("route removed", "route", name)
	return nil
}

func (g *registry) get(name string) (status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.here(); err != nil {
		return status{}, err
	}
	l, ok := g.lanes[name]
	if !ok {
		return status{}, unknownRoute(name)
	}
	return g.status(l)
}

func (g *registry) list() ([]status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.here(); err != nil {
		return nil, err
	}
	all := make([]status, 0, len(g.lanes))
	for _, name := range slices.Sorted(maps.Keys(g.lanes)) {
		s, err := g.status(g.lanes[name])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// status tells of a lane here and at the elders.
func (g *registry) status(l *lane) (status, error) {
	s := l.status()
	return s, g.elders.add(s)
}

// close shuts every door for new connections and refuses further changes.
func (g *registry) close() {
	g.hurry()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = ending
	for _, l := range g.lanes {
		g.admit(l, nil)
	}
	g.elders.end()
}

// wait returns when every door has drained: after a bounded time, or after the
// drain time once the process is to end.
func (g *registry) wait() {
	g.doors.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.lanes {
		l.rest()
	}
}

// admit makes d the lane's door; the one that it replaces drains on its own.
func (g *registry) admit(l *lane, d *door) {
	old := l.door
	if old == d {
		return
	}
	l.door = d
	if d != nil {
		g.doors.Go(d.serve)
	}
	if old != nil {
		old.shut()
		g.doors.Go(func() { old.fade(g.calm, g.last, g.drain) })
	}
}

// doorFor returns the lane's door where it has one at that address, else a new one.
func (g *registry) doorFor(l *lane, addr string) (*door, error) {
	if l.door != nil && l.route.Listen == addr {
		return l.door, nil
	}
	d, err := openDoor(l, addr, g.house)
	if errors.Is(err, syscall.EADDRINUSE) {
		if owner := g.samePort(addr); owner != "" {
			return nil, addressTaken(addr, owner)
		}
	}
	return d, err
}

// allow says whether the route may be set at all.
func (g *registry) allow(o order) error {
	if err := g.here(); err != nil {
		return err
	}
	if o.turn != g.turns[o.Name] {
		return errTurnOver(o.Name)
	}
	for name, l := range g.lanes {
		if name != o.Name && l.route.Listen == o.Listen {
			return addressTaken(o.Listen, name)
		}
	}
	return nil
}

func (g *registry) samePort(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	for name, l := range g.lanes {
		if _, p, _ := net.SplitHostPort(l.route.Listen); p == port && l.door != nil {
			return name
		}
	}
	return ""
}

// save writes the file with r in it; a damaged record of that name goes.
func (g *registry) save(r route) error {
	routes := slices.DeleteFunc(g.routes(), func(o route) bool { return o.Name == r.Name })
	damaged := slices.DeleteFunc(slices.Clone(g.damaged), func(d damagedRecord) bool { return d.name == r.Name })
	if err := g.file.save(append(routes, r), damaged); err != nil {
		return err
	}
	g.damaged = damaged
	return nil
}

func (g *registry) routes() []route {
	all := make([]route, 0, len(g.lanes)+1)
	for _, name := range slices.Sorted(maps.Keys(g.lanes)) {
		all = append(all, g.lanes[name].route)
	}
	return all
}

func addressTaken(addr, owner string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "listen", Subject: addr,
		Message: fmt.Sprintf("%s is listened at for %s already: choose another listen address, or remove that route with "+
			"`curl --unix-socket SOCKET -X DELETE http://proxy%s`", addr, owner, routePath(owner))}
}

func unknownRoute(name string) error {
	return &deploy.Error{Code: deploy.CodeNotFound, Op: "find route", Subject: name, Message: "the proxy has no route " + name + " yet"}
}

func errTurnOver(name string) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "route", Subject: name,
		Message: "the route was asked for anew meanwhile, so this request was not carried out: look at what is in force and ask again"}
}

func errEnding() error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "route", Message: "the proxy is ending: start it again with `ipublish proxy`"}
}

// routePath is where a route is found on the control socket.
func routePath(name string) string { return "/v1/routes/" + url.PathEscape(name) }
