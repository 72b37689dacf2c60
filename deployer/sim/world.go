package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"ipublish/deploy"
)

// World is the omniscient state of everything outside the bot. Its methods are
// safe for concurrent use.
type World struct {
	Seed  uint64
	Rates Rates
	Lag   time.Duration // until what was routed is in force
	// Journal returns the journaled state of a deploy and its environment, for
	// the write-ahead check.
	Journal func(deploy.ID) (deploy.State, deploy.Live)
	Fleet   *Fleet // nil: two slots

	mu         sync.Mutex
	machines   map[deploy.HostID]*machine
	up         map[string]bool
	coming     *table
	orphans    []orphan
	turns      []turning            // of a fleet
	looks      map[string]bool      // of a fleet: what the balancer's own look at the host sees
	doorPasses int                  // of the front door since the table changed
	known      map[string]bool      // addresses that were ever in the table
	left       map[string]time.Time // when an address lost its traffic
	busy       map[string][]time.Time
	counters   map[string]deploy.Counter
	file       string
	behaviours map[string]Behaviour // by commit
	branches   map[string]string    // tips
	sources    map[string]*rand.Rand
	points     int            // boundaries passed
	changes    int            // of the world and the journal
	marks      []int          // by boundary, the changes before it
	visits     map[string]int // the same, by fake
	crashAt    map[Boundary]bool
	crashTime  time.Time
	crash      func()
	crashed    bool
	faultsEnd  time.Time
	violations []string
	abandoned  bool
	drainTime  time.Duration
	minHold    time.Duration
	hands      hands
	leases     map[deploy.Slot]time.Time // until when a warm slot must live
}

// Rates are the chances (0 to 1) that one call goes wrong in one way.
type Rates struct {
	Before float64 // fails before it happened
	After  float64 // happens, and reports a failure
	Slow   float64 // takes up to three seconds
	Refuse float64 // fails for good
	Gone   float64 // the host disappears for up to twenty seconds
	Append float64 // the journal refuses a record
	Late   float64 // a command's connection is lost, and it begins only later
	Lost   float64 // the balancer says that it routed, and did not
	Door   float64 // the front door fails although all is well behind it
}

// Boundary is a place where the bot may crash: the n-th one of a fake, or the
// n-th of all where Fake is empty.
type Boundary struct {
	Fake string
	N    int
}

// NewWorld returns an empty world with the given hosts (id → address), where
// draining may take drain and an instance must have been healthy for hold.
func NewWorld(seed uint64, drain, hold time.Duration, hosts map[deploy.HostID]string) *World {
	w := &World{
		Seed: seed, machines: map[deploy.HostID]*machine{}, up: map[string]bool{}, known: map[string]bool{},
		looks: map[string]bool{}, left: map[string]time.Time{}, busy: map[string][]time.Time{}, counters: map[string]deploy.Counter{},
		behaviours: map[string]Behaviour{}, branches: map[string]string{}, sources: map[string]*rand.Rand{},
		crashAt: map[Boundary]bool{}, visits: map[string]int{}, leases: map[deploy.Slot]time.Time{}, hands: newHands(), drainTime: drain, minHold: hold,
	}
	for id, addr := range hosts {
		w.machines[id] = &machine{id: id, addr: addr, procs: map[int]*process{}, dirs: map[string]string{}}
	}
	return w
}

// Behave sets how the processes of a commit behave from now on.
func (w *World) Behave(commit string, b Behaviour) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behaviours[commit] = b
}

// Push moves a branch's tip.
func (w *World) Push(branch, commit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.branches[branch] = commit
}

// CrashAt makes the bot crash when one of the boundaries is reached; crash is
// called once for it, and from then on every call of the bot fails unheard.
func (w *World) CrashAt(points []Boundary, crash func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range points {
		w.crashAt[p] = true
	}
	w.crash = crash
}

// Revive ends a crash: a new bot may call again, and crash is called at its next one.
func (w *World) Revive(crash func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashed, w.crash = false, crash
}

// Crashed reports whether the bot is down.
func (w *World) Crashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed
}

// FaultsUntil sets when the world stops to go wrong.
func (w *World) FaultsUntil(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faultsEnd = t
}

// Points is the number of boundaries passed so far.
func (w *World) Points() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.points
}

// Changed tells that something is durable that was not before.
func (w *World) Changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes++
}

// Marks tells for each boundary how many changes came before it: a crash at one
// of two boundaries with the same number leaves the same world and journal.
func (w *World) Marks() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.marks)
}

// Violations lists what the checker saw, in order.
func (w *World) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// Violate records a violation that a test found.
func (w *World) Violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violate(format, args...)
}

func (w *World) violate(format string, args ...any) {
	w.violations = append(w.violations, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

var errDown = &deploy.Error{Code: deploy.CodeCancelled, Op: "sim", Message: "the bot is down", Err: context.Canceled}

// Pass counts a boundary of the named fake, and fails when the bot is down.
func (w *World) Pass(fake string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(fake)
}

func (w *World) pass(fake string) error {
	if w.crashed && !w.besides(fake) {
		return errDown
	}
	all, own := Boundary{N: w.points}, Boundary{Fake: fake, N: w.visits[fake]}
	w.points++
	w.visits[fake]++
	w.marks = append(w.marks, w.changes)
	if w.crashAt[all] || w.crashAt[own] {
		w.crashed, w.crashTime = true, time.Now()
		if w.crash != nil {
			w.crash()
		}
		return errDown
	}
	return nil
}

// besides reports whether a call belongs to the same instant as the crash on
// another host: hosts work in parallel, and whose call came first is nobody's
// to say, so each of them still happens.
func (w *World) besides(fake string) bool {
	return strings.Contains(fake, ":") && time.Now().Equal(w.crashTime)
}

// random is the source of one fake.
func (w *World) random(name string) *rand.Rand {
	r, ok := w.sources[name]
	if !ok {
		h := fnv.New64a()
		h.Write([]byte(name))
		r = rand.New(rand.NewPCG(w.Seed, h.Sum64()))
		w.sources[name] = r
	}
	return r
}
