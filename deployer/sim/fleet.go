package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Fleet makes the world one of many hosts behind a balancer that is told of one
// host at a time.
type Fleet struct {
	Floor int  // hosts that must stay healthy and in traffic
	Asked bool // the balancer itself can be asked; else only what it looks at
	Count bool // it counts what is in flight
}

// turning is a host that the balancer will treat in another way.
type turning struct {
	addr string
	up   bool
	at   time.Time
	by   deploy.ID
}

// FleetBalancer is the world's balancer of a rolling environment.
type FleetBalancer struct {
	W    *World
	Open func(host string) (deployer.Host, error)
}

// Route implements deployer.Balancer.
func (b FleetBalancer) Route(ctx context.Context, s deploy.Step) error {
	if _, err := b.Open(string(s.Targets[0].Host)); err != nil {
		return err
	}
	return b.W.call(ctx, "balancer:"+string(s.Hosts[0]), func() error {
		if b.W.barred(s.Hosts[0], s.Op) {
			return &deploy.Error{Code: deploy.CodeFailed, Op: string(s.Op), Subject: string(s.Hosts[0]), Message: "read-only file system"}
		}
		if err := b.W.reachable(b.W.machines[s.Hosts[0]]); err != nil {
			return err
		}
		return b.W.act(s, []deploy.Op{deploy.OpOut, deploy.OpIn}, func() error { return b.route(s) })
	})
}

func (b FleetBalancer) route(s deploy.Step) error {
	w := b.W
	if err := w.refused(s.Op); err != nil {
		return err
	}
	for _, t := range s.Targets {
		w.known[t.Addr] = true
		switch {
		case t.Up && !w.up[t.Addr]:
			w.checkGate(s, t.Addr)
		case !t.Up && w.up[t.Addr]:
			w.checkFloor(s, t.Addr)
			w.checkLedger(s, t.Host)
		}
		if w.loses() {
			continue
		}
		w.looks[t.Addr] = t.Up
		w.turns = slices.DeleteFunc(w.turns, func(other turning) bool { return other.addr == t.Addr && other.up != t.Up })
		if t.Up != w.up[t.Addr] && !slices.ContainsFunc(w.turns, func(other turning) bool { return other.addr == t.Addr }) {
			w.turns = append(w.turns, turning{t.Addr, t.Up, time.Now().Add(w.Lag), s.Deploy})
		}
	}
	w.turn()
	return nil
}

// checkFloor wants enough others to be healthy and in traffic when a host that
// is, is taken out (I2).
func (w *World) checkFloor(s deploy.Step, addr string) {
	now := time.Now()
	_, p := w.last(addr)
	if _, live := w.Journal(s.Deploy); live.Slot == "" || p == nil || !p.healthy(now) {
		return // nothing ever was, or it serves nobody
	}
	rest := maps.Clone(w.up)
	delete(rest, addr)
	for _, t := range w.turns {
		if !t.up {
			delete(rest, t.addr)
		}
	}
	for age := time.Duration(0); age <= floorAge; age += 500 * time.Millisecond {
		if w.count(rest, now.Add(-age)) >= w.Fleet.Floor {
			return
		}
	}
	w.violate("I2 floor: %s takes %s out, which leaves %d healthy hosts in traffic, not %d", s.Deploy, addr, w.count(rest, now), w.Fleet.Floor)
}

// floorAge is how old the bot's look at the others may be when a host leaves: it
// is taken before, and a call that is lost on the way is tried again.
const floorAge = 12 * time.Second

// checkLedger wants the entry to be durable before the host leaves.
func (w *World) checkLedger(s deploy.Step, id deploy.HostID) {
	if _, live := w.Journal(s.Deploy); live.Hosts.Get(id).Out == nil {
		w.violate("ledger: %s leaves traffic and the journal does not know why", id)
	}
}

// turn puts into force what is due.
func (w *World) turn() {
	var later []turning
	for _, t := range w.turns {
		if time.Now().Before(t.at) {
			later = append(later, t)
			continue
		}
		next := maps.Clone(w.up)
		delete(next, t.addr)
		if t.up {
			next[t.addr] = true
		}
		w.put(maps.Keys(next))
	}
	w.turns = later
}

