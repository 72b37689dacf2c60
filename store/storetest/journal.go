package storetest

import (
	"context"
	"sync"
	"testing"

	"ipublish/deploy"
)

func testJournal(t *testing.T, open Open) {
	t.Run("an appended event is numbered, stamped and folded", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		must(t, f.Append(id, 2, deploy.Event{Kind: deploy.KindNoted, Text: "working", Seq: 77, N: 77, Deploy: 77, V: 77}))
		events, err := f.Events(f.ctx, id, 0)
		must(t, err)
		equal(t, "kinds", kinds(events), []deploy.Kind{deploy.KindRequested, deploy.KindClaimed, deploy.KindNoted})
		last := events[2]
		if last.N != 3 || last.Seq != 3 || last.Deploy != id || last.Target != production || last.V != deploy.EventVersion || !last.At.Equal(f.now()) {
			t.Errorf("the stored event is %+v", last)
		}
		equal(t, "state", f.state(id), deploy.Fold(events))
		equal(t, "environment's last event", f.live(production).Seq, 3)
	})
	t.Run("what is folded now is what a restart folds", func(t *testing.T) {
		f := begin(t, open)
		id := f.runOnce(production, "a")
		before, live := f.state(id), f.live(production)
		lives, err := f.Lives()
		must(t, err)
		f.reopen()
		equal(t, "state", f.state(id), before)
		equal(t, "environment", f.live(production), live)
		after, err := f.Lives()
		must(t, err)
		equal(t, "environments", after, lives)
	})
	t.Run("an append behind the deploy conflicts and leaves no trace", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		for _, n := range []uint64{0, 1, 3} {
			wantCode(t, f.Append(id, n, deploy.Event{Kind: deploy.KindNoted}), deploy.CodeConflict)
		}
		equal(t, "events", f.LastSeq(), 2)
	})
	t.Run("of many appends at one place exactly one succeeds", testRace(open))
}

func testLegality(t *testing.T, open Open) {
	t.Run("nothing follows the end", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		f.finish(id, deploy.Failed)
		wantCode(t, f.Append(id, 3, deploy.Event{Kind: deploy.KindNoted}), deploy.CodeConflict)
		f.ending(id, deploy.Failed, 0)
		equal(t, "environment's deploy", f.live(production).Active, 0)
	})
	t.Run("an illegal event is refused and leaves no trace", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		wantCode(t, f.Append(id, 1, deploy.Event{Kind: deploy.KindStarted}), deploy.CodeRefused)
		wantCode(t, f.Append(id, 1, deploy.Event{Kind: "dance"}), deploy.CodeRefused)
		wantCode(t, f.Append(id, 1, deploy.Event{Kind: deploy.KindClaimed}), deploy.CodeInvalid)
		wantCode(t, f.Append(id, 1, deploy.Event{Kind: deploy.KindRequested}), deploy.CodeInvalid)
		equal(t, "events", f.LastSeq(), 1)
		equal(t, "queue", f.waiting(production), []deploy.ID{id})
	})
	t.Run("an unknown deploy is not found", func(t *testing.T) {
		f := begin(t, open)
		wantCode(t, f.Append(9, 1, deploy.Event{Kind: deploy.KindNoted}), deploy.CodeNotFound)
		_, err := f.Events(f.ctx, 9, 0)
		wantCode(t, err, deploy.CodeNotFound)
		_, err = f.State(9)
		wantCode(t, err, deploy.CodeNotFound)
		live, err := f.Live(production)
		must(t, err)
		equal(t, "unknown environment", live, deploy.Live{})
	})
	t.Run("a queued deploy that is cancelled leaves the queue", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		b := f.submit(person(production, "b", deploy.WantDeploy))
		f.finish(a, deploy.Cancelled)
		equal(t, "queue", f.waiting(production), []deploy.ID{b})
		f.reopen()
		equal(t, "queue after a restart", f.waiting(production), []deploy.ID{b})
		equal(t, "claimed", f.claim(), b)
	})
	t.Run("a waiting deploy can be resolved", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		must(t, f.Append(id, 1, deploy.Event{Kind: deploy.KindResolved, Commit: &deploy.Commit{SHA: "c7"}}))
		equal(t, "commit", f.state(id).Commit.SHA, "c7")
		f.repeated(push(production, "d1", "c7"), id)
		equal(t, "claimed", f.claim(), id)
	})
}

