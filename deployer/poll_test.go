package deployer_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/store"
)

const every = time.Minute

var (
	production = deploy.Target{App: "shop", Env: "production"}
	staging    = deploy.Target{App: "shop", Env: "staging"}
)

// commit is a full hash, the same for the same name.
func commit(name string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(name))) }

// remote is the git hosts: branch tips by app and branch.
type remote struct {
	deployer.Source
	mu    sync.Mutex
	tips  map[string]deploy.Commit
	fail  map[string]error // by app
	hangs map[string]bool  // by app: no answer until the asker gives up
	asked map[string][]time.Time
}

func (r *remote) Resolve(ctx context.Context, p deploy.Settings, ref string) (deploy.Commit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.Repository + " " + ref
	r.asked[key] = append(r.asked[key], time.Now())
	if r.hangs[p.Repository] {
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return deploy.Commit{}, ctx.Err()
	}
	return r.tips[key], r.fail[p.Repository]
}

func (r *remote) looks(key string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked[key])
}

func (r *remote) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// idle is a journal that gives the engine nothing to run: the tests do.
type idle struct{ deployer.Journal }

func (idle) Claim(ctx context.Context, _ deploy.Admit) (deploy.ID, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// still is a ledger that names nothing to go on with.
type still struct{ deployer.Ledger }

func (still) Lives() ([]deploy.Live, error) { return nil, nil }

// bench is an engine that polls a remote, with a real store.
type bench struct {
	t      *testing.T
	remote *remote
	store  *store.Store
	log    bytes.Buffer
	ledger func(deployer.Ledger) deployer.Ledger
	stop   func()

	mu   sync.Mutex
	apps []deploy.App
}

// onBench runs a test in a bubble, with the app shop on two environments; the
// engine is not started.
func onBench(t *testing.T, test func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(dir, store.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, store: st, ledger: func(l deployer.Ledger) deployer.Ledger { return l }, stop: func() {}, remote: &remote{
			tips: map[string]deploy.Commit{}, fail: map[string]error{}, hangs: map[string]bool{}, asked: map[string][]time.Time{},
		}}
		b.apps = []deploy.App{shop("shop")}
		defer func() {
			b.stop()
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(b)
	})
}

func shop(name string) deploy.App {
	return deploy.App{Name: name, Repository: name, Poll: deploy.Duration(every), Environments: []deploy.Environment{
		{Name: "production", Branch: "main", AutoDeploy: true},
		{Name: "staging", Branch: "next", AutoDeploy: false},
	}}
}

func (b *bench) start() {
	b.t.Helper()
	e := deployer.New(deployer.Options{
		Journal: idle{b.store}, Ledger: b.ledger(still{b.store}), Source: b.remote, History: b.store,
		Config: b.config, Targets: b.targets, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("the engine ended: %v", err)
		}
		b.stop = func() {}
	}
	synctest.Wait()
}

func (b *bench) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

func (b *bench) config(t deploy.Target) (deploy.App, deploy.Environment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.apps {
		if env, ok := a.Environment(t.Env); ok && a.Name == t.App {
			return a, env, true
		}
	}
	return deploy.App{}, deploy.Environment{}, false
}

func (b *bench) targets() []deploy.Target {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []deploy.Target
	for _, a := range b.apps {
		for _, e := range a.Environments {
			out = append(out, deploy.Target{App: a.Name, Env: e.Name})
		}
	}
	return out
}

// reload changes the configuration.
func (b *bench) reload(change func(apps []deploy.App) []deploy.App) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh []deploy.App
	for _, a := range b.apps {
		a.Environments = slices.Clone(a.Environments)
		fresh = append(fresh, a)
	}
	b.apps = change(fresh)
}

// push moves shop's branch.
func (b *bench) push(branch, name string) {
	b.remote.change(func() {
		b.remote.tips["shop "+branch] = deploy.Commit{SHA: commit(name), Title: "change " + name, Author: "Ada", Ref: branch}
	})
}

// polled lets a few looks pass.
func (b *bench) polled() {
	time.Sleep(3 * every)
	synctest.Wait()
}

