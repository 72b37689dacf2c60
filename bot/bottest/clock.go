package bottest

import (
	"sync"
	"testing"
	"time"
)

// Clock is the real time plus what a test has let pass. Fakes judge ages and
// rates by it, so that no test waits.
type Clock struct {
	mu     sync.Mutex
	passed time.Duration
}

// Now returns the clock's time; it fits every driver's clock option.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.passed)
}

// Advance lets d pass at once.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}

// Eventually waits until ok is true; it fails the test after ten seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// meter counts events within a window that slides.
type meter struct {
	most   int
	window time.Duration
	past   []time.Time
}

// take counts one event at now, or tells how long to wait until it is allowed.
func (m *meter) take(now time.Time) (wait time.Duration) {
	for len(m.past) > 0 && now.Sub(m.past[0]) >= m.window {
		m.past = m.past[1:]
	}
	if len(m.past) >= m.most {
		return m.window - now.Sub(m.past[0])
	}
	m.past = append(m.past, now)
	return 0
}