// Observe implements deployer.Balancer: it tells of the named hosts only.
func (b FleetBalancer) Observe(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	t := &deploy.Traffic{InFlight: map[string]int{}}
	name := "balancer"
	if len(s.Hosts) == 1 {
		name += ":" + string(s.Hosts[0])
	}
	err := b.W.call(ctx, name, func() error {
		w := b.W
		w.turn()
		for _, e := range s.Targets {
			m := w.machines[e.Host]
			if !w.Fleet.Asked && w.reachable(m) != nil {
				continue // neither: it cannot be told
			}
			up := w.up[e.Addr]
			if !w.Fleet.Asked {
				up = w.looks[e.Addr]
				t.Settle = deploy.Duration(w.Lag + time.Second)
			}
			if up {
				t.Up = append(t.Up, e.Addr)
			} else {
				t.Down = append(t.Down, e.Addr)
			}
			t.InFlight[e.Addr] = -1
			if w.Fleet.Count {
				t.InFlight[e.Addr] = w.inFlight(e.Addr)
			}
		}
		return nil
	})
	slices.Sort(t.Up)
	slices.Sort(t.Down)
	return deploy.Evidence{Traffic: t}, err
}

// connections answers the engine's question for connections on a port.
func (h host) connections(port string) []byte {
	n := h.w.inFlight(h.m.addr + ":" + port)
	return []byte("table\n" + strings.Repeat("one\n", n))
}

// checkTurned wants hosts to be treated as the journal says from now on (I6).
func (w *World) checkTurned(s deploy.Step, behind func(deploy.HostID) bool) {
	w.turn()
	for _, t := range s.Targets {
		if !behind(t.Host) && !w.hands.moved && w.up[t.Addr] != t.Up {
			w.violate("I6 verified switch: the journal says that %s is %s, and it is not", t.Addr, s.Op)
		}
	}
}

// checkFleet judges the hosts of a rolling environment when all is quiet: who
// is out of traffic is in the ledger, and who is in runs what the journal says.
func (w *World) checkFleet(live deploy.Live) {
	w.turn()
	for id, m := range w.machines {
		h := live.Hosts.Get(id)
		addr := fmt.Sprintf("%s:%d", m.addr, fleetPort)
		_, p := w.last(addr)
		switch {
		case !live.Hosts.Has(id):
		case !w.up[addr] && h.Out == nil:
			w.violate("ledger: %s is out of traffic at the end and nobody says why", id)
		case w.up[addr] && h.Out != nil && !h.Out.Unproven && !w.hands.moved:
			w.violate("ledger: %s has traffic at the end, and the journal says that %s took it out", id, h.Out.By)
		case w.up[addr] && p != nil && p.alive(time.Now()) && p.key != h.Release.Key() && !p.foreign:
			w.violate("I18 explains: %s serves %s, the journal says %s", id, p.key, h.Release.Key())
		}
	}
}

// fleetPort is where the app of a rolling environment listens.
const fleetPort = 9001

// SetFleet makes the world one of these hosts (id → address) behind a balancer
// that is told of one at a time.
func (w *World) SetFleet(f Fleet, hosts map[deploy.HostID]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Fleet = &f
	for id, addr := range hosts {
		if w.machines[id] == nil {
			w.machines[id] = &machine{id: id, addr: addr, procs: map[int]*process{}, dirs: map[string]string{}}
		}
	}
}

// Bar makes every effect of an operation on a host fail for good, or no longer.
func (w *World) Bar(id deploy.HostID, op deploy.Op, barred bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands.barred[string(id)+" "+string(op)] = barred
}

func (w *World) barred(id deploy.HostID, op deploy.Op) bool {
	return w.hands.barred[string(id)+" "+string(op)]
}

// KillOn ends what runs on a host, now.
func (w *World) KillOn(id deploy.HostID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.machines[id].on(fleetPort); p != nil && p.alive(time.Now()) {
		p.killed = time.Now()
	}
}

// Lose makes a host unreachable for so long, whatever the faults do.
func (w *World) Lose(id deploy.HostID, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.machines[id].lost = time.Now().Add(d)
}

// Serving lists the hosts that are healthy and in traffic now, sorted.
func (w *World) Serving() []deploy.HostID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	var ids []deploy.HostID
	for id, m := range w.machines {
		addr := fmt.Sprintf("%s:%d", m.addr, fleetPort)
		if _, p := w.last(addr); w.up[addr] && p != nil && p.healthy(time.Now()) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
