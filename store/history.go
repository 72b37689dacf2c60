package store

import (
	"bytes"
	"errors"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// State returns the folded state of a deploy, whole also after its end.
// deploy.CodeNotFound: there is none. deploy.CodeDamaged: its journal is.
func (s *Store) State(id deploy.ID) (st deploy.State, err error) {
	if h := s.openDeploy(id); h != nil {
		return h.state, s.orClosed("read", h.err)
	}
	err = s.read("read", id.String(), func(tx *bolt.Tx) (err error) {
		st, err = foldDeploy(tx, id)
		return err
	})
	return st, err
}

func (s *Store) openDeploy(id deploy.ID) *held {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.picture.open[id]
}

// History returns at most limit deploys with an ID below before (0: all), newest
// first; of one target unless t is nil. Ended ones carry no steps, outcomes,
// undo plan, settings or logs: State has them.
//
// deploy.CodeDamaged tells of deploys that cannot be read; the others are right.
func (s *Store) History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error) {
	var states []deploy.State
	var unreadable []error
	err := s.read("history", "", func(tx *bolt.Tx) error {
		for id := range newestFirst(tx, t, before) {
			if len(states) >= limit {
				return nil
			}
			st, err := s.listed(tx, id)
			if err != nil {
				unreadable = append(unreadable, err)
				continue
			}
			states = append(states, st)
		}
		return nil
	})
	return states, errors.Join(err, errors.Join(unreadable...))
}

// newestFirst yields the deploys of a target, or of all, below before.
func newestFirst(tx *bolt.Tx, t *deploy.Target, before deploy.ID) func(yield func(deploy.ID) bool) {
	bucket, prefix := bucketDeploys, []byte(nil)
	if t != nil {
		bucket, prefix = bucketTargets, targetPrefix(*t)
	}
	if before == 0 {
		before = ^deploy.ID(0)
	}
	return func(yield func(deploy.ID) bool) {
		cur := tx.Bucket([]byte(bucket)).Cursor()
		from := append(bytes.Clone(prefix), deployKey(before)...)
		k, _ := cur.Seek(from)
		if k == nil {
			k, _ = cur.Last()
		}
		if bytes.Compare(k, from) >= 0 {
			k, _ = cur.Prev()
		}
		for ; k != nil && bytes.HasPrefix(k, prefix); k, _ = cur.Prev() {
			if !yield(deploy.ID(leading(k[len(prefix):]))) {
				return
			}
		}
	}
}

// listed returns a deploy from the picture, its summary or, failing both, its journal.
func (s *Store) listed(tx *bolt.Tx, id deploy.ID) (deploy.State, error) {
	if h := s.openDeploy(id); h != nil {
		return h.state, h.err
	}
	if st, err := readSummary(tx, id); err == nil && st.Ended() {
		return st, nil
	}
	st, err := foldDeploy(tx, id)
	if deploy.CodeOf(err) == deploy.CodeNotFound {
		err = damaged("history", id.String(), "a deploy of this number is listed but does not exist", nil)
	}
	return st, err
}

// summary is what lists tell of an ended deploy.
func summary(st deploy.State) deploy.State {
	st.Outcomes, st.Undo, st.UndoOutcomes = deploy.Outcomes{}, nil, deploy.Outcomes{}
	st.Trouble, st.Stuck = nil, nil
	if st.Plan != nil {
		plan := *st.Plan
		plan.Steps, plan.Settings, plan.Commit, plan.Baked = nil, deploy.Settings{}, -1, -1
		st.Plan = &plan
	}
	if st.Err != nil {
		short := *st.Err
		short.Log = ""
		st.Err = &short
	}
	return st
}

// Live returns the folded state of an environment; the zero Live for an unknown
// one. deploy.CodeDamaged: its record is, and nothing is done there.
func (s *Store) Live(t deploy.Target) (deploy.Live, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.picture.env[t]
	return e.live, s.orClosed("live", e.err)
}

// Lives returns every environment that has a record, sorted by app and name.
// deploy.CodeDamaged tells of those that cannot be read; the others are right.
func (s *Store) Lives() ([]deploy.Live, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, err := s.picture.lives()
	return out, s.orClosed("lives", err)
}

// Waiting returns the queue of an environment in turn: urgent first, then by ID,
// housekeeping last. deploy.CodeDamaged tells of queued deploys that cannot be
// read and are never claimed; the others are right.
func (s *Store) Waiting(t deploy.Target) ([]deploy.State, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, err := s.picture.states(t)
	return out, s.orClosed("waiting", err)
}

// Active returns the deploys that are claimed and have not ended, sorted: what a
// restart has to go on with. Reading one of them may give deploy.CodeDamaged. The
// code is returned here for environments of which it cannot be told.
func (s *Store) Active() ([]deploy.ID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids, err := s.picture.active()
	return ids, s.orClosed("active", err)
}

func (s *Store) orClosed(op string, err error) error {
	select {
	case <-s.quit:
		return closed(op)
	default:
		return err
	}
}
