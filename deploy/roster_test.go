package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

// A roster is a value: it holds what a mapping would hold after the same
// changes, and no later change reaches it.
func TestARosterIsAMappingThatNoLaterChangeReaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r deploy.Roster
		model := map[deploy.HostID]int{}
		var past []deploy.Roster
		var pasts []map[deploy.HostID]int
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			id := deploy.HostID(fmt.Sprintf("web-%d", rapid.IntRange(0, 40).Draw(t, "host")))
			if rapid.Bool().Draw(t, "forget") {
				r = r.Without(id)
				delete(model, id)
			} else {
				pid := rapid.IntRange(1, 9).Draw(t, "pid")
				r, model[id] = r.With(id, deploy.HostState{Instance: deploy.Instance{PID: pid}}), pid
			}
			past, pasts = append(past, r), append(pasts, maps.Clone(model))
		}
		for i := range past {
			same(t, past[i], pasts[i])
		}
	})
}

func same(t *rapid.T, r deploy.Roster, model map[deploy.HostID]int) {
	t.Helper()
	all := map[deploy.HostID]int{}
	for id, s := range r.All() {
		all[id] = s.Instance.PID
	}
	if !maps.Equal(all, model) || r.Len() != len(model) || r.IsZero() != (len(model) == 0) || !slices.Equal(r.IDs(), slices.Sorted(maps.Keys(model))) {
		t.Fatalf("it holds %v of %d, and the mapping %v", all, r.Len(), model)
	}
	for id, pid := range model {
		if !r.Has(id) || r.Get(id).Instance.PID != pid {
			t.Fatalf("%s is %+v", id, r.Get(id))
		}
	}
	if r.Has("web-99") || r.Get("web-99").Instance.PID != 0 {
		t.Fatal("it holds a host that nobody gave it")
	}
	for range r.All() {
		break // whoever has seen enough may leave
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back deploy.Roster
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if text(t, back) != string(b) || back.Len() != r.Len() {
		t.Fatalf("%s became %s", b, text(t, back))
	}
}

func TestARosterIsWrittenTheSameWhateverItsPast(t *testing.T) {
	var one, other deploy.Roster
	for i := range 300 {
		one = one.With(deploy.HostID(fmt.Sprintf("web-%d", i)), deploy.HostState{Instance: deploy.Instance{PID: i + 1}})
		other = other.With(deploy.HostID(fmt.Sprintf("web-%d", 299-i)), deploy.HostState{Instance: deploy.Instance{PID: 300 - i}})
	}
	if text(t, one) != text(t, other) || text(t, deploy.Roster{}) != "{}" || text(t, one) != text(t, one.Without("web-1").With("web-1", one.Get("web-1")).Without("x")) {
		t.Error("the same hosts are written in another way")
	}
}

func TestOutcomesAreAListThatNoLaterChangeReaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "steps")
		model := make([]deploy.Outcome, n)
		o := deploy.NewOutcomes(n)
		var past []deploy.Outcomes
		var pasts [][]deploy.Outcome
		for range rapid.IntRange(0, min(n, 20)).Draw(t, "changes") {
			at, attempts := rapid.IntRange(0, n-1).Draw(t, "step"), rapid.IntRange(1, 9).Draw(t, "attempts")
			change := -1
			o = o.Map(func(one deploy.Outcome) deploy.Outcome {
				if change++; change == at {
					one.Attempts = attempts
				}
				return one
			})
			model[at].Attempts = attempts
			past, pasts = append(past, o), append(pasts, slices.Clone(model))
		}
		past, pasts = append(past, o), append(pasts, model)
		for i := range past {
			asListed(t, past[i], pasts[i])
		}
	})
}

func asListed(t *rapid.T, o deploy.Outcomes, model []deploy.Outcome) {
	t.Helper()
	if o.Len() != len(model) || o.IsZero() != (len(model) == 0) {
		t.Fatalf("%d outcomes of %d", o.Len(), len(model))
	}
	next := 0
	for i, one := range o.All() {
		if i != next || !reflect.DeepEqual(one, model[i]) || !reflect.DeepEqual(o.At(i), model[i]) {
			t.Fatalf("outcome %d is %+v, want %+v", i, one, model[i])
		}
		next++
	}
	if next != len(model) {
		t.Fatalf("%d outcomes were told of %d", next, len(model))
	}
	var back deploy.Outcomes
	if err := json.Unmarshal([]byte(text(t, o)), &back); err != nil || back.Len() != o.Len() || text(t, back) != text(t, o) {
		t.Fatalf("%s became %s, %v", text(t, o), text(t, back), err)
	}
}

func TestAnOutcomeBeyondTheLastPanics(t *testing.T) {
	for _, at := range []int{-1, 3, 64} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("there is an outcome %d of 3", at)
				}
			}()
			deploy.NewOutcomes(3).At(at)
		}()
	}
}
