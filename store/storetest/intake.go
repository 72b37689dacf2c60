package storetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

func testIntake(t *testing.T, open Open) {
	t.Run("a request becomes a queued deploy that survives a restart", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(person(production, "k1", deploy.WantDeploy))
		before := f.state(id)
		if before.Phase != deploy.PhaseQueued || before.N != 1 || before.Request.ID != id || before.Target != production {
			t.Errorf("the new deploy is %+v", before)
		}
		f.reopen()
		equal(t, "state after a restart", f.state(id), before)
		equal(t, "queue after a restart", f.waiting(production), []deploy.ID{id})
	})
	t.Run("a key that was seen is answered with the first deploy for ever", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(push(production, "github:1", "c1"))
		f.repeated(push(production, "github:1", "c1"), id)
		f.finish(id, deploy.Cancelled)
		f.reopen()
		f.repeated(push(production, "github:1", "c1"), id)
		f.repeated(push(staging, "github:1", "c9"), id)
	})
	t.Run("a push of what is queued or active is that deploy", func(t *testing.T) {
		f := begin(t, open)
		id := f.submit(push(production, "d1", "c1"))
		f.repeated(push(production, "d2", "c1"), id)
		f.claim()
		f.repeated(push(production, "d3", "c1"), id)
		f.submit(push(staging, "d4", "c1"))
		other := push(production, "d5", "c1")
		other.Ref = "release"
		f.submit(other)
		f.finish(id, deploy.Succeeded)
		f.repeated(push(production, "d3", "c1"), id)
		f.submit(push(production, "d6", "c1"))
	})
	t.Run("a newer push supersedes the waiting one but no person's", func(t *testing.T) {
		f := begin(t, open)
		typed := f.submit(person(production, "p", deploy.WantDeploy))
		old := f.submit(push(production, "d1", "c1"))
		elsewhere := f.submit(push(staging, "d2", "c1"))
		next := f.submit(push(production, "d3", "c2"))
		f.ending(old, deploy.Superseded, next)
		equal(t, "queue", f.waiting(production), []deploy.ID{typed, next})
		equal(t, "other queue", f.waiting(staging), []deploy.ID{elsewhere})
	})
	t.Run("a newer push leaves the active deploy alone", func(t *testing.T) {
		f := begin(t, open)
		active := f.submit(push(production, "d1", "c1"))
		f.claim()
		next := f.submit(push(production, "d2", "c2"))
		if st := f.state(active); !st.Active() {
			t.Errorf("the active deploy is %s", st.Phase)
		}
		equal(t, "queue", f.waiting(production), []deploy.ID{next})
	})
}

func testQueue(t *testing.T, open Open) {
	t.Run("any request supersedes waiting housekeeping", func(t *testing.T) {
		f := begin(t, open)
		retire := f.submit(person(production, "lease", deploy.WantRetire))
		typed := f.submit(person(production, "p", deploy.WantDeploy))
		f.ending(retire, deploy.Superseded, typed)
		late := f.submit(person(production, "lease2", deploy.WantRetire))
		equal(t, "queue", f.waiting(production), []deploy.ID{typed, late})
	})
	t.Run("the queue has urgent ones first and housekeeping last", func(t *testing.T) {
		f := begin(t, open)
		a := f.submit(person(production, "a", deploy.WantDeploy))
		b := f.submit(person(production, "b", deploy.WantDeploy))
		r := f.submit(person(production, "r", deploy.WantRollback))
		h := f.submit(person(production, "h", deploy.WantRetire))
		x := f.submit(person(production, "x", deploy.WantAccept))
		f.ending(h, deploy.Superseded, x)
		h = f.submit(person(production, "h2", deploy.WantRetire))
		want := []deploy.ID{r, x, a, b, h}
		equal(t, "queue", f.waiting(production), want)
		f.reopen()
		equal(t, "queue after a restart", f.waiting(production), want)
	})
	t.Run("numbers are never given twice", testNumbers(open))
	t.Run("a crowd gets one deploy a key", testCrowd(open))
	t.Run("a request without a target or with an endless key is refused", func(t *testing.T) {
		f := begin(t, open)
		for _, r := range []deploy.Request{{App: "shop", Key: "k"}, {Env: "production", Key: "k"}, push(production, strings.Repeat("k", 5000), "c")} {
			_, _, err := f.Submit(f.ctx, r)
			wantCode(t, err, deploy.CodeInvalid)
		}
		equal(t, "events", f.LastSeq(), 0)
	})
	t.Run("a request whose caller is gone is not queued", func(t *testing.T) {
		f := begin(t, open)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, _, err := f.Submit(ctx, push(production, "k", "c"))
		wantCode(t, err, deploy.CodeCancelled)
		equal(t, "queue", f.waiting(production), nil)
	})
}

// repeated submits a request that is to be taken for the deploy id.
func (f *fixture) repeated(r deploy.Request, id deploy.ID) {
	f.t.Helper()
	seq := f.LastSeq()
	got, fresh, err := f.Submit(f.ctx, r)
	must(f.t, err)
	if got != id || fresh || f.LastSeq() != seq {
		f.t.Errorf("Submit(%q) = %v, fresh %v, %d events; want %v again and no event", r.Key, got, fresh, f.LastSeq()-seq, id)
	}
}

func testNumbers(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		var last deploy.ID
		for i := range 5 {
			id := f.submit(person(production, key(i), deploy.WantDeploy))
			if id <= last {
				t.Fatalf("%v follows %v", id, last)
			}
			last = id
			f.finish(id, deploy.Cancelled)
			f.reopen()
		}
	}
}

func testCrowd(open Open) func(t *testing.T) {
	return func(t *testing.T) {
		f := begin(t, open)
		const keys, each = 40, 5
		var mu sync.Mutex
		got, fresh := map[string]deploy.ID{}, 0
		var all sync.WaitGroup
		for i := range keys * each {
			all.Go(func() {
				r := person(production, key(i%keys), deploy.WantDeploy)
				r.At = time.Unix(int64(i), 0)
				id, isFresh, err := f.Submit(f.ctx, r)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if known, ok := got[r.Key]; ok && known != id {
					t.Errorf("key %s led to %v and %v", r.Key, known, id)
				}
				got[r.Key] = id
				if isFresh {
					fresh++
				}
			})
		}
		all.Wait()
		equal(t, "new deploys", fresh, keys)
		equal(t, "queue length", len(f.waiting(production)), keys)
		equal(t, "events", f.LastSeq(), keys)
	}
}
