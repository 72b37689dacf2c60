package sim_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/sim"
	"ipublish/store"
)

var target = deploy.Target{App: "shop", Env: "production"}

// rig is one run: the real engine and store against one world.
type rig struct {
	dir    string
	world  *sim.World
	app    deploy.App
	mutate mutation
	log    *slog.Logger

	mu      sync.Mutex
	store   *store.Store
	ids     []deploy.ID                // in the order of submission
	ended   map[deploy.ID]deploy.State // reading them again and again costs most of a run
	stop    context.CancelFunc
	done    chan error
	last    deploy.Request // as submitted
	gone    atomic.Bool    // the environment is not in the configuration
	deaths  int
	prelude int // boundaries passed until release 1 was live
}

// mutation plants a bug: it wraps what the engine works with.
type mutation func(*deployer.Options)

// setup is what a run is made of.
type setup struct {
	scenario scenario
	seed     uint64
	crashAt  []sim.Boundary
	rates    sim.Rates
	lag      time.Duration // of the balancer
	mutate   mutation
	verbose  bool
}

// result is what a run left.
type result struct {
	violations []string
	marks      []int // by boundary, the changes before it
	prelude    int
	journal    string
	endings    []deploy.Ending
	story      string
}

func hosts(n int) map[deploy.HostID]string {
	out := map[deploy.HostID]string{}
	for i := range n {
		out[deploy.HostID(fmt.Sprintf("web-%d", i+1))] = fmt.Sprintf("10.0.0.%d", i+1)
	}
	return out
}

