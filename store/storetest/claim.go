package storetest

import (
	"context"
	"testing"

	"ipublish/deploy"
)

func testClaim(t *testing.T, open Open) {
	t.Run("one deploy of an environment is active at a time", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		b := f.submit(person(production, "b", deploy.WantDeploy))
		c := f.submit(person(staging, "c", deploy.WantDeploy))
		one, two := f.claim(), f.claim()
		equal(t, "claimed", []deploy.ID{one, two}, []deploy.ID{a, c})
		f.active(a, c)
		equal(t, "environment's deploy", f.live(production).Active, a)
		next := start(func() (deploy.ID, error) { return f.Claim(f.ctx, first) })
		f.note(a, "working")
		f.stillBlocked(next)
		f.finish(a, deploy.Succeeded)
		id, err := result(f, next)
		must(t, err)
		equal(t, "claimed after the end", id, b)
		f.active(b, c)
	})
	t.Run("claims survive a restart and still hold their environment", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		f.submit(person(production, "b", deploy.WantDeploy))
		f.claim()
		f.reopen()
		f.active(a)
		if st := f.state(a); st.Phase != deploy.PhaseRunning || st.Claimed.IsZero() {
			t.Errorf("the claimed deploy is %s, claimed at %v", st.Phase, st.Claimed)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		next := start(func() (deploy.ID, error) { return f.Claim(ctx, first) })
		f.stillBlocked(next)
		cancel()
		_, err := result(f, next)
		wantCode(t, err, deploy.CodeCancelled)
	})
	t.Run("a claim waits for the first request", func(t *testing.T) {
		f := begin(t, open)
		next := start(func() (deploy.ID, error) { return f.Claim(f.ctx, first) })
		id := f.submit(person(production, "a", deploy.WantDeploy))
		got, err := result(f, next)
		must(t, err)
		equal(t, "claimed", got, id)
	})
}

func testAsking(t *testing.T, open Open) {
	t.Run("admit sees the environment and its queue in turn", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		r := f.submit(person(production, "r", deploy.WantRollback))
		_, err := f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict {
			equal(t, "target", q.Live.Target, production)
			equal(t, "queue", ids(q.Waiting), []deploy.ID{r, a})
			return deploy.Verdict{Take: q.Waiting[1].ID}
		})
		must(t, err)
		equal(t, "left", f.waiting(production), []deploy.ID{r})
	})
	t.Run("admit is asked about a busy environment but cannot take there", func(t *testing.T) {
		f := begin(t, open)
		active := f.submit(person(production, "a", deploy.WantDeploy))
		f.claim()
		f.submit(person(production, "b", deploy.WantDeploy))
		_, err := f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict {
			equal(t, "environment's deploy", q.Live.Active, active)
			return deploy.Verdict{Take: q.Waiting[0].ID}
		})
		wantCode(t, err, deploy.CodeInternal)
		f.active(active)
	})
	t.Run("a verdict that waits goes on to the next environment", func(t *testing.T) {
		f := begin(t, open)
		f.submit(person(production, "a", deploy.WantDeploy))
		b := f.submit(person(staging, "b", deploy.WantDeploy))
		id, err := f.Claim(f.ctx, only(staging))
		must(t, err)
		equal(t, "claimed", id, b)
	})
	t.Run("wake asks again although nothing was committed", func(t *testing.T) {
		f := begin(t, open)
		f.submit(person(production, "a", deploy.WantDeploy))
		asked, open := make(chan struct{}), make(chan bool, 1)
		open <- false
		next := start(func() (deploy.ID, error) {
			return f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict {
				if <-open {
					return first(q)
				}
				close(asked)
				return deploy.Verdict{}
			})
		})
		<-asked
		open <- true
		f.eventually("a woken claim", func() bool { f.Wake(); return len(next) > 0 })
		_, err := result(f, next)
		must(t, err)
	})
	t.Run("a lookup returns the request and changes nothing", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		seq := f.LastSeq()
		got, err := f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Lookup: q.Waiting[0].ID} })
		wantCode(t, err, deploy.CodeLookup)
		equal(t, "asked about", got, id)
		equal(t, "events", f.LastSeq(), seq)
		equal(t, "queue", f.waiting(production), []deploy.ID{id})
	})
	t.Run("a lookup of one environment starves no other", func(t *testing.T) {
		f := begin(t, open)
		f.submit(person(blog, "a", deploy.WantDeploy))
		f.submit(person(production, "b", deploy.WantDeploy))
		asked := map[deploy.Target]bool{}
		for range 2 {
			id, err := f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Lookup: q.Waiting[0].ID} })
			wantCode(t, err, deploy.CodeLookup)
			asked[f.state(id).Target] = true
		}
		equal(t, "environments", len(asked), 2)
	})
}

