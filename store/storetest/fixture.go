package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"ipublish/deploy"
)

var (
	production = deploy.Target{App: "shop", Env: "production"}
	staging    = deploy.Target{App: "shop", Env: "staging"}
	blog       = deploy.Target{App: "blog", Env: "production"}
)

// fixture is one store under test, with a deadline for everything that waits.
type fixture struct {
	Store
	t    *testing.T
	open Open
	dir  string
	ctx  context.Context
	time time.Time
}

func begin(t *testing.T, open Open) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	f := &fixture{t: t, open: open, dir: t.TempDir(), ctx: ctx, time: time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)}
	f.Store = open(t, f.dir, f.now)
	t.Cleanup(func() { f.Store.Close() })
	return f
}

func (f *fixture) now() time.Time { return f.time }

func (f *fixture) reopen() {
	f.t.Helper()
	must(f.t, f.Store.Close())
	f.Store = f.open(f.t, f.dir, f.now)
}

// push is an automatic request, person one that somebody typed.
func push(t deploy.Target, key, commit string) deploy.Request {
	return deploy.Request{App: t.App, Env: t.Env, Want: deploy.WantDeploy, Ref: "main", Commit: commit, Auto: true,
		Key: key, By: deploy.Actor{ID: "push:github"}}
}

func person(t deploy.Target, key string, want deploy.Want) deploy.Request {
	return deploy.Request{App: t.App, Env: t.Env, Want: want, Ref: "main", Key: key, By: deploy.Actor{ID: "slack:U1", Name: "Ada"}}
}

// submit queues a request that is to be a new one.
func (f *fixture) submit(r deploy.Request) deploy.ID {
	f.t.Helper()
	id, fresh, err := f.Submit(f.ctx, r)
	must(f.t, err)
	if !fresh || id == 0 {
		f.t.Fatalf("Submit(%q) = %v, fresh %v; want a new deploy", r.Key, id, fresh)
	}
	return id
}

// claim takes the next request of any environment.
func (f *fixture) claim() deploy.ID {
	f.t.Helper()
	id, err := f.Claim(f.ctx, first)
	must(f.t, err)
	return id
}

// first takes what is next wherever nothing is active.
func first(q deploy.Queue) deploy.Verdict {
	if q.Live.Active != 0 {
		return deploy.Verdict{}
	}
	return deploy.Verdict{Take: q.Waiting[0].ID}
}

// finish ends an active or queued deploy.
func (f *fixture) finish(id deploy.ID, how deploy.Ending) {
	f.t.Helper()
	must(f.t, f.Append(id, f.state(id).N, deploy.Event{Kind: deploy.KindEnded, Ending: how}))
}

func (f *fixture) note(id deploy.ID, text string) {
	f.t.Helper()
	must(f.t, f.Append(id, f.state(id).N, deploy.Event{Kind: deploy.KindNoted, Text: text}))
}

func (f *fixture) state(id deploy.ID) deploy.State {
	f.t.Helper()
	st, err := f.State(id)
	must(f.t, err)
	return st
}

func (f *fixture) live(t deploy.Target) deploy.Live {
	f.t.Helper()
	l, err := f.Live(t)
	must(f.t, err)
	return l
}

func (f *fixture) waiting(t deploy.Target) []deploy.ID {
	f.t.Helper()
	states, err := f.Waiting(t)
	must(f.t, err)
	return ids(states)
}

func ids(states []deploy.State) []deploy.ID {
	var out []deploy.ID
	for _, s := range states {
		out = append(out, s.ID)
	}
	return out
}

// ending asserts how a deploy ended and what took its place.
func (f *fixture) ending(id deploy.ID, how deploy.Ending, other deploy.ID) {
	f.t.Helper()
	if st := f.state(id); st.Ending != how || st.Other != other || !st.Ended() {
		f.t.Errorf("%v is %s, ending %q, other %v; want ending %q, other %v", id, st.Phase, st.Ending, st.Other, how, other)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code deploy.Code) {
	t.Helper()
	var e *deploy.Error
	if deploy.CodeOf(err) != code || err != nil && !errors.As(err, &e) {
		t.Errorf("error %v has code %q, want a *deploy.Error with %q", err, deploy.CodeOf(err), code)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// eventually polls a condition that another goroutine brings about.
func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// outcome is what a blocked call came back with.
type outcome[T any] struct {
	value T
	err   error
}

// start runs a call that may block.
func start[T any](call func() (T, error)) <-chan outcome[T] {
	out := make(chan outcome[T], 1)
	go func() {
		v, err := call()
		out <- outcome[T]{v, err}
	}()
	return out
}

func result[T any](f *fixture, c <-chan outcome[T]) (T, error) {
	f.t.Helper()
	select {
	case o := <-c:
		return o.value, o.err
	case <-f.ctx.Done():
		f.t.Fatal("the call never came back")
		panic("unreachable")
	}
}

func key(i int) string { return fmt.Sprintf("test:%d", i) }
