package bot

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause = time.Second
	// maxPause is the longest pause where trouble passes by itself.
	maxPause = time.Minute
	// personPause is the longest pause where a person must mend something first.
	personPause = 10 * time.Minute
)

// backoff gives growing pauses with jitter: 1 s, 2 s, 4 s … at most the given
// one, each shortened at random by up to half, so that a crowd does not return
// at once.
type backoff struct {
	failures int
}

func (b *backoff) next(most time.Duration) time.Duration {
	full := min(firstPause<<min(b.failures, 20), most)
	b.failures++
	return full/2 + rand.N(full/2+1)
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
