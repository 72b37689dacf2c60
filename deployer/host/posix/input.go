package posix

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Input passes a reader through for the time of one call. It remembers how the
// reader failed, so that a source that broke is not mistaken for one that ended.
// And it gives nothing after the call's context ended: a caller that is
// cancelled may close its source, which then looks complete and is not.
type Input struct {
	from  io.Reader
	ended func() error
	mu    sync.Mutex
	err   error
}

// NewInput wraps r for a call with ctx. r may be nil: then it is empty.
func NewInput(ctx context.Context, r io.Reader) *Input {
	return &Input{from: r, ended: ctx.Err}
}

// Read implements io.Reader.
func (i *Input) Read(p []byte) (int, error) {
	if i.from == nil {
		return 0, io.EOF
	}
	n, err := i.from.Read(p)
	if over := i.ended(); over != nil {
		return 0, over
	}
	if err != nil && !errors.Is(err, io.EOF) {
		i.mu.Lock()
		i.err = err
		i.mu.Unlock()
	}
	return n, err
}

// Err is the failure of the source, nil if it ended properly or goes on.
func (i *Input) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}
