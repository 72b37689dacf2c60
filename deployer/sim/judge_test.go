package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/sim"
)

// mostRetires is how often the bot may try to stop warm slots in an hour.
const mostRetires = 12

// retire waits until the lease has run out and its housekeeping is done; where
// nothing serves, the warm slot may be all that is left, and is kept.
func (r *rig) retire(t *testing.T) {
	for end := time.Now().Add(40 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Second) {
		r.tend(t)
		live, err := r.store.Live(target)
		if err == nil && live.Active == 0 && (live.Warm == nil || live.Warm.Release.Adopted() || time.Now().After(live.Warm.Until.Add(10*time.Minute)) && !r.world.Serves()) {
			return
		}
	}
	live, _ := r.store.Live(target)
	r.world.Violate("liveness: the lease %v is not retired, %s is active", live.Warm, live.Active)
}

// judge checks the end of all things and gathers the journals.
func (r *rig) judge(t *testing.T) result {
	live, err := r.store.Live(target)
	if err != nil {
		t.Fatal(err)
	}
	all := r.all(t)
	if slices.ContainsFunc(all, func(st deploy.State) bool { return st.Ending == deploy.Abandoned }) {
		r.world.Abandoned()
	}
	r.world.Final(live, r.kept(live))
	r.checkHistory(all)
	var res result
	var text, story strings.Builder
	for _, st := range all {
		events, err := r.store.Events(t.Context(), st.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.checkJournal(st, events)
		res.endings = append(res.endings, st.Ending)
		for _, ev := range events {
			ev.Seq = 0
			b, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(append(b, '\n'))
			fmt.Fprintf(&story, "%s %s %s step=%d %v %s\n", ev.At.Format("15:04:05.000"), ev.Deploy, ev.Kind, ev.Step, ev.Err, ev.Ending)
		}
	}
	res.violations, res.marks, res.prelude = r.world.Violations(), r.world.Marks(), r.prelude
	res.journal, res.story = text.String(), story.String()+r.world.String()
	return res
}

// kept are the folders of the good releases that the configuration keeps.
func (r *rig) kept(live deploy.Live) []string {
	var dirs []string
	for _, past := range live.Good[:min(len(live.Good), r.app.Keep)] {
		if past.Release.Adopted() {
			continue
		}
		dirs = append(dirs, path.Join("/srv/ipublish/shop/production/releases", past.Release.Key()))
	}
	return dirs
}

func (r *rig) all(t *testing.T) []deploy.State {
	list, err := r.store.History(nil, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b deploy.State) int { return int(a.ID) - int(b.ID) })
	return list
}

// checkJournal wants one ending (I15), at most one revert (I25) and none that a
// rollback decides by itself, and a plain fold.
func (r *rig) checkJournal(st deploy.State, events []deploy.Event) {
	count := map[deploy.Kind]int{}
	for _, ev := range events {
		count[ev.Kind]++
		if ev.Kind == deploy.KindRevert && ev.Ending == deploy.Reverted && st.Request.Want == deploy.WantRollback && count[deploy.KindCancel] == 0 {
			r.world.Violate("I25 one revert: the rollback %s reverts itself", st.ID)
		}
	}
	if count[deploy.KindEnded] != 1 {
		r.world.Violate("I15 one ending: %s has %d", st.ID, count[deploy.KindEnded])
	}
	if count[deploy.KindRevert] > 1 {
		r.world.Violate("I25 one revert: %s has %d", st.ID, count[deploy.KindRevert])
	}
	if st := deploy.Fold(events); st.Broken != nil {
		r.world.Violate("I21 replay: %v", st.Broken)
	}
}

