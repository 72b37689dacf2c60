package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ipublish/deploy"
)

// Behaviour is how the processes of one commit behave.
type Behaviour struct {
	Boot         time.Duration // until it listens
	Status       int           // what it answers; 0: 200
	FailsFrom    time.Duration // answers 500 from this age on; 0: never
	DiesAt       time.Duration // ends at this age; 0: never
	Restarts     time.Duration // its supervisor replaces it once, at this age; 0: never
	Flaps        int           // every so manyth check fails; 0: none
	Exits        bool          // ends at once
	Silent       bool          // never listens
	WrongRelease bool          // what was started runs something else
	NoDoor       bool          // is healthy, but the front door does not like its answers
	NoDoorFrom   time.Duration // … from this age on; 0: never
}

type machine struct {
	pids  int
	id    deploy.HostID
	addr  string
	procs map[int]*process // by port
	dirs  map[string]string
	gone  time.Time // unreachable until then, by fate
	lost  time.Time // … by a person
	epoch uint64    // newest command that was here
}

// on is the newest process of a port, dead or alive: a supervisor may have
// replaced the one that was started.
func (m *machine) on(port int) *process {
	p := m.procs[port]
	if p != nil && p.replaced(time.Now()) {
		p = p.successor()
		m.procs[port] = p
	}
	return p
}

// ports are those that hold a process, in order.
func (m *machine) ports() []int { return slices.Sorted(maps.Keys(m.procs)) }

// start makes the port of a step run its release.
func (m *machine) start(w *World, s deploy.Step, now time.Time) {
	m.pids++
	b := w.behaviours[s.Release.Commit.SHA]
	p := &process{pid: m.pids, asked: s.Release.Key(), key: s.Release.Key(), sha: s.Release.SHA256, born: now, behaviour: b, outage: &w.hands.outage}
	if b.WrongRelease {
		p.key = "0000000-wrong"
	}
	m.procs[s.Port] = p
}

type process struct {
	pid       int
	asked     string // what it was started as
	key       string // what it runs
	sha       string
	born      time.Time
	killed    time.Time // zero: it was not
	behaviour Behaviour
	outage    *span
	foreign   bool
	before    *process // what its supervisor replaced by it
	probes    int
	firstPass time.Time // in a row
	passes    int       // in a row
	proven    bool      // it was healthy for long enough, once
}

type span struct{ from, to time.Time }

func (s *span) holds(t time.Time) bool { return s != nil && !t.Before(s.from) && t.Before(s.to) }

// healthy reports whether a process would pass its check at a time.
func (p *process) healthy(at time.Time) bool {
	if p.before != nil && at.Before(p.born) {
		return p.before.healthy(at)
	}
	return p.listens(at) && p.behaviour.Flaps == 0 && p.status(at) == 200
}

func (p *process) alive(at time.Time) bool {
	if p.before != nil && at.Before(p.born) {
		return p.before.alive(at)
	}
	switch b, age := p.behaviour, at.Sub(p.born); {
	case p.foreign:
		return true
	case b.Exits, age < 0, !p.killed.IsZero() && !at.Before(p.killed):
		return false
	default:
		return (b.DiesAt == 0 || age < b.DiesAt) && !p.replaced(at)
	}
}

// replaced reports whether its supervisor started another one in its place.
func (p *process) replaced(at time.Time) bool {
	return p.behaviour.Restarts > 0 && at.Sub(p.born) >= p.behaviour.Restarts && p.killed.IsZero()
}

func (p *process) successor() *process {
	next := *p
	next.pid, next.born = p.pid+1000, p.born.Add(p.behaviour.Restarts)
	next.behaviour.Restarts, next.before = 0, p
	next.probes, next.passes, next.firstPass, next.proven = 0, 0, time.Time{}, false
	return &next
}

func (p *process) listens(at time.Time) bool {
	return p.alive(at) && !p.behaviour.Silent && at.Sub(p.born) >= p.behaviour.Boot
}

func (p *process) status(at time.Time) int {
	b := p.behaviour
	if p.outage.holds(at) || b.FailsFrom > 0 && at.Sub(p.born) >= b.FailsFrom {
		return 500
	}
	if b.Status != 0 {
		return b.Status
	}
	return 200
}

// probed answers one check and remembers it.
func (p *process) probed(at time.Time, hold time.Duration) int {
	p.probes++
	status := p.status(at)
	if p.behaviour.Flaps > 0 && p.probes%p.behaviour.Flaps == 0 {
		status = 500
	}
	if status != 200 || !p.alive(at) {
		p.passes = 0
		return status
	}
	if p.passes++; p.passes == 1 {
		p.firstPass = at
	}
	p.proven = p.proven || at.Sub(p.firstPass) >= hold
	return status
}

// last finds the newest process behind an address, dead or alive.
func (w *World) last(addr string) (*machine, *process) {
	for _, m := range w.machines {
		for _, port := range m.ports() {
			if addr == fmt.Sprintf("%s:%d", m.addr, port) {
				return m, m.on(port)
			}
		}
	}
	return nil, nil
}

// at finds the living process behind an address, and its machine.
func (w *World) at(addr string) (*machine, *process) {
	m, p := w.last(addr)
	if p == nil || !p.alive(time.Now()) {
		return nil, nil
	}
	return m, p
}

// shuts reports whether the front door does not like its answers.
func (p *process) shuts(at time.Time) bool {
	from := p.behaviour.NoDoorFrom
	return p.behaviour.NoDoor || from > 0 && at.Sub(p.born) >= from
}
