package proxy

import (
	"sync/atomic"
	"time"

	"ipublish/deploy"
)

// latencies are deploy.Latencies that many requests count in at once, without a
// lock and without an allocation.
type latencies [deploy.LatencyBuckets]atomic.Uint64

func (l *latencies) add(d time.Duration) { l[deploy.LatencyBucket(d)].Add(1) }

// told are those buckets that have something; nil: none has.
func (l *latencies) told() deploy.Latencies {
	var told deploy.Latencies
	for bucket := range l {
		n := l[bucket].Load()
		if n == 0 {
			continue
		}
		if told == nil {
			told = deploy.Latencies{}
		}
		told[bucket] = n
	}
	return told
}
