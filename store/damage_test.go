package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/store"
)

const (
	database = "ipublish.db"
	mark     = "installed.json"
)

func TestAStateFolderThatLostItsDataIsNeverTakenForAFreshStart(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"the database is missing":  func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, database))) },
		"the database has 0 bytes": func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, database), 0)) },
		"the database has 0 bytes and the marker is gone": func(t *testing.T, dir string) {
			must(t, os.Truncate(filepath.Join(dir, database), 0))
			must(t, os.Remove(filepath.Join(dir, mark)))
		},
		"the database is cut in half":       func(t *testing.T, dir string) { cut(t, dir, 2) },
		"the database is cut to a fraction": func(t *testing.T, dir string) { cut(t, dir, 50) },
		"the database is text": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, database), []byte(strings.Repeat("hello\n", 20000)), 0o600))
		},
		"one head page is overwritten": func(t *testing.T, dir string) { overwrite(t, dir, 16, make([]byte, 64)) },
		"an older database is put back": func(t *testing.T, dir string) {
			young := t.TempDir()
			fillStore(t, young, 2)
			adopt(t, young, dir)
		},
		"another installation's database is put there": func(t *testing.T, dir string) {
			other := t.TempDir()
			fillStore(t, other, 60)
			copyFile(t, filepath.Join(other, database), filepath.Join(dir, database))
		},
		"the marker is unreadable": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, mark), []byte("{"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fillStore(t, dir, 40)
			harm(t, dir)
			before := files(t, dir)
			s, err := store.Open(dir, store.Options{})
			if err == nil {
				s.Close()
				t.Fatal("the store opened")
			}
			if deploy.CodeOf(err) != deploy.CodeDamaged || deploy.MessageOf(err) == "" {
				t.Errorf("Open: %v", err)
			}
			if after := files(t, dir); !reflect.DeepEqual(after, before) {
				t.Errorf("the refused start changed the folder: %v, was %v", after, before)
			}
		})
	}
}

// adopt puts the database of another folder into dir as an older copy of its own.
func adopt(t *testing.T, from, dir string) {
	t.Helper()
	copyFile(t, filepath.Join(from, database), filepath.Join(dir, database))
	var own, theirs map[string]any
	must(t, json.Unmarshal(readFile(t, filepath.Join(dir, mark)), &own))
	must(t, json.Unmarshal(readFile(t, filepath.Join(from, mark)), &theirs))
	own["install"] = theirs["install"]
	b, err := json.Marshal(own)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, mark), b, 0o600))
}

func TestAcceptedLossGoesOnWithNumbersThatWereNeverGiven(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"missing": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, database))) },
		"empty":   func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, database), 0)) },
		"older": func(t *testing.T, dir string) {
			young := t.TempDir()
			fillStore(t, young, 2)
			adopt(t, young, dir)
		},
		"foreign": func(t *testing.T, dir string) {
			other := t.TempDir()
			fillStore(t, other, 2)
			copyFile(t, filepath.Join(other, database), filepath.Join(dir, database))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fillStore(t, dir, 40)
			harm(t, dir)
			for i, o := range []store.Options{{AcceptLoss: true}, {}} {
				s := open(t, dir, o)
				id, _, err := s.Submit(context.Background(), pushed(int64(i)))
				must(t, err)
				if id <= 40 || s.LastSeq() <= 80 {
					t.Errorf("the new deploy is %v at event %d", id, s.LastSeq())
				}
				events, err := s.Tail(context.Background(), 0, 1000)
				must(t, err)
				if last := events[len(events)-1]; last.Deploy != id {
					t.Errorf("the journal ends with %v", last.Deploy)
				}
				must(t, s.Close())
			}
		})
	}
}

func TestASecondOpenerIsToldWhoHoldsTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	_, err := store.Open(dir, store.Options{})
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), fmt.Sprintf("process %d ", os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "ipublish.lock")))
	_, err = store.Open(dir, store.Options{})
	if deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("second Open without a lock file: %v", err)
	}
	_, _, err = s.Submit(context.Background(), pushed(1))
	if deploy.CodeOf(err) != deploy.CodeDamaged {
		t.Errorf("Submit after the lock file was removed: %v", err)
	}
}

func TestAnOpenerThatMayWaitTakesOverFromOneThatEnds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	type opened struct {
		s   *store.Store
		err error
	}
	next := make(chan opened)
	go func() {
		s, err := store.Open(dir, store.Options{Wait: time.Minute})
		next <- opened{s, err}
	}()
	select {
	case o := <-next:
		t.Fatalf("Open beside the first one: %v", o.err)
	case <-time.After(100 * time.Millisecond):
	}
	must(t, s.Close())
	o := <-next
	must(t, o.err)
	must(t, o.s.Close())
}