func configured(n int) deploy.App {
	d := func(s time.Duration) deploy.Duration { return deploy.Duration(s) }
	app := deploy.App{
		Name: "shop", Repository: "https://git.example.com/acme/shop.git", Keep: 2,
		Runtime: deploy.Section{Driver: "sim"}, Build: deploy.Build{Timeout: d(time.Minute)},
		Health: deploy.Health{
			Path: "/healthz", Method: "GET", ExpectStatus: []int{200}, ExpectRelease: "process",
			Interval: d(time.Second), Timeout: d(2 * time.Second), SuccessThreshold: 1, FailureThreshold: 3,
			MinHealthyTime: d(3 * time.Second), HealthyDeadline: d(15 * time.Second),
		},
	}
	env := deploy.Environment{
		Name: "production", Branch: "main", AutoDeploy: true, ReleaseDir: "/srv/ipublish", AutoRevert: true,
		BlueGreen: deploy.BlueGreen{Blue: 8080, Green: 8081, BakeTime: d(8 * time.Second), KeepOld: d(30 * time.Second)},
		Balancer:  deploy.Section{Driver: "sim"}, DrainTimeout: d(5 * time.Second), StopTimeout: d(10 * time.Second),
		ProgressDeadline: d(2 * time.Minute),
	}
	for id, addr := range hosts(n) {
		env.Hosts = append(env.Hosts, deploy.Host{ID: id, Address: addr, Driver: deploy.Section{Driver: "sim"}})
	}
	slices.SortFunc(env.Hosts, func(a, b deploy.Host) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if n == 1 {
		env.Verify = &deploy.Verify{URL: "http://shop.example.com/", Interval: d(2 * time.Second), Health: app.Health}
	}
	app.Environments = []deploy.Environment{env}
	return app
}

// run plays a setup inside a bubble of virtual time.
func run(t *testing.T, s setup) (res result) {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "ipublish-sim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) { res = play(t, s, dir) })
	return res
}

// memory is a folder in memory where the machine has one.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func play(t *testing.T, s setup, dir string) result {
	n := 1 + int(s.seed%2)
	r := &rig{dir: dir, app: configured(n), mutate: s.mutate, ended: map[deploy.ID]deploy.State{}, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if s.verbose {
		r.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r.world = sim.NewWorld(s.seed, 5*time.Second, 3*time.Second, hosts(n))
	r.world.Rates = s.rates
	r.world.Journal = r.journal
	r.world.FaultsUntil(time.Now().Add(4 * time.Minute))
	r.world.Lag = s.lag
	r.world.CrashAt(s.crashAt, r.crash)
	r.start(t)
	s.scenario.play(t, r)
	r.settle(t)
	res := r.judge(t)
	r.shutDown(t)
	return res
}

// start opens the store and runs an engine on it.
func (r *rig) start(t *testing.T) {
	st, err := store.Open(r.dir, store.Options{NoSync: true})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := deployer.Options{
		Journal: journal{r, st}, Ledger: &ledger{Ledger: st, w: r.world}, Drivers: sim.Drivers{W: r.world}, Source: sim.Source{W: r.world},
		Artifacts: sim.Source{W: r.world}, Front: sim.Front{W: r.world},
		Config: func(t deploy.Target) (deploy.App, deploy.Environment, bool) {
			return r.app, r.app.Environments[0], t == target && !r.gone.Load()
		},
		Targets: func() []deploy.Target { return []deploy.Target{target} }, History: st,
		Authorize: func(deploy.Request) *deploy.Error { return nil }, Log: r.log,
	}
	if r.mutate != nil {
		r.mutate(&o)
	}
	r.mu.Lock()
	r.store, r.stop, r.done = st, cancel, make(chan error, 1)
	done := r.done
	r.mu.Unlock()
	go func() { done <- deployer.New(o).Run(ctx) }()
	synctest.Wait()
}

// crash is called by the world in the middle of a call of the bot.
func (r *rig) crash() { r.stop() }

// tend restarts the bot when it is down.
func (r *rig) tend(t *testing.T) {
	synctest.Wait()
	if !r.world.Crashed() {
		return
	}
	r.shutDown(t)
	r.deaths++
	r.world.Revive(r.crash)
	r.start(t)
}

func (r *rig) shutDown(t *testing.T) {
	r.stop()
	if err := <-r.done; err != nil && !r.world.Crashed() {
		t.Errorf("the engine ended: %v", err)
	}
	if err := r.store.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
}

// read gives a deploy's state; what has ended does not change any more.
func (r *rig) read(id deploy.ID) (deploy.State, error) {
	if st, ok := r.ended[id]; ok {
		return st, nil
	}
	st, err := r.store.State(id)
	if err == nil && st.Ended() {
		r.ended[id] = st
	}
	return st, err
}

// journal is the world's look into the bot's books.
func (r *rig) journal(id deploy.ID) (deploy.State, deploy.Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st, _ := r.store.State(id)
	live, _ := r.store.Live(target)
	return st, live
}

// submit queues a request, as a webhook or a person does: it is repeated under
// the same key until it is acknowledged, also over a crash.
func (r *rig) submit(t *testing.T, req deploy.Request) deploy.ID {
	t.Helper()
	req.App, req.Env, req.By = target.App, target.Env, deploy.Actor{ID: "cli:test"}
	req.Key = fmt.Sprintf("test:%d", len(r.ids))
	r.tend(t)
	id, _, err := r.store.Submit(t.Context(), req)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	r.ids, r.last = append(r.ids, id), req
	synctest.Wait()
	return id
}

// again delivers the newest request once more, under the same key or another
// one: it is the same deploy (I13).
func (r *rig) again(t *testing.T, key string) {
	t.Helper()
	req, want := r.last, r.ids[len(r.ids)-1]
	if key != "" {
		req.Key = key
	}
	r.tend(t)
	id, fresh, err := r.store.Submit(t.Context(), req)
	if err != nil {
		t.Fatalf("submit again: %v", err)
	}
	if id != want || fresh {
		r.world.Violate("I13 idempotent accept: %s was delivered again and became %s", want, id)
	}
	synctest.Wait()
}

// until waits in virtual time until the deploy satisfies cond; the limit is generous.
func (r *rig) until(t *testing.T, id deploy.ID, limit time.Duration, cond func(deploy.State) bool) bool {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		r.tend(t)
		if st, err := r.read(id); err == nil && cond(st) {
			return true
		}
	}
	return false
}

// order appends what a person says to a claimed deploy; false if it is too late.
func (r *rig) order(t *testing.T, id deploy.ID, kind deploy.Kind) bool {
	t.Helper()
	for range 50 {
		r.tend(t)
		st, err := r.read(id)
		if err != nil || !st.Active() {
			return false
		}
		by := deploy.Actor{ID: "cli:test"}
		err = r.store.Append(id, st.N, deploy.Event{Kind: kind, By: &by, At: time.Now()})
		if err == nil {
			return true
		}
		if deploy.CodeOf(err) != deploy.CodeConflict {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	return false
}

// settle lets the faults stop and acts as the human that stuck deploys call for.
func (r *rig) settle(t *testing.T) {
	r.unlock(t)
	ended := func(st deploy.State) bool { return st.Ended() }
	quiet := func(st deploy.State) bool { return st.Ended() || st.Phase == deploy.PhaseStuck }
	for id := deploy.ID(1); r.exists(t, id); id++ {
		if !r.until(t, id, 20*time.Minute, quiet) {
			for other := id + 1; r.exists(t, other); other++ {
				if st, _ := r.read(other); st.Phase == deploy.PhaseStuck {
					r.attend(t, other) // it overtook this one, and is held
				}
			}
			r.unlock(t) // a rollback that ended after the first unlock
			r.until(t, id, 20*time.Minute, quiet)
		}
		r.attend(t, id)
		if !r.until(t, id, time.Minute, ended) {
			st, _ := r.read(id)
			r.world.Violate("liveness: %s is still %s (step %d, stuck %v, err %v)", id, st.Phase, st.Next, st.Stuck, st.Err)
		}
	}
	r.world.FaultsUntil(time.Now())
	r.retire(t)
}

// attend is what a person does for a deploy that does not end by itself.
func (r *rig) attend(t *testing.T, id deploy.ID) {
	ended := func(st deploy.State) bool { return st.Ended() }
	quiet := func(st deploy.State) bool { return st.Ended() || st.Phase == deploy.PhaseStuck }
	for _, kind := range []deploy.Kind{deploy.KindResume, deploy.KindCancel, deploy.KindAbandon} {
		if r.until(t, id, time.Second, ended) {
			return
		}
		r.world.FaultsUntil(time.Now())
		r.order(t, id, kind)
		time.Sleep(time.Second)
		r.until(t, id, 10*time.Minute, quiet)
	}
}

// unlock is what a person does when nothing holds deploys back any more.
func (r *rig) unlock(t *testing.T) {
	r.until(t, r.submit(t, deploy.Request{Want: deploy.WantUnlock}), time.Minute, deploy.State.Ended)
}

// exists reports whether the deploy was ever accepted; numbers have no gaps here.
func (r *rig) exists(t *testing.T, id deploy.ID) bool {
	t.Helper()
	_, err := r.read(id)
	if err != nil && deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Fatal(err)
	}
	return err == nil
}
