package store

import (
	"context"
	"errors"
	"strings"

	"ipublish/deploy"
)

const longestKey = 1024

// Submit queues a request as a new deploy and returns its ID, durable. fresh is
// false when the request was accepted before: one with its Key was (whatever
// became of it), or it is automatic and a deploy of the same target, ref and
// commit is queued or active; then id is that deploy's. A request without a Key
// is never taken for an earlier one by it.
//
// In the same transaction a new automatic request supersedes the waiting
// automatic ones of its target, and any request the waiting housekeeping.
// Requests of people keep their turn.
//
// It blocks for one commit; when ctx ends first, nothing was queued.
// deploy.CodeInvalid: app or environment is missing, or the key is too long.
func (s *Store) Submit(ctx context.Context, r deploy.Request) (id deploy.ID, fresh bool, err error) {
	if err := acceptable(r); err != nil {
		return 0, false, err
	}
	err = s.write(ctx, "submit", func(b *batch) (err error) {
		id, fresh, err = b.submit(r)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return id, fresh, nil
}

func acceptable(r deploy.Request) error {
	problem := ""
	switch {
	case r.App == "" || r.Env == "":
		problem = "a request must name its app and environment"
	case strings.Contains(r.App+r.Env, "\x00"):
		problem = "the name of an app or environment cannot hold a zero byte"
	case len(r.Key) > longestKey:
		problem = "the key of the request is too long: at most 1024 bytes"
	}
	if problem == "" {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "submit", Subject: r.Target().String(), Message: problem}
}

func (b *batch) submit(r deploy.Request) (deploy.ID, bool, error) {
	id, err := b.same(r, 0)
	if err != nil {
		return 0, false, err
	}
	if id != 0 {
		return id, false, b.see(r.Key, id)
	}
	id = b.number()
	return id, true, b.accept(id, r)
}

func (b *batch) number() deploy.ID {
	b.delta.ID++
	return b.delta.ID
}

// same returns the deploy that the request is a repetition of, or 0. except is
// about to end and does not count.
func (b *batch) same(r deploy.Request, except deploy.ID) (deploy.ID, error) {
	id, err := b.seen(r.Key)
	if err != nil || id != 0 {
		return id, err
	}
	if !r.Auto || r.Commit == "" {
		return 0, nil
	}
	for _, h := range b.openOf(r.Target()) {
		if h.state.ID != except && sameWish(h.state, r) {
			return h.state.ID, nil
		}
	}
	return 0, nil
}

func sameWish(st deploy.State, r deploy.Request) bool {
	return st.Request.Want == r.Want && st.Request.Ref == r.Ref &&
		(st.Request.Commit == r.Commit || st.Commit.SHA == r.Commit)
}

// openOf returns the active deploy of a target and then the waiting ones in turn.
func (b *batch) openOf(t deploy.Target) []*held {
	var all []*held
	if h := b.held(b.env(t).live.Active); h != nil {
		all = append(all, h)
	}
	for _, w := range b.turns(t) {
		all = append(all, b.held(w.id))
	}
	return all
}

func (b *batch) seen(key string) (deploy.ID, error) {
	if key == "" {
		return 0, nil
	}
	record := b.tx.Bucket([]byte(bucketSeen)).Get([]byte(key))
	n, err := unsealNumber(bucketSeen, []byte(key), record)
	if errors.Is(err, errNoRecord) {
		return 0, nil
	}
	return deploy.ID(n), err
}

// see remembers which deploy a key led to.
func (b *batch) see(key string, id deploy.ID) error {
	known, err := b.seen(key)
	if err != nil || known != 0 || key == "" {
		return err
	}
	return b.put(bucketSeen, []byte(key), deployKey(id))
}

// accept makes the request the new deploy id.
func (b *batch) accept(id deploy.ID, r deploy.Request) error {
	if err := b.supersede(id, r); err != nil {
		return err
	}
	r.ID, r.At = id, b.wall(r.At)
	h, err := b.record(nil, deploy.Event{
		Deploy: id, Target: r.Target(), Kind: deploy.KindRequested, By: &r.By, Request: &r,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		b.enqueue(h),
		b.see(r.Key, id),
		b.put(bucketTargets, targetDeployKey(r.Target(), id), nil))
}

func (b *batch) supersede(id deploy.ID, r deploy.Request) error {
	for _, w := range b.turns(r.Target()) {
		if h := b.held(w.id); h.state.Broken == nil && supersedes(r, h.state.Request) {
			if err := b.end(h, deploy.Event{Ending: deploy.Superseded, Other: id}); err != nil {
				return err
			}
		}
	}
	return nil
}

func supersedes(next, waiting deploy.Request) bool {
	return next.Auto && waiting.Auto || waiting.Housekeeping() && !next.Housekeeping() && !next.Instant()
}

// end ends a waiting deploy without running it.
func (b *batch) end(h *held, ev deploy.Event) error {
	by := deploy.SystemActor()
	ev.Deploy, ev.Target, ev.Kind, ev.By = h.state.ID, h.state.Target, deploy.KindEnded, &by
	after, err := b.record(h, ev)
	if err != nil {
		return err
	}
	return b.leave(after, h.place())
}
