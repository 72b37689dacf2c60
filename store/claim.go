package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"ipublish/deploy"
)

// ruling is what one round of admit came to.
type ruling struct {
	took   deploy.ID
	lookup deploy.ID
}

// targetRotation remembers whose turn it was, so that no environment starves
// another one.
type targetRotation struct{ after deploy.Target }

// Claim blocks until admit takes a request of an environment where nothing is
// active, and returns its ID, claimed and durable. admit is asked for one
// environment with waiting requests after the other, idle or not, inside the
// shared transaction: it must be quick and must not call the Store. It is asked
// again after every commit and Wake. What it ends (and queues instead) or notes is
// committed, and Claim goes on.
//
// deploy.CodeLookup: admit wants this deploy looked at first; the ID is returned
// and nothing changed. deploy.CodeInternal: admit panicked, its verdict fits no
// waiting deploy, or it took one while another is active. When ctx ends, nothing
// was claimed. Environments whose record is damaged, and waiting deploys whose
// journal is, take no part.
func (s *Store) Claim(ctx context.Context, admit deploy.Admit) (deploy.ID, error) {
	for {
		changed := s.changes()
		if s.claimable() {
			r, err := s.rule(ctx, admit)
			if err != nil || r.took != 0 {
				return r.took, err
			}
			if r.lookup != 0 {
				return r.lookup, &deploy.Error{Code: deploy.CodeLookup, Op: "claim", Subject: r.lookup.String(), Message: "its commit must be asked first"}
			}
		}
		if err := s.wait(ctx, "claim", changed); err != nil {
			return 0, err
		}
	}
}

func (s *Store) claimable() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.picture.waiting) > 0
}

func (s *Store) rule(ctx context.Context, admit deploy.Admit) (r ruling, err error) {
	err = s.write(ctx, "claim", func(b *batch) (err error) {
		r, err = b.rule(admit, s.last)
		return err
	})
	return r, err
}

// rule asks admit until it decides something for one environment.
func (b *batch) rule(admit deploy.Admit, last *targetRotation) (ruling, error) {
	for _, t := range b.contested(last.after) {
		v, err := b.ask(admit, t)
		if err != nil {
			return ruling{}, err
		}
		if v.Take == 0 && v.Lookup == 0 && v.End == 0 && v.Note == 0 {
			continue
		}
		last.after = t
		return b.obey(t, v)
	}
	return ruling{}, nil
}

// contested returns the environments with requests waiting, sorted, from the one
// that comes next.
func (b *batch) contested(after deploy.Target) []deploy.Target {
	all := maps.Clone(b.base.waiting)
	maps.Copy(all, b.delta.waiting)
	var out []deploy.Target
	for t, w := range all {
		if len(w) > 0 && b.env(t).err == nil {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, compareTargets)
	at, found := slices.BinarySearchFunc(out, after, compareTargets)
	if found {
		at++
	}
	return append(out[at:], out[:at]...)
}

func (b *batch) ask(admit deploy.Admit, t deploy.Target) (v deploy.Verdict, err error) {
	q := deploy.Queue{Live: b.env(t).live}
	for _, w := range b.turns(t) {
		q.Waiting = append(q.Waiting, b.held(w.id).state)
	}
	defer func() {
		if p := recover(); p != nil {
			err = &deploy.Error{Code: deploy.CodeInternal, Op: "claim", Subject: t.String(), Message: "admit panicked", Err: fmt.Errorf("%v", p)}
		}
	}()
	return admit(q), nil
}

func (b *batch) obey(t deploy.Target, v deploy.Verdict) (ruling, error) {
	h, err := b.waiting(t, v)
	if err != nil {
		return ruling{}, err
	}
	switch {
	case v.Take != 0:
		return ruling{took: v.Take}, b.take(h)
	case v.Lookup != 0:
		return ruling{lookup: v.Lookup}, nil
	case v.Note != 0:
		_, err := b.record(h, deploy.Event{Deploy: h.state.ID, Target: t, Kind: deploy.KindNoted, Text: v.Text})
		return ruling{}, err
	}
	return ruling{}, b.conclude(h, v)
}

// waiting returns the deploy that the verdict names.
func (b *batch) waiting(t deploy.Target, v deploy.Verdict) (*held, error) {
	id := v.Take
	if id == 0 {
		id = v.Lookup
	}
	if id == 0 {
		id = v.End
	}
	if id == 0 {
		id = v.Note
	}
	if !slices.ContainsFunc(b.turns(t), func(w turn) bool { return w.id == id }) {
		return nil, &deploy.Error{Code: deploy.CodeInternal, Op: "claim", Subject: t.String(), Message: fmt.Sprintf("admit named %s, which is not waiting there", id)}
	}
	return b.held(id), nil
}

func (b *batch) take(h *held) error {
	if active := b.env(h.state.Target).live.Active; active != 0 {
		return &deploy.Error{Code: deploy.CodeInternal, Op: "claim", Subject: h.state.Target.String(), Message: fmt.Sprintf("admit took %s while %s is active", h.state.ID, active)}
	}
	h, err := b.record(h, deploy.Event{Deploy: h.state.ID, Target: h.state.Target, Kind: deploy.KindClaimed})
	if err != nil {
		return err
	}
	return b.dequeue(h.state.Target, h.state.ID)
}

// conclude ends a waiting deploy as the verdict says, and queues what is to run instead.
func (b *batch) conclude(h *held, v deploy.Verdict) error {
	ending := deploy.Event{Ending: v.Ending, Err: v.Err}
	if v.Queue == nil {
		return b.end(h, ending)
	}
	if err := acceptable(*v.Queue); err != nil {
		return err
	}
	other, err := b.same(*v.Queue, h.state.ID)
	if err != nil {
		return err
	}
	fresh := other == 0
	if fresh {
		other = b.number()
	}
	ending.Other = other
	if err := b.end(h, ending); err != nil {
		return err
	}
	if fresh {
		return b.accept(other, *v.Queue)
	}
	return b.see(v.Queue.Key, other)
}