// wishes are the requests for production so far, oldest first, by commit.
func (b *bench) wishes() []deploy.State {
	b.t.Helper()
	all, err := b.store.History(&production, 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

func (b *bench) want(names ...string) {
	b.t.Helper()
	var got, want []string
	for _, st := range b.wishes() {
		got = append(got, st.Request.Commit)
	}
	for _, n := range names {
		want = append(want, commit(n))
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("asked for %q, want %q", got, want)
	}
}

// submit queues a person's request, or any.
func (b *bench) submit(r deploy.Request) deploy.ID {
	b.t.Helper()
	r.App, r.Env, r.Key = "shop", "production", fmt.Sprint("test:", time.Now().UnixNano(), r.Commit, r.Ref)
	if r.Want == "" {
		r.Want = deploy.WantDeploy
	}
	if r.By.ID == "" {
		r.By = deploy.Actor{ID: "slack:U1"}
	}
	id, _, err := b.store.Submit(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Nanosecond)
	return id
}

// claim takes the next request of production.
func (b *bench) claim() deploy.State {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	id, err := b.store.Claim(ctx, func(q deploy.Queue) deploy.Verdict { return deploy.Verdict{Take: q.Waiting[0].ID} })
	if err != nil {
		b.t.Fatal(err)
	}
	st, err := b.store.State(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

// end ends a deploy; what serves then is its commit where it succeeded.
func (b *bench) end(st deploy.State, ending deploy.Ending, report deploy.Report) {
	b.t.Helper()
	if ending == deploy.Succeeded {
		report.Observed, report.Serving, report.Slot = true, release(st.Request.Commit), deploy.Blue
	}
	ev := deploy.Event{Deploy: st.ID, Target: st.Target, Kind: deploy.KindEnded, Ending: ending, Report: &report}
	if err := b.store.Append(st.ID, st.N, ev); err != nil {
		b.t.Fatal(err)
	}
}

// live runs the next request well.
func (b *bench) live() { b.t.Helper(); b.end(b.claim(), deploy.Succeeded, deploy.Report{}) }

func release(sha string) deploy.Release {
	return deploy.NewRelease(shop("shop"), deploy.Commit{SHA: sha, Ref: "main"})
}

func TestANewTipIsAskedForOnceAsAPushAsks(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.push("next", "n")
		b.start()
		b.polled()
		b.want("a")
		r := b.wishes()[0].Request
		if !r.Auto || r.Want != deploy.WantDeploy || r.Ref != "main" || r.Title != "change a" || r.Author != "Ada" ||
			r.By != (deploy.Actor{ID: "push:poll", Name: "poll"}) || r.At.IsZero() || !strings.HasPrefix(r.Key, "poll:shop/production:") {
			t.Errorf("asked by %+v", r)
		}
		b.live()
		b.polled()
		b.push("main", "b")
		b.polled()
		b.want("a", "b")
		if n := len(b.remote.looks("shop next")); n != 0 {
			t.Errorf("a branch that nothing deploys by itself was looked at %d times", n)
		}
	})
}

func TestNoPollAndNoRestartAsksAgainForWhatIsKnownHere(t *testing.T) {
	for name, happens := range map[string]func(b *bench){
		"waiting": func(b *bench) {},
		"running": func(b *bench) { b.claim() },
		"live":    func(b *bench) { b.live() },
		"failed": func(b *bench) {
			b.end(b.claim(), deploy.Failed, deploy.Report{Failed: []deploy.Release{release(commit("a"))}})
		},
		"not built": func(b *bench) { b.end(b.claim(), deploy.Failed, deploy.Report{}) },
		"left": func(b *bench) {
			b.end(b.claim(), deploy.Reverted, deploy.Report{Left: []deploy.Release{release(commit("a"))}})
		},
		"cancelled": func(b *bench) { b.end(b.claim(), deploy.Cancelled, deploy.Report{}) },
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, func(b *bench) {
				b.push("main", "a")
				b.start()
				happens(b)
				b.polled()
				b.restart()
				b.polled()
				b.want("a")
			})
		})
	}
}

func TestAFailedTipThatComesBackIsNotTriedAgain(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.push("main", "b")
		b.polled()
		b.end(b.claim(), deploy.Failed, deploy.Report{Serving: release(commit("a")), Slot: deploy.Blue, Failed: []deploy.Release{release(commit("b"))}})
		b.push("main", "a")
		b.polled()
		b.push("main", "b")
		b.polled()
		b.restart()
		b.polled()
		b.want("a", "b")
	})
}

func TestATipThatARevertLeftIsNotBroughtBack(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.push("main", "b")
		b.polled()
		b.end(b.claim(), deploy.Reverted, deploy.Report{Left: []deploy.Release{release(commit("b"))}})
		b.push("main", "c")
		b.polled()
		b.live()
		b.push("main", "b")
		b.polled()
		b.restart()
		b.polled()
		b.want("a", "b", "c")
	})
}

func TestABranchThatGoesBackAndForthIsFollowedEachTime(t *testing.T) {
	onBench(t, func(b *bench) {
		b.start()
		moves := []string{"a", "b", "a", "b", "a"}
		for i, name := range moves {
			if i%2 == 1 {
				b.stop()
				b.push("main", name)
				b.start()
			} else {
				b.push("main", name)
			}
			b.polled()
			b.want(moves[:i+1]...)
			b.live()
		}
		b.restart()
		b.polled()
		b.want(moves...)
	})
}