func TestADatabaseOfANewerFormIsRefused(t *testing.T) {
	dir := t.TempDir()
	fillStore(t, dir, 1)
	rewrite(t, dir, "meta", []byte("schema"), func([]byte) []byte { return []byte("99") })
	_, err := store.Open(dir, store.Options{AcceptLoss: true})
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "newer ipublish") {
		t.Errorf("Open: %v", err)
	}
}

func TestNothingIsAcknowledgedOnceTheFileIsNotTheOneAtThePath(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"removed": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, database))) },
		"replaced": func(t *testing.T, dir string) {
			copyFile(t, filepath.Join(dir, database), filepath.Join(dir, "copy"))
			must(t, os.Rename(filepath.Join(dir, "copy"), filepath.Join(dir, database)))
		},
		"cut": func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, database), 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			id, _, err := s.Submit(context.Background(), pushed(1))
			must(t, err)
			harm(t, dir)
			ctx := context.Background()
			for range 2 {
				_, _, err = s.Submit(ctx, pushed(2))
				wantDamaged(t, "Submit", err)
				wantDamaged(t, "Append", s.Append(id, 1, deploy.Event{Kind: deploy.KindNoted}))
				_, err = s.Claim(ctx, func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Take: id} })
				wantDamaged(t, "Claim", err)
			}
			if st, err := s.State(id); err != nil || st.N != 1 {
				t.Errorf("State: %+v, %v", st, err)
			}
			if _, err := s.History(nil, 0, 10); name == "cut" {
				wantDamaged(t, "History", err)
			} else if err != nil {
				t.Errorf("History: %v", err)
			}
			s.Close()
			if name == "replaced" {
				return
			}
			_, err = store.Open(dir, store.Options{})
			wantDamaged(t, "the next Open", err)
		})
	}
}

// TestOverwrittenBytesAreFoundOrHarmless damages a copy of a store at random and
// compares what can still be read with the truth.
func TestOverwrittenBytesAreFoundOrHarmless(t *testing.T) {
	source := t.TempDir()
	if refused, found := overwritten(t, source, fillStore(t, source, 40), 300); refused == 0 || found == 0 {
		t.Errorf("the overwriting hit nothing: %d refused, %d found", refused, found)
	}
}

func overwritten(t *testing.T, source string, truth truth, seeds uint64) (refused, found int) {
	t.Helper()
	size := fileSize(t, filepath.Join(source, database))
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		copyFile(t, filepath.Join(source, database), filepath.Join(dir, database))
		copyFile(t, filepath.Join(source, mark), filepath.Join(dir, mark))
		junk := make([]byte, 64)
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		overwrite(t, dir, rng.Int64N(size-64), junk)
		s, err := store.Open(dir, store.Options{NoSync: true})
		if err != nil {
			refused++
			if deploy.CodeOf(err) != deploy.CodeDamaged {
				t.Errorf("seed %d: Open: %v", seed, err)
			}
			continue
		}
		if !truth.compare(t, fmt.Sprintf("seed %d", seed), s) {
			found++
		}
		s.Submit(context.Background(), pushed(int64(1000+seed)))
		s.Close()
	}
	t.Logf("of %d overwritten stores %d were refused and %d had damaged records", seeds, refused, found)
	return refused, found
}

func TestADamagedRecordHidesNoOther(t *testing.T) {
	dir := t.TempDir()
	truth := fillStore(t, dir, 40)
	raw := readFile(t, filepath.Join(dir, database))
	at := strings.Index(string(raw), `"text":"note of #11"`)
	if at < 0 {
		t.Fatal("the record to damage is not in the file")
	}
	for ; at >= 0; at = strings.Index(string(raw), `"text":"note of #11"`) {
		raw[at+10] ^= 0xff
	}
	must(t, os.WriteFile(filepath.Join(dir, database), raw, 0o600))
	s := open(t, dir, store.Options{})
	for id, want := range truth.states {
		got, err := s.State(id)
		if id == 11 {
			wantDamaged(t, "State", err)
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, %v", id, got, err)
		}
	}
	listed, err := s.History(nil, 0, 100)
	if len(listed) != 40 || err != nil {
		t.Errorf("History lists %d deploys, %v: the summary was not damaged", len(listed), err)
	}
	all, err := s.Tail(context.Background(), 0, 1000)
	wantDamaged(t, "Tail", err)
	if uint64(len(all)) != s.LastSeq()-1 {
		t.Errorf("Tail skipped %d events", s.LastSeq()-uint64(len(all)))
	}
	some, err := s.Events(context.Background(), 11, 0)
	wantDamaged(t, "Events", err)
	if len(some) == 0 || some[0].Kind != deploy.KindRequested {
		t.Errorf("Events before the damage: %+v", some)
	}
}

