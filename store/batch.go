package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// batch is one write transaction shared by the calls that were waiting. Its
// changes to the picture are kept apart until it is committed.
type batch struct {
	tx     *bolt.Tx
	now    func() time.Time
	base   *picture // read only
	delta  picture
	writes int

	touched map[deploy.Target]map[deploy.HostID]bool // hosts whose record changed
}

func newBatch(tx *bolt.Tx, base *picture, now func() time.Time) *batch {
	b := &batch{tx: tx, base: base, now: now, delta: newPicture(base.counters), touched: map[deploy.Target]map[deploy.HostID]bool{}}
	b.delta.queued = base.queued
	return b
}

func (b *batch) put(bucket string, key, content []byte) error {
	b.writes++
	return b.tx.Bucket([]byte(bucket)).Put(key, seal(bucket, key, content))
}

func (b *batch) putJSON(bucket string, key []byte, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.put(bucket, key, content)
}

func (b *batch) delete(bucket string, key []byte) error {
	b.writes++
	return b.tx.Bucket([]byte(bucket)).Delete(key)
}

func (b *batch) held(id deploy.ID) *held {
	if h, ok := b.delta.open[id]; ok {
		return h
	}
	return b.base.open[id]
}

func (b *batch) env(t deploy.Target) lived {
	if e, ok := b.delta.env[t]; ok {
		return e
	}
	return b.base.env[t]
}

func (b *batch) turns(t deploy.Target) []turn {
	if w, ok := b.delta.waiting[t]; ok {
		return w
	}
	return b.base.waiting[t]
}

// record makes ev the next event of the deploy whose state so far is h (nil: a
// new one) and folds it. The deploy's place in queue and history is the caller's.
func (b *batch) record(h *held, ev deploy.Event) (*held, error) {
	env := b.env(ev.Target)
	if env.err != nil {
		return nil, damaged("record", ev.Target.String(), "the environment's record is damaged, so that nothing is done there: stop ipublish and restore the newest backup of the state folder", env.err)
	}
	var before deploy.State
	if h != nil {
		before = h.state
	}
	ev.Seq, ev.N, ev.V = b.delta.Seq+1, before.N+1, deploy.EventVersion
	ev.At = b.wall(ev.At)
	content, ev, err := normalise(ev)
	if err != nil {
		return nil, err
	}
	after := before.Apply(ev)
	if err := legal(before, after, ev); err != nil {
		return nil, err
	}
	env.live = deploy.FoldEnv(env.live, after, ev)
	if ev.Kind == deploy.KindClaimed && env.live.Active != ev.Deploy {
		return nil, &deploy.Error{Code: deploy.CodeInternal, Op: "record", Subject: ev.Deploy.String(), Message: "a claim did not hold its environment"}
	}
	b.touch(ev.Target, after.Touches(ev))
	if env.anew {
		if err := b.replaceHosts(ev.Target, env.live); err != nil {
			return nil, err
		}
		env.anew = false
	}
	return b.keep(ev, content, after, env)
}

func (b *batch) touch(t deploy.Target, hosts []deploy.HostID) {
	if len(hosts) > 0 && b.touched[t] == nil {
		b.touched[t] = map[deploy.HostID]bool{}
	}
	for _, id := range hosts {
		b.touched[t][id] = true
	}
}

func (b *batch) keep(ev deploy.Event, content []byte, after deploy.State, env lived) (*held, error) {
	b.delta.Seq = ev.Seq
	b.delta.env[ev.Target] = env
	h := &held{state: after, queued: after.Claimed.IsZero()}
	b.delta.open[ev.Deploy] = h
	b.tx.Bucket([]byte(bucketJournal)).FillPercent = 0.95 // keys only grow
	return h, errors.Join(
		b.count(after),
		b.put(bucketJournal, numberKey(ev.Seq), content),
		b.put(bucketIndex, indexKey(ev.Deploy, ev.N), numberKey(ev.Seq)))
}

// count keeps how many events a deploy has, apart from the events, until its
// summary does.
func (b *batch) count(st deploy.State) error {
	if st.Ended() {
		return nil
	}
	return b.put(bucketDeploys, deployKey(st.ID), fmt.Appendf(nil, `{"n":%d}`, st.N))
}

// wall gives a time the form in which it is stored.
func (b *batch) wall(at time.Time) time.Time {
	if at.IsZero() {
		at = b.now()
	}
	return at.Round(0).UTC()
}

// normalise returns the event's stored form and what reading it gives, so that
// what is folded now and what is folded after a restart are the same.
func normalise(ev deploy.Event) ([]byte, deploy.Event, error) {
	content, err := json.Marshal(ev)
	if err == nil {
		var stored deploy.Event
		if err = json.Unmarshal(content, &stored); err == nil {
			return content, stored, nil
		}
	}
	return nil, deploy.Event{}, &deploy.Error{Code: deploy.CodeInvalid, Op: "record", Subject: ev.Deploy.String(), Message: "the event cannot be stored", Err: err}
}

// legal refuses an event that its deploy would not survive.
func legal(before, after deploy.State, ev deploy.Event) error {
	switch {
	case before.Broken == nil && after.Broken != nil:
		return &deploy.Error{Code: deploy.CodeRefused, Op: "record", Subject: fmt.Sprintf("%s %s", ev.Deploy, ev.Kind), Message: after.Broken.Message}
	case ev.Kind == deploy.KindEnded && !after.Ended():
		return &deploy.Error{Code: deploy.CodeRefused, Op: "record", Subject: ev.Deploy.String(), Message: "a deploy whose journal is not understood can only be abandoned"}
	}
	return nil
}

// enqueue gives a deploy its place among the waiting ones.
func (b *batch) enqueue(h *held) error {
	t := h.state.Target
	w := slices.Clone(b.turns(t))
	own := turnOf(h.state.Request, h.state.ID)
	at, _ := slices.BinarySearchFunc(w, own, compareTurns)
	b.delta.waiting[t] = slices.Insert(w, at, own)
	b.delta.queued++
	return b.put(bucketQueue, deployKey(own.id), targetKey(t))
}

func (b *batch) dequeue(t deploy.Target, id deploy.ID) error {
	w := slices.Clone(b.turns(t))
	b.delta.waiting[t] = slices.DeleteFunc(w, func(x turn) bool { return x.id == id })
	b.delta.queued--
	return b.delete(bucketQueue, deployKey(id))
}

// leave takes an ended deploy out of the picture and keeps its summary.
func (b *batch) leave(h *held, was place) error {
	id := h.state.ID
	b.delta.open[id] = nil
	err := b.putJSON(bucketDeploys, deployKey(id), summary(h.state))
	if err == nil && was == inQueue {
		err = b.dequeue(h.state.Target, id)
	}
	return err
}

// place is where an open deploy is.
type place string

const (
	inQueue place = "queue"
	atWork  place = "work"
)

func (h *held) place() place {
	if h.queued {
		return inQueue
	}
	return atWork
}

// flush writes what the batch changed many times and is stored once.
func (b *batch) flush() error {
	for t, e := range b.delta.env {
		if err := b.putEnv(t, e.live, b.touched[t]); err != nil {
			return err
		}
	}
	if len(b.delta.waiting) > 0 {
		if err := b.putJSON(bucketMeta, []byte(metaQueued), b.delta.queued); err != nil {
			return err
		}
	}
	if b.delta.counters == b.base.counters {
		return nil
	}
	return b.putJSON(bucketMeta, []byte(metaCounters), b.delta.counters)
}