func TestABranchThatGoesBackWhileItsDeployRunsIsFollowedAfterwards(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.push("main", "b")
		b.polled()
		st := b.claim()
		b.push("main", "a")
		b.polled()
		b.want("a", "b")
		b.end(st, deploy.Succeeded, deploy.Report{})
		b.polled()
		b.want("a", "b", "a")
	})
}

func TestAPersonsChoiceOfAnotherCommitIsLeftAlone(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "b")
		b.start()
		b.live()
		b.submit(deploy.Request{Ref: commit("x")[:7], Commit: commit("x")})
		b.live()
		b.polled()
		b.restart()
		b.polled()
		b.want("b", "x")
		b.push("main", "c")
		b.polled()
		b.want("b", "x", "c")
	})
}

func TestWhatAPersonDeployedFromTheBranchIsNotAskedForAgain(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		id := b.submit(deploy.Request{Ref: "main"})
		b.start()
		b.polled()
		if n := len(b.wishes()); n != 1 {
			t.Errorf("%d requests while it is not known yet what the person's branch is", n)
		}
		c := deploy.Commit{SHA: commit("a"), Ref: "main"}
		if err := b.store.Append(id, 1, deploy.Event{Deploy: id, Target: production, Kind: deploy.KindResolved, Commit: &c}); err != nil {
			t.Fatal(err)
		}
		b.end(b.claim(), deploy.Failed, deploy.Report{})
		b.polled()
		b.restart()
		b.polled()
		if n := len(b.wishes()); n != 1 {
			t.Errorf("%d requests, want the person's one", n)
		}
	})
}

func TestAPersonsChoiceAfterTheTipByItsHashIsLeftAlone(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.stop()
		b.push("main", "b")
		for _, name := range []string{"b", "x"} {
			b.submit(deploy.Request{Ref: commit(name)[:7], Commit: commit(name)})
			b.live()
		}
		b.start()
		b.polled()
		b.want("a", "b", "x")
	})
}

// What a person deployed by its hash becomes the tip, and then is not any more.
func TestAMoveThatWasSeenIsFollowedAlsoWhereTheJournalDoesNotTellIt(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "b")
		b.start()
		b.live()
		b.submit(deploy.Request{Ref: commit("x")[:7], Commit: commit("x")})
		b.live()
		b.stop()
		b.ledger = func(l deployer.Ledger) deployer.Ledger { return &sick{l, 2} }
		b.push("main", "x")
		b.start()
		b.push("main", "b")
		time.Sleep(10 * every)
		b.want("b", "x", "b")
	})
}

// After a reboot ipublish brings the live release back; that is no push of it.
func TestARevivalDoesNotHideThatTheTipFailed(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.push("main", "b")
		b.polled()
		b.end(b.claim(), deploy.Failed, deploy.Report{Serving: release(commit("a")), Slot: deploy.Blue})
		b.submit(deploy.Request{Ref: "main", Commit: commit("a"), By: deploy.SystemActor()})
		b.live()
		b.restart()
		b.polled()
		b.want("a", "b", "a")
	})
}

func TestAPushThatAHookToldOfIsOneDeploy(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.submit(deploy.Request{Ref: "main", Commit: commit("a"), Auto: true, By: deploy.Actor{ID: "push:github"}})
		b.start()
		b.polled()
		b.want("a")
	})
}

func TestATipWhoseTitleSaysSkipDeployIsNotDeployed(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.remote.tips["shop main"] = deploy.Commit{SHA: commit("a"), Title: "Notes [Skip Deploy]"}
		b.start()
		b.polled()
		b.want()
		b.stop()
		if n := strings.Count(b.log.String(), "[skip deploy]"); n != 1 {
			t.Errorf("it was logged %d times", n)
		}
		b.push("main", "b")
		b.start()
		b.want("b")
	})
}

func TestOneLookServesEveryEnvironmentOfABranch(t *testing.T) {
	onBench(t, func(b *bench) {
		b.reload(func(apps []deploy.App) []deploy.App {
			apps[0].Environments[1] = deploy.Environment{Name: "staging", Branch: "main", AutoDeploy: true}
			return apps
		})
		b.push("main", "a")
		b.start()
		b.want("a")
		if all, err := b.store.Waiting(staging); err != nil || len(all) != 1 {
			t.Errorf("staging has %d requests, %v", len(all), err)
		}
		if n := len(b.remote.looks("shop main")); n != 1 {
			t.Errorf("the remote was asked %d times", n)
		}
	})
}

