package deployer

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"ipublish/deploy"
)

const (
	// windowLength is the longest piece of time that is summed up as one.
	windowLength = 5 * time.Second
	// streamPause is the pause before a balancer is asked anew what it sees.
	streamPause = time.Second
)

// lookout watches what users notice while a deploy is under way, independently
// of it: probes of the front door, and real traffic where the balancer tells of
// it. It lives as long as the deploy is worked on by this process.
type lookout struct {
	news  chan struct{} // something went wrong: look
	doubt atomic.Bool
	stop  context.CancelFunc
	work  sync.WaitGroup
	sees  bool // there is something to watch, and somebody takes the windows

	mu       sync.Mutex
	window   deploy.Window
	full     []deploy.Window
	marked   bool                      // the new release has got traffic
	before   deploy.Tally              // probes before that
	since    deploy.Tally              // probes after it
	last     error                     // of the last failed probe
	counters map[string]deploy.Counter // of real traffic: the newest, by address
	windowed map[string]deploy.Counter // … at the window's begin
	first    map[string]deploy.Counter // … at the beginning
	atMark   map[string]deploy.Counter
	samples  []sample // of the last second
}

// sample is what was counted at some moment.
type sample struct {
	at       time.Time
	counters map[string]deploy.Counter
}

// lookOut starts watching, where there is something to watch; before is what was
// probed earlier, while the old release had the traffic.
func (x *effects) lookOut(ctx context.Context, when deploy.When, before deploy.Tally) *lookout {
	l := &lookout{news: make(chan struct{}, 1), window: deploy.Window{When: when, From: time.Now()}, before: before}
	ctx, l.stop = context.WithCancel(ctx)
	if v := x.settings.Verify; v != nil {
		l.sees = true
		p := newProber(x.engine.Front.Open(*v), *v, l)
		l.work.Go(func() { p.run(ctx) })
	}
	route := x.routeOf(deploy.Step{})
	if b, err := x.watcher(); err == nil && route.Op == deploy.OpRoute {
		if w, ok := b.(Watcher); ok {
			l.sees = true
			l.work.Go(func() { l.stream(ctx, w, route) })
		}
	}
	return l
}

// stream listens to the balancer, anew when it falls silent.
func (l *lookout) stream(ctx context.Context, w Watcher, route deploy.Step) {
	for ctx.Err() == nil {
		_ = w.Watch(ctx, route, l.counted) // why it ended does not matter: it is asked again
		if !wait(ctx, streamPause) {
			return
		}
	}
}

// end stops watching and returns when that is so.
func (l *lookout) end() {
	l.stop()
	l.work.Wait()
}

// switched reports whether the new release has the traffic: what began before
// that is not held against it.
func (l *lookout) switched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marked
}

func (l *lookout) passed(took time.Duration, switched bool) {
	t := deploy.Tally{Requests: 1, Latency: deploy.Latencies{}}
	t.Latency.Add(took)
	l.probed(t, nil, switched)
}

func (l *lookout) stumbled(err error, switched bool) {
	l.probed(deploy.Tally{Requests: 1, Stumbles: 1, Kinds: kinds(err)}, nil, switched)
}

func (l *lookout) failed(err error, switched bool) {
	l.probed(deploy.Tally{Requests: 1, Failures: 1, Kinds: kinds(err)}, err, switched)
	l.ring()
}

func kinds(err error) map[string]uint64 {
	return map[string]uint64{deploy.AsError(err).Subject: 1}
}

func (l *lookout) probed(t deploy.Tally, failure error, switched bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll()
	l.window.Probes = l.window.Probes.Plus(t)
	switch {
	case !switched:
		l.before = l.before.Plus(t)
	case failure != nil:
		l.last = failure
		fallthrough
	default:
		l.since = l.since.Plus(t)
	}
}

// counted takes the balancer's newest view.
func (l *lookout) counted(t deploy.Traffic) {
	l.mu.Lock()
	was := l.counters
	if l.counters = t.Counters; l.first == nil {
		l.first, l.windowed, l.atMark = t.Counters, t.Counters, t.Counters
	}
	l.roll()
	l.sampled()
	l.mu.Unlock()
	if was == nil {
		return
	}
	all, elsewhere := sum(t.Counters, was), sum(without(t.Counters, t.Up), was)
	if all.Failures+elsewhere.Requests > 0 {
		l.doubt.Store(true)
		l.ring()
	}
	if all.Errors5 > 0 {
		l.ring()
	}
}

// doubted reports whether the process that has the traffic may be gone: since
// the last call a request got no answer, or went to an address that gets none
// unless a connect to the other was refused.
func (l *lookout) doubted() bool { return l.doubt.Swap(false) }

// sampled remembers this moment, and forgets those before the last second but one.
func (l *lookout) sampled() {
	now := time.Now()
	l.samples = append(l.samples, sample{at: now, counters: l.counters})
	for len(l.samples) > 1 && now.Sub(l.samples[1].at) >= time.Second {
		l.samples = l.samples[1:]
	}
}

// ring wakes the judge; it never blocks.
func (l *lookout) ring() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// await blocks until something went wrong, d has passed or ctx ended.
func (l *lookout) await(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.news:
		return nil
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roll closes a window that is long enough.
func (l *lookout) roll() {
	if time.Since(l.window.From) >= windowLength {
		l.cut(l.window.When)
	}
}

// cut closes the window and opens the next one; empty ones are told too, for
// somebody watched.
func (l *lookout) cut(when deploy.When) {
	l.window.To = time.Now()
	l.window.Real = sum(l.counters, l.windowed)
	if l.sees {
		l.full = append(l.full, l.window)
	}
	l.window = deploy.Window{When: when, From: l.window.To}
	l.windowed = l.counters
}

// enter says in which part of the deploy one is now.
func (l *lookout) enter(when deploy.When) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if when != l.window.When {
		l.cut(when)
	}
}

// mark says that from now on the new release has traffic.
func (l *lookout) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marked {
		return
	}
	l.marked, l.atMark, l.samples = true, l.counters, nil
	select {
	case <-l.news: // it was about the old one
	default:
	}
}

// renew judges from now on what comes from now on, against all that was before.
func (l *lookout) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.atMark, l.first = l.counters, l.counters
}

// take gives what was seen since the last call, to be journaled; back gives it
// back where it was not.
func (l *lookout) take() []deploy.Window {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut(l.window.When)
	return l.takeFull()
}

// takeWhole gives the windows that are full.
func (l *lookout) takeWhole() []deploy.Window {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll()
	return l.takeFull()
}

func (l *lookout) takeFull() []deploy.Window {
	out := l.full
	l.full = nil
	return out
}

func (l *lookout) back(windows []deploy.Window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = append(windows, l.full...)
}

// sum adds up what was counted to all addresses after earlier.
func sum(now, earlier map[string]deploy.Counter) deploy.Tally {
	var t deploy.Tally
	for addr, c := range now {
		t = t.Count(c, earlier[addr])
	}
	return t
}

// only leaves the counters of some addresses.
func only(all map[string]deploy.Counter, addrs []string) map[string]deploy.Counter {
	out := map[string]deploy.Counter{}
	for _, a := range addrs {
		out[a] = all[a]
	}
	return out
}

// without leaves the counters of all other addresses.
func without(all map[string]deploy.Counter, addrs []string) map[string]deploy.Counter {
	out := maps.Clone(all)
	for _, a := range addrs {
		delete(out, a)
	}
	return out
}
