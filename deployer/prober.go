package deployer

import (
	"context"
	"sync"
	"time"

	"ipublish/deploy"
)

const (
	// oddment keeps probes from falling on the same instants as everything else
	// that is done so many times a second.
	oddment = 137 * time.Microsecond
	// closePause is the pause between probes while one that failed, and then did
	// not, is looked into, for closeLook.
	closePause = 20 * time.Millisecond
	closeLook  = 3 * time.Second
	// probesAtOnce bounds the probes that are waiting for an answer.
	probesAtOnce = 16
)

// prober asks the front door steadily, over a kept connection and a new one in
// turn, whatever the deploy is doing. What it sees it tells lookout.
type prober struct {
	door    Door
	verify  deploy.Verify
	lookout *lookout

	waiting chan struct{} // one token a probe on its way
	line    chan struct{} // the one kept connection
	hurry   chan struct{} // a closer look begins
	asked   sync.WaitGroup

	mu    sync.Mutex
	close time.Time // probes follow closely until then
}

func newProber(door Door, v deploy.Verify, l *lookout) *prober {
	return &prober{door: door, verify: v, lookout: l, waiting: make(chan struct{}, probesAtOnce), line: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
}

// run probes until ctx ends and returns when the last probe did.
func (p *prober) run(ctx context.Context) {
	defer p.door.Close()
	defer p.asked.Wait()
	for kept := true; ; kept = !kept {
		if kept {
			p.start(ctx, p.line, p.door.Kept)
		} else {
			p.start(ctx, p.waiting, p.door.Once)
		}
		if !p.rest(ctx) {
			return
		}
	}
}

// rest waits until the next probe is due; false if ctx ended first.
func (p *prober) rest(ctx context.Context) bool {
	t := time.NewTimer(p.pause())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.hurry:
		return wait(ctx, closePause)
	case <-ctx.Done():
		return false
	}
}

// start asks in the background; where too many wait already it does not.
func (p *prober) start(ctx context.Context, tokens chan struct{}, ask func(context.Context) error) {
	select {
	case tokens <- struct{}{}:
	default:
		return
	}
	p.asked.Go(func() {
		defer func() { <-tokens }()
		p.one(ctx, ask)
	})
}

// one asks, and where that fails at once again: a failure counts when it fails
// twice, or when another one follows it closely.
func (p *prober) one(ctx context.Context, ask func(context.Context) error) {
	began, switched := time.Now(), p.lookout.switched()
	err := ask(ctx)
	took := time.Since(began)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		p.lookout.passed(took, switched)
		return
	}
	again := p.door.Once(ctx)
	stale := switched != p.lookout.switched() // the two were answered by two releases
	switch {
	case ctx.Err() != nil:
	case again != nil, !stale && p.stumbles():
		p.lookout.failed(err, switched)
	default:
		p.lookout.stumbled(err, switched)
	}
}

// stumbles begins a closer look, and reports whether one was going on already.
func (p *prober) stumbles() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := time.Now().Before(p.close)
	p.close = time.Now().Add(closeLook)
	select {
	case p.hurry <- struct{}{}:
	default:
	}
	return before
}

func (p *prober) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := p.verify.Interval.D()
	if time.Now().Before(p.close) {
		pause = min(pause, closePause)
	}
	return pause + oddment
}