func TestARepositoryThatDoesNotAnswerDelaysNobodyElse(t *testing.T) {
	onBench(t, func(b *bench) {
		b.remote.hangs["forum"] = true
		b.reload(func(apps []deploy.App) []deploy.App { return append([]deploy.App{shop("forum")}, apps...) })
		b.push("main", "a")
		b.start()
		b.want("a")
		time.Sleep(20 * every)
		if n := len(b.remote.looks("shop main")); n < 18 || n > 23 {
			t.Errorf("in 20 intervals shop was looked at %d times", n)
		}
		if n := len(b.remote.looks("forum main")); n < 2 {
			t.Errorf("the repository that hangs was looked at %d times: it holds its own poll", n)
		}
	})
}

func TestFailuresAreLoggedOncePerRowAndSlowThePollDown(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.remote.fail["shop"] = &deploy.Error{Code: deploy.CodeUnavailable, Message: "git.example.com does not answer"}
		b.start()
		time.Sleep(200 * every)
		looks := b.remote.looks("shop main")
		for i, at := range looks[1:] {
			want := min(every<<(i+1), 10*every)
			if gap := at.Sub(looks[i]); gap < want*9/10 || gap > want*11/10 {
				t.Errorf("look %d came after %s, want %s ±10 %%", i+2, gap, want)
			}
		}
		if len(looks) < 15 {
			t.Errorf("%d looks in 200 intervals", len(looks))
		}
		b.remote.change(func() { clear(b.remote.fail) })
		time.Sleep(11 * every)
		b.want("a")
		b.stop()
		if n := strings.Count(b.log.String(), "could not be polled"); n != 1 {
			t.Errorf("the row of failures was logged %d times:\n%s", n, b.log.String())
		}
	})
}

func TestLooksAreApartByTheIntervalWithALittleJitter(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		time.Sleep(50 * every)
		looks := b.remote.looks("shop main")
		gaps := map[time.Duration]bool{}
		for i, at := range looks[1:] {
			gap := at.Sub(looks[i])
			gaps[gap] = true
			if gap < every*9/10 || gap > every*11/10 {
				t.Errorf("a gap of %s", gap)
			}
		}
		if len(looks) < 45 || len(gaps) < 10 {
			t.Errorf("%d looks, %d different gaps", len(looks), len(gaps))
		}
	})
}

func TestAReloadBeginsChangesAndEndsPolling(t *testing.T) {
	onBench(t, func(b *bench) {
		poll := func(d time.Duration) {
			b.reload(func(apps []deploy.App) []deploy.App { apps[0].Poll = deploy.Duration(d); return apps })
		}
		poll(0)
		b.push("main", "a")
		b.start()
		time.Sleep(time.Hour)
		b.want()
		poll(24 * time.Hour)
		time.Sleep(11 * time.Second)
		b.want("a")
		b.live()
		poll(10 * time.Second)
		b.push("main", "b")
		time.Sleep(11 * time.Second)
		b.want("a", "b")
		b.live()
		b.reload(func(apps []deploy.App) []deploy.App { apps[0].Environments[0].AutoDeploy = false; return apps })
		time.Sleep(11 * time.Second)
		before := len(b.remote.looks("shop main"))
		b.push("main", "c")
		time.Sleep(time.Hour)
		if n := len(b.remote.looks("shop main")); n != before {
			t.Errorf("%d looks after polling ended", n-before)
		}
		b.want("a", "b")
		b.reload(func(apps []deploy.App) []deploy.App { apps[0].Environments[0].AutoDeploy = true; return apps })
		time.Sleep(11 * time.Second)
		b.want("a", "b", "c")
	})
}

// A first look at another branch is no move of it.
func TestAnEnvironmentThatFollowsAnotherBranchGetsItsTip(t *testing.T) {
	onBench(t, func(b *bench) {
		follow := func(branch string) {
			b.reload(func(apps []deploy.App) []deploy.App { apps[0].Environments[0].Branch = branch; return apps })
		}
		b.push("main", "a")
		b.push("next", "n")
		b.start()
		b.live()
		follow("next")
		b.polled()
		b.want("a", "n")
	})
}

// sick is a ledger whose Submit fails a few times.
type sick struct {
	deployer.Ledger
	left int
}

func (s *sick) Submit(ctx context.Context, r deploy.Request) (deploy.ID, bool, error) {
	if s.left--; s.left >= 0 {
		return 0, false, &deploy.Error{Code: deploy.CodeUnavailable, Message: "the disk is full"}
	}
	return s.Ledger.Submit(ctx, r)
}

func TestATipThatCouldNotBeRecordedIsAskedForAgain(t *testing.T) {
	onBench(t, func(b *bench) {
		b.push("main", "a")
		b.start()
		b.live()
		b.polled()
		b.stop()
		b.ledger = func(l deployer.Ledger) deployer.Ledger { return &sick{l, 2} }
		b.start()
		b.push("main", "b")
		time.Sleep(10 * every)
		b.want("a", "b")
	})
}