// checkHistory wants no push to bring back what failed (I28) or what a person
// left, and no hot loop.
func (r *rig) checkHistory(all []deploy.State) {
	ran := slices.DeleteFunc(slices.Clone(all), func(st deploy.State) bool { return st.Plan == nil })
	slices.SortStableFunc(ran, func(a, b deploy.State) int { return a.Claimed.Compare(b.Claimed) })
	shunned := map[string]string{} // by release, why
	var retires []time.Time
	for _, st := range ran {
		key := st.Plan.Release.Key()
		if why := shunned[key]; why != "" && st.Request.Auto && len(st.Plan.Steps) > 0 {
			r.world.Violate("I28 no retry storm: the push %s brings back %s, which %s", st.ID, key, why)
		}
		remember(shunned, st)
	}
	for _, st := range all {
		if st.Request.Want == deploy.WantRetire {
			retires = append(retires, st.Request.At)
		}
	}
	for i := mostRetires; i < len(retires); i++ {
		if retires[i].Sub(retires[i-mostRetires]) < time.Hour {
			r.world.Violate("hot loop: more than %d retires within %s", mostRetires, retires[i].Sub(retires[i-mostRetires]))
			return
		}
	}
}

// remember keeps which releases a push may not bring back.
func remember(shunned map[string]string, st deploy.State) {
	key := st.Plan.Release.Key()
	ownFault := st.Err != nil && st.Err.Code == deploy.CodeUnhealthy && slices.Contains([]string{"check", "bake"}, st.Err.Op)
	switch {
	case st.Ending == deploy.Succeeded && len(st.Plan.Steps) > 0:
		delete(shunned, key)
		if st.Request.Want == deploy.WantRollback {
			shunned[st.Plan.Old.Key()] = "a rollback left"
		}
	case st.Ending == deploy.Reverted, st.Ending == deploy.Failed && ownFault:
		shunned[key] = "failed or was reverted"
	}
}

// journal lets the world crash the bot before and after every append, refuse
// some, and judge what is called done.
type journal struct {
	r *rig
	deployer.Journal
}

func (j journal) Append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	w := j.r.world
	if err := w.Pass("journal"); err != nil {
		return err
	}
	if w.RefuseAppend() {
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: "append", Message: "no space left on device"}
	}
	if err := j.Journal.Append(id, afterN, ev); err != nil {
		return err
	}
	w.Changed()
	j.tell(id, ev)
	return w.Pass("journal")
}

// tell lets the world hear what is now durable.
func (j journal) tell(id deploy.ID, ev deploy.Event) {
	st, live := j.r.journal(id)
	switch ev.Kind {
	case deploy.KindDone:
		if step, ok := st.StepAt(ev.Step); ok {
			plan, _, _ := st.Current()
			j.r.world.Done(step, plan.Settings, live, st.Behind)
		}
	case deploy.KindEnded:
		if st.Plan != nil && st.Plan.OldSlot != "" && ev.Ending == deploy.Succeeded && st.Plan.Want != deploy.WantRetire {
			j.r.world.Leased(st.Plan.OldSlot, ev.At.Add(st.Plan.Settings.BlueGreen.KeepOld.D()))
		}
	}
}

func (j journal) Claim(ctx context.Context, admit deploy.Admit) (deploy.ID, error) {
	w := j.r.world
	if err := w.Pass("claim"); err != nil {
		return 0, err
	}
	id, err := j.Journal.Claim(ctx, admit)
	if err != nil {
		return id, err
	}
	w.Changed()
	return id, w.Pass("claim")
}

// ledger ends a hot loop: in virtual time nothing else would.
type ledger struct {
	deployer.Ledger
	w     *sim.World
	asked atomic.Int64
}

func (l *ledger) Submit(ctx context.Context, req deploy.Request) (deploy.ID, bool, error) {
	if l.asked.Add(1) > 200 {
		l.w.Violate("hot loop: the bot asks itself for %s again and again", req.Want)
		return 0, false, &deploy.Error{Code: deploy.CodeUnavailable, Op: "submit", Message: "enough"}
	}
	return l.Ledger.Submit(ctx, req)
}
