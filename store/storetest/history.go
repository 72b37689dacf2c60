package storetest

import (
	"slices"
	"testing"

	"ipublish/deploy"
)

func testHistory(t *testing.T, open Open) {
	t.Run("it lists newest first, in pages, of one target or all", func(t *testing.T) {
		f := begin(t, open)
		var shop, all []deploy.ID
		for i := range 9 {
			target := []deploy.Target{production, staging, blog}[i%3]
			id := f.submit(person(target, key(i), deploy.WantDeploy))
			if i < 6 {
				f.finish(id, deploy.Cancelled)
			}
			all = append(all, id)
			if target == production {
				shop = append(shop, id)
			}
		}
		slices.Reverse(all)
		slices.Reverse(shop)
		for range 2 {
			equal(t, "all", f.listed(nil, 0, 100), all)
			equal(t, "a page", f.listed(nil, all[1], 3), all[2:5])
			equal(t, "one target", f.listed(&production, 0, 100), shop)
			equal(t, "a page of one target", f.listed(&production, shop[0], 1), shop[1:2])
			equal(t, "before the first", f.listed(nil, all[8], 10), nil)
			equal(t, "none wanted", f.listed(nil, 0, 0), nil)
			equal(t, "an unknown target", f.listed(&deploy.Target{App: "shop", Env: "prod"}, 0, 10), nil)
			f.reopen()
		}
	})
	t.Run("an ended deploy is listed by its end, whole only as state", func(t *testing.T) {
		f := begin(t, open)
		id := f.runOnce(production, "a")
		f.reopen()
		states, err := f.History(nil, 0, 10)
		must(t, err)
		whole, listed := f.state(id), states[0]
		if listed.Ending != deploy.Succeeded || listed.Request.By.Name != "Ada" || listed.Last != whole.Last || listed.Plan.Release.Key() != whole.Plan.Release.Key() {
			t.Errorf("listed as %+v", listed)
		}
		if listed.Outcomes.Len() != 0 || len(listed.Plan.Steps) != 0 || listed.Committed() {
			t.Errorf("the list carries the plan's steps: %+v", listed)
		}
		if whole.Outcomes.Len() != 1 || !whole.Outcomes.At(0).Done || whole.Outcomes.At(0).After.Traffic == nil {
			t.Errorf("the state is not whole: %+v", whole)
		}
	})
	t.Run("environments are listed sorted", func(t *testing.T) {
		f := begin(t, open)
		for i, target := range []deploy.Target{staging, blog, production} {
			f.submit(person(target, key(i), deploy.WantDeploy))
		}
		lives, err := f.Lives()
		must(t, err)
		var got []deploy.Target
		for _, l := range lives {
			got = append(got, l.Target)
		}
		equal(t, "targets", got, []deploy.Target{blog, production, staging})
	})
}

func (f *fixture) listed(t *deploy.Target, before deploy.ID, limit int) []deploy.ID {
	f.t.Helper()
	states, err := f.History(t, before, limit)
	must(f.t, err)
	return ids(states)
}
