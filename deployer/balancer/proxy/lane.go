package proxy

import (
	"sync/atomic"
	"time"
)

// lane is a route in force: its table, the addresses it has and had, and its
// door. The registry's lock guards all but the table.
type lane struct {
	route    route
	table    atomic.Pointer[table]
	backends map[string]*backend
	door     *door // nil: Listen could not be opened yet
	stays    stays
	bell     bell // rings at every failure and every change of the table
}

func newLane() *lane { return &lane{backends: map[string]*backend{}} }

// acquire takes an address for a request, which counts as in flight there until
// it is released; nil when the table has none besides the tried ones.
func (l *lane) acquire(tried []*backend) (*backend, role) {
	for {
		t := l.table.Load()
		if t == nil {
			return nil, roleAway
		}
		b, as := t.pick(tried)
		if b == nil {
			return nil, roleAway
		}
		b.inflight.Add(1)
		// Only a table still in force counts: who swapped it and then sees nothing
		// in flight can rely on it.
		if l.table.Load() == t {
			return b, as
		}
		b.inflight.Add(-1)
	}
}

// enforce puts the route in force. It returns when no new request goes to an
// address that left, and no idle connection to one that is no longer up is open.
func (l *lane) enforce(r route) {
	next := &table{up: l.members(r.Up), spare: l.members(r.Spare)}
	roles := map[*backend]role{}
	for _, b := range next.spare {
		roles[b] = roleSpare
	}
	for _, b := range next.up {
		roles[b] = roleUp
		b.role.Store(int32(roleUp))
	}
	l.route = r
	l.table.Store(next)
	for _, b := range l.backends {
		was := role(b.role.Swap(int32(roles[b])))
		if roles[b] != roleUp {
			b.transport.CloseIdleConnections()
		}
		switch {
		case roles[b] != roleAway:
			b.enter()
		case was != roleAway:
			b.leave()
		}
	}
	l.bell.ring()
}

// expire gives the tunnels and streams to addresses that left the table no more
// than this time.
func (l *lane) expire(in time.Duration) {
	for _, b := range l.backends {
		if role(b.role.Load()) == roleAway {
			b.expire(in, &l.stays)
		}
	}
}

// rest stops what waits for the end of a drain.
func (l *lane) rest() {
	for _, b := range l.backends {
		if b.drain != nil {
			b.drain.Stop()
		}
	}
}

func (l *lane) members(addrs []string) []*backend {
	members := make([]*backend, len(addrs))
	for i, a := range addrs {
		b, ok := l.backends[a]
		if !ok {
			b = newBackend(a)
			l.backends[a] = b
		}
		members[i] = b
	}
	return members
}

func (l *lane) status() status {
	s := status{route: l.route, Listening: l.door != nil, Addresses: make(map[string]addressStatus, len(l.backends))}
	for a, b := range l.backends {
		s.Addresses[a] = b.status()
	}
	return s
}