func testFollowing(t *testing.T, open Open) {
	t.Run("events wake the one who waits for them", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		next := start(func() ([]deploy.Event, error) { return f.Events(f.ctx, id, 2) })
		f.submit(person(staging, "other", deploy.WantDeploy))
		by := deploy.Actor{ID: "slack:U1"}
		must(t, f.Append(id, 2, deploy.Event{Kind: deploy.KindCancel, By: &by}))
		events, err := result(f, next)
		must(t, err)
		equal(t, "kinds", kinds(events), []deploy.Kind{deploy.KindCancel})
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err = f.Events(ctx, id, 3)
		wantCode(t, err, deploy.CodeCancelled)
	})
	t.Run("tail follows all deploys without a gap", testTail(open))
	t.Run("a tail with no limit is refused", func(t *testing.T) {
		f := begin(t, open)
		_, err := f.Tail(f.ctx, 0, 0)
		wantCode(t, err, deploy.CodeInvalid)
	})
}

func kinds(events []deploy.Event) []deploy.Kind {
	var out []deploy.Kind
	for _, ev := range events {
		out = append(out, ev.Kind)
	}
	return out
}

// runOnce takes a deploy from request to success, with a plan of one routed step.
func (f *fixture) runOnce(t deploy.Target, key string) deploy.ID {
	f.t.Helper()
	r := person(t, key, deploy.WantDeploy)
	r.Commit = "0123456789abcdef"
	id := f.submit(r)
	equal(f.t, "claimed", f.claim(), id)
	release := deploy.Release{App: t.App, Commit: deploy.Commit{SHA: r.Commit}, Recipe: "r", Runtime: "r"}
	plan := &deploy.Plan{Target: t, Want: r.Want, Release: release, Slot: deploy.Blue, Commit: 0, Baked: 0,
		Steps: []deploy.Step{{Op: deploy.OpRoute, Slot: deploy.Blue, Release: release, Limit: 1}}}
	traffic := &deploy.Traffic{Up: []string{"127.0.0.1:8001"}, File: "upstream.conf", SHA256: "abc"}
	for _, ev := range []deploy.Event{
		{Kind: deploy.KindPlanned, Plan: plan},
		{Kind: deploy.KindStarted, Evidence: &deploy.Evidence{Traffic: &deploy.Traffic{}}},
		{Kind: deploy.KindDone, Evidence: &deploy.Evidence{Traffic: traffic}},
		{Kind: deploy.KindEnded, Ending: deploy.Succeeded, Report: &deploy.Report{Serving: release, Slot: deploy.Blue}},
	} {
		must(f.t, f.Append(id, f.state(id).N, ev))
	}
	if live := f.live(t); live.Slot != deploy.Blue || live.Release.Key() != release.Key() || live.Active != 0 {
		f.t.Errorf("the environment after the deploy is %+v", live)
	}
	return id
}

func testRace(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		const rivals = 16
		codes := make([]deploy.Code, rivals)
		var all sync.WaitGroup
		for i := range rivals {
			all.Go(func() {
				codes[i] = deploy.CodeOf(f.Append(id, 2, deploy.Event{Kind: deploy.KindNoted, Text: key(i)}))
			})
		}
		all.Wait()
		won := 0
		for i, code := range codes {
			switch code {
			case "":
				won++
				equal(t, "the winner's note", f.state(id).Note, key(i))
			case deploy.CodeConflict:
			default:
				t.Errorf("a rival got %q", code)
			}
		}
		equal(t, "winners", won, 1)
		equal(t, "events", f.LastSeq(), 3)
	}
}

func testTail(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		const writers, each = 4, 10
		tailed := start(func() ([]deploy.Event, error) {
			var all []deploy.Event
			for after := uint64(0); after < writers*each; {
				events, err := f.Tail(f.ctx, after, 7)
				if err != nil {
					return nil, err
				}
				all = append(all, events...)
				after = events[len(events)-1].Seq
			}
			return all, nil
		})
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					if _, _, err := f.Submit(f.ctx, person(production, key(w*each+i), deploy.WantDeploy)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		events, err := result(f, tailed)
		must(t, err)
		for i, ev := range events {
			if ev.Seq != uint64(i+1) {
				t.Fatalf("event %d of the tail has Seq %d", i+1, ev.Seq)
			}
		}
		equal(t, "events", len(events), writers*each)
		equal(t, "last", f.LastSeq(), writers*each)
	}
}