func TestAnEnvironmentIsFoldedAnewWhenItsRecordIsDamaged(t *testing.T) {
	for _, bucket := range []string{"env", "queue"} {
		t.Run(bucket, func(t *testing.T) {
			dir := t.TempDir()
			truth := fillStore(t, dir, 40)
			spoil(t, dir, bucket)
			s := open(t, dir, store.Options{})
			if !truth.compare(t, bucket, s) {
				t.Error("the damage was not mended")
			}
			busy := deploy.Target{App: "app1", Env: "production"}
			live, err := s.Live(busy)
			must(t, err)
			must(t, s.Append(live.Active, truth.states[live.Active].N, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Failed}))
		})
	}
}

func TestADeployOfANewerFormWaitsForAPersonAndHoldsUpNobody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	old, _, err := s.Submit(context.Background(), pushed(1))
	must(t, err)
	must(t, s.Close())
	rewrite(t, dir, "journal", binary.BigEndian.AppendUint64(nil, s.LastSeq()), func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"v":1`), []byte(`"v":2`), 1)
	})
	s = open(t, dir, store.Options{})
	next, fresh, err := s.Submit(context.Background(), pushed(101))
	if err != nil || !fresh {
		t.Fatal(next, fresh, err)
	}
	id, err := s.Claim(context.Background(), func(q deploy.Queue) deploy.Verdict {
		for _, w := range q.Waiting {
			if w.Broken != nil {
				return deploy.Verdict{End: w.ID, Ending: deploy.Abandoned}
			}
		}
		return deploy.Verdict{Take: q.Waiting[0].ID}
	})
	must(t, err)
	st, err := s.State(old)
	must(t, err)
	if id != next || st.Broken == nil || st.Ending != deploy.Abandoned {
		t.Errorf("claimed %v; the deploy of a newer form: %+v", id, st)
	}
}

// tail reads the whole journal; one of which nothing can be read is damaged.
func tail(s *store.Store) ([]deploy.Event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	events, err := s.Tail(ctx, 0, 10000)
	if deploy.CodeOf(err) == deploy.CodeTimeout {
		err = &deploy.Error{Code: deploy.CodeDamaged, Op: "tail", Err: err}
	}
	return events, err
}

// truth is what a store held before it was damaged.
type truth struct {
	states map[deploy.ID]deploy.State
	lives  []deploy.Live
	active []deploy.ID
	queues map[deploy.Target][]deploy.ID
}

// compare reports whether everything could be read, and complains about
// everything that was read and is wrong.
func (w truth) compare(t *testing.T, label string, s *store.Store) (whole bool) {
	t.Helper()
	whole = true
	fine := func(what string, err error, same bool) {
		t.Helper()
		switch {
		case err == nil && !same:
			t.Errorf("%s: %s is wrong without an error", label, what)
		case err != nil:
			whole = false
			if deploy.CodeOf(err) != deploy.CodeDamaged {
				t.Errorf("%s: %s: %v", label, what, err)
			}
		}
	}
	for id, want := range w.states {
		got, err := s.State(id)
		fine("state of "+id.String(), err, reflect.DeepEqual(got, want))
	}
	lives, err := s.Lives()
	fine("environments", err, reflect.DeepEqual(lives, w.lives))
	active, err := s.Active()
	fine("active", err, slices.Equal(active, w.active))
	for target, want := range w.queues {
		got, err := s.Waiting(target)
		fine("queue of "+target.String(), err, slices.Equal(numbers(got), want))
	}
	listed, err := s.History(nil, 0, len(w.states)+1)
	fine("history", err, len(listed) == len(w.states))
	events, err := tail(s)
	fine("tail", err, uint64(len(events)) == s.LastSeq())
	return whole
}

func TestADatabaseOfAnEarlierFormIsReadAndSaysFromThenOnWhoWroteIt(t *testing.T) {
	dir := t.TempDir()
	fillStore(t, dir, 1)
	rewrite(t, dir, "meta", []byte("schema"), func([]byte) []byte { return []byte("1") })
	s, err := store.Open(dir, store.Options{})
	must(t, err)
	must(t, s.Close())
	rewrite(t, dir, "meta", []byte("schema"), func(form []byte) []byte {
		if string(form) != "2" {
			t.Errorf("it says form %s", form)
		}
		return form
	})
}
