package deploy_test

import (
	"reflect"
	"testing"

	"ipublish/deploy"
)

// waiting makes a queued deploy of a request.
func waiting(id deploy.ID, r deploy.Request, tell ...func(*deploy.State)) deploy.State {
	r.App, r.Env, r.ID = "shop", "production", id
	s := deploy.State{ID: id, Target: target(), Phase: deploy.PhaseQueued, Request: r}
	s.Commit = deploy.Commit{SHA: r.Commit}
	for _, f := range tell {
		f(&s)
	}
	return s
}

func resolved(commit string, seq uint64) func(*deploy.State) {
	return func(s *deploy.State) {
		s.Resolved, s.ResolvedSeq = deploy.Commit{SHA: commit, Title: "Tip", Author: "bob"}, seq
		if !s.Request.Auto {
			s.Commit = s.Resolved
		}
	}
}

func TestAdmissionIsTheRuleOfTheQueue(t *testing.T) {
	push := deploy.Request{Want: deploy.WantDeploy, Ref: "main", Commit: sha("b"), Title: "Pushed", Auto: true, Key: "github:1"}
	typed := deploy.Request{Want: deploy.WantDeploy, Ref: "v1"}
	back := deploy.Request{Want: deploy.WantRollback}
	forbidden := &deploy.Error{Code: deploy.CodeRefused, Message: "ann may not deploy any more"}
	broken := func(s *deploy.State) { s.Broken = &deploy.Error{Code: deploy.CodeDamaged} }
	idle, busy := deploy.Live{Seq: 50}, deploy.Live{Seq: 50, Active: 3}
	for _, c := range []struct {
		name    string
		live    deploy.Live
		queue   []deploy.State
		allowed *deploy.Error
		asked   deploy.ID
		want    deploy.Verdict
	}{
		{name: "nothing waits", live: idle},
		{name: "a typed ref is asked first", live: idle, queue: []deploy.State{waiting(7, typed)}, want: deploy.Verdict{Lookup: 7}},
		{name: "also while another deploy is live", live: busy, queue: []deploy.State{waiting(7, typed)}, want: deploy.Verdict{Lookup: 7}},
		{name: "also when it is not its turn", live: idle, queue: []deploy.State{waiting(6, back), waiting(7, typed)}, want: deploy.Verdict{Lookup: 7}},
		{name: "it is asked once", live: idle, queue: []deploy.State{waiting(7, typed)}, asked: 7},
		{name: "who waits behind what is being asked keeps waiting", live: idle, queue: []deploy.State{waiting(7, typed), waiting(8, push, resolved(sha("b"), 50))}, asked: 7},
		{name: "a typed ref that is known is taken", live: idle, queue: []deploy.State{waiting(7, typed, resolved(sha("c"), 10))}, want: deploy.Verdict{Take: 7}},
		{name: "a typed commit need not be a tip", live: idle, queue: []deploy.State{waiting(7, deploy.Request{Want: deploy.WantDeploy, Commit: sha("c")})}, want: deploy.Verdict{Take: 7}},
		{name: "a rollback is taken", live: idle, queue: []deploy.State{waiting(7, back)}, want: deploy.Verdict{Take: 7}},
		{name: "one at a time", live: busy, queue: []deploy.State{waiting(7, back)}},
		{name: "in turn", live: idle, queue: []deploy.State{waiting(7, back), waiting(8, back)}, want: deploy.Verdict{Take: 7}},
		{name: "a push is asked for its branch's tip", live: idle, queue: []deploy.State{waiting(7, push)}, want: deploy.Verdict{Lookup: 7}},
		{name: "but not before its turn", live: busy, queue: []deploy.State{waiting(7, push)}},
		{name: "a push that is the tip is taken", live: idle, queue: []deploy.State{waiting(7, push, resolved(sha("b"), 50))}, want: deploy.Verdict{Take: 7}},
		{name: "an answer from before the newest event is asked again", live: idle, queue: []deploy.State{waiting(7, push, resolved(sha("b"), 49))}, want: deploy.Verdict{Lookup: 7}},
		{name: "but not twice at once", live: idle, queue: []deploy.State{waiting(7, push, resolved(sha("b"), 49))}, asked: 7},
		{name: "who lost the right is refused", live: idle, queue: []deploy.State{waiting(7, back)}, allowed: forbidden, want: deploy.Verdict{End: 7, Ending: deploy.Rejected, Err: forbidden}},
		{name: "what makes no sense is ended", live: busy, queue: []deploy.State{waiting(6, back), waiting(7, back, broken)},
			want: deploy.Verdict{End: 7, Ending: deploy.Failed, Err: &deploy.Error{Code: deploy.CodeDamaged}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			admit := deploy.Admission(func(deploy.Request) *deploy.Error { return c.allowed }, func(s deploy.State) bool { return s.ID == c.asked })
			if got := admit(deploy.Queue{Live: c.live, Waiting: c.queue}); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAStalePushMakesRoomForTheTip(t *testing.T) {
	push := deploy.Request{Want: deploy.WantDeploy, Ref: "main", Commit: sha("b"), Title: "Pushed", Author: "ann", Auto: true, Key: "github:1", By: deploy.Actor{ID: "push:github"}}
	admit := deploy.Admission(func(deploy.Request) *deploy.Error { return nil }, func(deploy.State) bool { return false })
	v := admit(deploy.Queue{Live: deploy.Live{Seq: 50}, Waiting: []deploy.State{waiting(7, push, resolved(sha("c"), 50))}})
	if v.End != 7 || v.Ending != deploy.Superseded || v.Take != 0 || v.Queue == nil || v.Err == nil {
		t.Fatalf("%+v", v)
	}
	tip := *v.Queue
	if tip.Commit != sha("c") || tip.Title != "Tip" || tip.Author != "bob" || !tip.Auto || tip.ID != 0 || tip.Key == push.Key || tip.By != push.By {
		t.Errorf("queued %+v", tip)
	}
	again := admit(deploy.Queue{Live: deploy.Live{Seq: 50}, Waiting: []deploy.State{waiting(7, push, resolved(sha("c"), 50))}})
	if again.Queue.Key != tip.Key {
		t.Errorf("the tip is queued as %q and as %q: it has to be the same, to be queued once", tip.Key, again.Queue.Key)
	}
}
