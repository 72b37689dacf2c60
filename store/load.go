package store

import (
	"bytes"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// load builds the picture from the database. What cannot be read is found again
// in the journal where that is possible, else it is marked and hides nothing else.
func load(tx *bolt.Tx, c counters) picture {
	p := newPicture(c)
	for _, t := range targetsOf(tx) {
		p.env[t] = loadEnvironment(tx, t)
	}
	for _, t := range p.targets() {
		if id := p.env[t].live.Active; id != 0 {
			p.open[id] = loadHeld(tx, id, t)
		}
	}
	loadQueue(tx, &p)
	return p
}

// targetsOf returns every target that has an environment's record or a deploy.
func targetsOf(tx *bolt.Tx) []deploy.Target {
	var out []deploy.Target
	cur := tx.Bucket([]byte(bucketEnv)).Cursor()
	for k, _ := cur.First(); k != nil; k, _ = cur.Next() {
		if !isHostKey(k) {
			out = append(out, parseTargetKey(k))
		}
	}
	cur = tx.Bucket([]byte(bucketTargets)).Cursor()
	for k, _ := cur.First(); len(k) > 8; {
		prefix := k[:len(k)-8]
		out = append(out, parseTargetKey(prefix[:len(prefix)-1]))
		k, _ = cur.Seek(append(bytes.Clone(prefix), deployKey(^deploy.ID(0))...))
	}
	slices.SortFunc(out, compareTargets)
	return slices.Compact(out)
}

// loadEnvironment folds an environment anew whose record is damaged or missing,
// where its journals allow it. The record is replaced with its next event.
func loadEnvironment(tx *bolt.Tx, t deploy.Target) lived {
	live, err := readEnv(tx, t)
	if err == nil {
		return lived{live: live}
	}
	if errors.Is(err, errNoRecord) {
		err = damaged("read", t.String(), "the environment's record is missing", nil)
	}
	if live, again := rebuildLive(tx, t); again == nil && live.Seq > 0 {
		return lived{live: live, anew: true}
	}
	return lived{err: err}
}

func loadHeld(tx *bolt.Tx, id deploy.ID, t deploy.Target) *held {
	state, err := foldDeploy(tx, id)
	if err != nil {
		return &held{state: deploy.State{ID: id, Target: t}, err: err}
	}
	return &held{state: state}
}

// loadQueue reads the queue, and looks for queued deploys everywhere if it is not whole.
func loadQueue(tx *bolt.Tx, p *picture) {
	whole := true
	cur := tx.Bucket([]byte(bucketQueue)).Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		content, err := unseal(bucketQueue, k, v)
		if err != nil {
			whole = false
			continue
		}
		p.line(loadHeld(tx, deploy.ID(leading(k)), parseTargetKey(content)))
	}
	var stored int
	if err := getMeta(tx, metaQueued, &stored); err != nil || stored != p.queued || !whole {
		searchQueue(tx, p)
	}
	for t := range p.waiting {
		slices.SortFunc(p.waiting[t], compareTurns)
	}
}

// searchQueue lines up every deploy that is neither ended, active nor queued.
func searchQueue(tx *bolt.Tx, p *picture) {
	cur := tx.Bucket([]byte(bucketDeploys)).Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		id := deploy.ID(leading(k))
		var st deploy.State
		if err := unsealJSON(bucketDeploys, k, v, &st); err != nil || st.Ended() || p.open[id] != nil {
			continue
		}
		if h := loadHeld(tx, id, deploy.Target{}); h.err == nil && h.state.Claimed.IsZero() {
			p.line(h)
		}
	}
}

// line gives a deploy a place in the queue, out of turn; an unreadable one is
// known but has no turn.
func (p *picture) line(h *held) {
	h.queued = true
	id, t := h.state.ID, h.state.Target
	p.open[id] = h
	p.queued++
	if h.err == nil {
		p.waiting[t] = append(p.waiting[t], turnOf(h.state.Request, id))
	}
}
