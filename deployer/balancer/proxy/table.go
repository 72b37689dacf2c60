package proxy

import (
	"slices"
	"sync/atomic"
)

// table is who receives requests of a route. It never changes; a new one takes
// its place.
type table struct {
	up    []*backend // never empty
	spare []*backend
	turn  atomic.Uint32
}

// pick returns the address for a request that was refused by the tried ones:
// the up address with the least in flight, in turn among equals; when every up
// address was tried the same of the spares; nil when there is none left.
func (t *table) pick(tried []*backend) (*backend, role) {
	if len(t.up) == 1 && len(tried) == 0 {
		return t.up[0], roleUp
	}
	turn := int(t.turn.Add(1))
	if b := least(t.up, turn, tried); b != nil {
		return b, roleUp
	}
	return least(t.spare, turn, tried), roleSpare
}

func least(among []*backend, turn int, tried []*backend) *backend {
	var best *backend
	var fewest int64
	for i := range among {
		b := among[(turn+i)%len(among)]
		if slices.Contains(tried, b) {
			continue
		}
		if n := b.inflight.Load(); best == nil || n < fewest {
			best, fewest = b, n
		}
	}
	return best
}