func testVerdicts(t *testing.T, open Open) {
	t.Run("a refused request ends with its reason and the claim goes on", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		b := f.submit(person(production, "b", deploy.WantDeploy))
		id, err := f.Claim(f.ctx, func(q deploy.Queue) deploy.Verdict {
			if q.Waiting[0].ID == a {
				return deploy.Verdict{End: a, Ending: deploy.Rejected, Err: &deploy.Error{Code: deploy.CodeRefused, Message: "not today"}}
			}
			return first(q)
		})
		must(t, err)
		equal(t, "claimed", id, b)
		f.ending(a, deploy.Rejected, 0)
		equal(t, "reason", deploy.MessageOf(f.state(a).Err), "not today")
	})
	t.Run("a stale push gives way to the tip in one step", testTip(open))
	t.Run("a stale push gives way to a tip that waits already", func(t *testing.T) {
		f := begin(t, open)
		typed := person(production, "p", deploy.WantDeploy)
		typed.Commit = "c2"
		waits := f.submit(typed)
		stale := f.submit(push(production, "d1", "c1"))
		tip := push(production, "tip:1", "c2")
		_, err := f.Claim(f.ctx, replace(stale, tip))
		must(t, err)
		f.ending(stale, deploy.Superseded, waits)
		f.repeated(tip, waits)
	})
	t.Run("a verdict about a deploy that does not wait is a defect", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "a", deploy.WantDeploy))
		for _, v := range []deploy.Verdict{{Take: 99}, {Lookup: 99}, {End: 99, Ending: deploy.Rejected}} {
			_, err := f.Claim(f.ctx, func(deploy.Queue) deploy.Verdict { return v })
			wantCode(t, err, deploy.CodeInternal)
		}
		_, err := f.Claim(f.ctx, func(deploy.Queue) deploy.Verdict { panic("a defect") })
		wantCode(t, err, deploy.CodeInternal)
		equal(t, "queue", f.waiting(production), []deploy.ID{id})
	})
	t.Run("two engines never claim the same deploy", testRivals(open))
}

func only(target deploy.Target) deploy.Admit {
	return func(q deploy.Queue) deploy.Verdict {
		if q.Waiting[0].Target != target {
			return deploy.Verdict{}
		}
		return first(q)
	}
}

// replace ends stale in favour of tip and takes anything else.
func replace(stale deploy.ID, tip deploy.Request) deploy.Admit {
	return func(q deploy.Queue) deploy.Verdict {
		for _, st := range q.Waiting {
			if st.ID == stale {
				return deploy.Verdict{End: stale, Ending: deploy.Superseded, Queue: &tip}
			}
		}
		return first(q)
	}
}

func testTip(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		stale := f.submit(push(production, "d1", "c1"))
		id, err := f.Claim(f.ctx, replace(stale, push(production, "tip:1", "c2")))
		must(t, err)
		f.ending(stale, deploy.Superseded, id)
		equal(t, "claimed commit", f.state(id).Request.Commit, "c2")
		f.repeated(push(production, "late delivery", "c2"), id)
	}
}

func testRivals(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		const deploys = 12
		claims := make(chan deploy.ID, deploys)
		for range 3 {
			start(func() (deploy.ID, error) {
				for {
					id, err := f.Claim(f.ctx, first)
					if err != nil {
						return 0, err
					}
					claims <- id
				}
			})
		}
		for i := range deploys {
			f.submit(person(production, key(i), deploy.WantDeploy))
		}
		seen := map[deploy.ID]bool{}
		for range deploys {
			id := <-claims
			if seen[id] {
				t.Fatalf("%v was claimed twice", id)
			}
			seen[id] = true
			f.active(id)
			f.finish(id, deploy.Succeeded)
		}
	}
}

func (f *fixture) active(want ...deploy.ID) {
	f.t.Helper()
	got, err := f.Active()
	must(f.t, err)
	equal(f.t, "active deploys", got, want)
}

// stillBlocked asserts that a call has not come back although the store has
// nothing to do any more.
func (f *fixture) stillBlocked(c <-chan outcome[deploy.ID]) {
	f.t.Helper()
	_, err := f.Remember("fence", f.now())
	must(f.t, err)
	select {
	case o := <-c:
		f.t.Fatalf("the call came back with %v, %v", o.value, o.err)
	default:
	}
}
