package store

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"ipublish/deploy"
)

// held is one deploy that has not ended.
type held struct {
	state  deploy.State
	queued bool  // not claimed yet
	err    error // deploy.CodeDamaged: its journal cannot be read
}

// lived is one environment.
type lived struct {
	live deploy.Live
	anew bool  // folded from the journal: its stored records are not to be trusted
	err  error // deploy.CodeDamaged: nothing is claimed or recorded there
}

// turn is a place in a queue: urgent first, then by ID, housekeeping last.
type turn struct {
	rank int
	id   deploy.ID
}

func turnOf(r deploy.Request, id deploy.ID) turn {
	switch {
	case r.Urgent():
		return turn{0, id}
	case r.Housekeeping():
		return turn{2, id}
	}
	return turn{1, id}
}

func compareTurns(a, b turn) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.id, b.id))
}

func compareTargets(a, b deploy.Target) int {
	return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Env, b.Env))
}

// picture is what the Store knows without reading: the last numbers, the deploys
// that have not ended and the environments. Values are replaced, never changed.
type picture struct {
	counters
	queued  int                 // in the queue, readable or not
	open    map[deploy.ID]*held // nil in a batch: ended by it
	env     map[deploy.Target]lived
	waiting map[deploy.Target][]turn // readable deploys only
}

func newPicture(c counters) picture {
	return picture{
		counters: c,
		open:     map[deploy.ID]*held{},
		env:      map[deploy.Target]lived{},
		waiting:  map[deploy.Target][]turn{},
	}
}

// merge takes over what a committed batch changed.
func (p *picture) merge(delta picture) {
	p.counters, p.queued = delta.counters, delta.queued
	maps.Copy(p.open, delta.open)
	maps.Copy(p.env, delta.env)
	maps.Copy(p.waiting, delta.waiting)
	for id := range delta.open {
		if p.open[id] == nil {
			delete(p.open, id)
		}
	}
	for t := range delta.waiting {
		if len(p.waiting[t]) == 0 {
			delete(p.waiting, t)
		}
	}
}

func (p *picture) states(t deploy.Target) ([]deploy.State, error) {
	var out []deploy.State
	for _, w := range p.waiting[t] {
		out = append(out, p.open[w.id].state)
	}
	return out, p.unreadable(t)
}

// unreadable names the waiting deploys of a target whose journal is damaged.
func (p *picture) unreadable(t deploy.Target) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(p.open)) {
		if h := p.open[id]; h.queued && h.state.Target == t {
			errs = append(errs, h.err)
		}
	}
	return errors.Join(errs...)
}

func (p *picture) active() ([]deploy.ID, error) {
	var ids []deploy.ID
	var errs []error
	for id, h := range p.open {
		if !h.queued {
			ids = append(ids, id)
		}
	}
	for _, t := range p.targets() {
		errs = append(errs, p.env[t].err)
	}
	slices.Sort(ids)
	return ids, errors.Join(errs...)
}

func (p *picture) targets() []deploy.Target {
	return slices.SortedFunc(maps.Keys(p.env), compareTargets)
}

func (p *picture) lives() ([]deploy.Live, error) {
	var out []deploy.Live
	var errs []error
	for _, t := range p.targets() {
		if e := p.env[t]; e.err != nil {
			errs = append(errs, e.err)
		} else {
			out = append(out, e.live)
		}
	}
	return out, errors.Join(errs...)
}
