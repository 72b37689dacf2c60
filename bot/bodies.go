package bot

import (
	"errors"
	"io"
	"runtime/debug"

	"golang.org/x/sync/semaphore"
)

// errBodiesFull: the bodies being read fill their memory already.
var errBodiesFull = errors.New("too many bodies at once")

// bodies reads request bodies within one budget of memory for all of them, so
// that a crowd of large or slow senders cannot exhaust the machine.
type bodies struct {
	budget *semaphore.Weighted
}

func newBodies(limit int64) *bodies { return &bodies{budget: semaphore.NewWeighted(limit)} }

// read reads all of r. release gives the memory back; it is nil after an error.
func (b *bodies) read(r io.Reader) (raw []byte, release func(), err error) {
	m := &metered{r: r, budget: b.budget}
	raw, err = io.ReadAll(m)
	if err != nil {
		m.release()
		return nil, nil, err
	}
	return raw, m.release, nil
}

// metered takes from the budget what was really read.
type metered struct {
	r      io.Reader
	budget *semaphore.Weighted
	held   int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if !m.budget.TryAcquire(int64(n)) {
		return 0, errBodiesFull
	}
	m.held += int64(n)
	return n, err
}

func (m *metered) release() {
	m.budget.Release(m.held)
	m.held = 0
}

func stack() string { return string(debug.Stack()) }
