package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
	"ipublish/store"
	"ipublish/store/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) storetest.Store {
		return open(t, dir, store.Options{Now: now, NoSync: true})
	})
}

// s2100 is later than any clock of these tests.
func s2100() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestAStoreWorksOnABubblesClockWithoutTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), store.Options{NoSync: true})
		start := time.Now()
		var claimed deploy.ID
		go func() {
			claimed, _ = s.Claim(t.Context(), func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Take: q.Waiting[0].ID} })
		}()
		synctest.Wait()
		time.Sleep(time.Hour)
		id, _, err := s.Submit(t.Context(), pushed(1))
		must(t, err)
		synctest.Wait()
		if claimed != id {
			t.Errorf("claimed %v, not %v, once everything was blocked", claimed, id)
		}
		st, err := s.State(id)
		must(t, err)
		if !st.Claimed.Equal(start.Add(time.Hour)) || time.Since(start) != time.Hour {
			t.Errorf("claimed at %v; the bubble's clock moved by %v", st.Claimed, time.Since(start))
		}
		must(t, s.Close())
	})
}

func TestACrowdThatIsClosedMidwayGetsAnswersThatAreTrue(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	const crowd = 64
	got := make([]deploy.ID, crowd)
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			id, _, err := s.Submit(context.Background(), pushed(int64(i)))
			if err != nil && !errors.Is(err, store.ErrClosed) {
				t.Error(err)
			}
			got[i] = id
		})
	}
	must(t, s.Close())
	all.Wait()
	s = open(t, dir, store.Options{NoSync: true})
	for i, want := range got {
		id, fresh, err := s.Submit(context.Background(), pushed(int64(i)))
		must(t, err)
		if fresh != (want == 0) || want != 0 && id != want {
			t.Errorf("request %d: was answered %v, is %v (fresh %v)", i, want, id, fresh)
		}
	}
}

func TestTheMarkerFollowsTheJournal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	before := string(readFile(t, dir+"/"+mark))
	for i := range 300 {
		_, _, err := s.Submit(context.Background(), deploy.Request{App: "shop", Env: "production", Key: pushed(int64(i)).Key})
		must(t, err)
	}
	if now := string(readFile(t, dir+"/"+mark)); now == before {
		t.Error("300 events left the marker as it was")
	}
	before = string(readFile(t, dir+"/"+mark))
	must(t, s.Close())
	if now := string(readFile(t, dir+"/"+mark)); now == before {
		t.Error("closing left the marker as it was")
	}
}
