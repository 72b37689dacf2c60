package deploy

import (
	"maps"
	"math/bits"
	"slices"
	"time"
)

// Latencies counts answers by how long they took: bucket → answers. Two of them
// add up to one, so that minutes and phases can be put together later.
type Latencies map[int]uint64

// Sixteen buckets an octave: a quantile is told at most 6 % too high.
const (
	latencyBits = 4
	latencySub  = 1 << latencyBits
)

// LatencyBuckets is how many buckets there are; what takes longer than the last
// one's bound, 19 hours, is in the last one.
const LatencyBuckets = 33 * latencySub

// LatencyBucket is the bucket of an answer that took d, from 0; microseconds
// below 16 have buckets of their own.
func LatencyBucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < latencySub {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - latencyBits
	return min(shift*latencySub+int(us>>shift), LatencyBuckets-1)
}

// latencyBound is the longest time that a bucket holds.
func latencyBound(bucket int) time.Duration {
	if bucket < latencySub {
		return time.Duration(bucket+1) * time.Microsecond
	}
	shift := bucket/latencySub - 1
	return time.Duration(bucket%latencySub+latencySub+1) << shift * time.Microsecond
}

// Add counts one answer.
func (l Latencies) Add(d time.Duration) { l[LatencyBucket(d)]++ }

// Plus gives the sum as a value of its own; nil where both are empty.
func (l Latencies) Plus(o Latencies) Latencies {
	if len(l)+len(o) == 0 {
		return nil
	}
	sum := Latencies{}
	maps.Copy(sum, l)
	for b, n := range o {
		sum[b] += n
	}
	return sum
}

// Since gives what was counted after earlier; all of it, if the count began anew.
func (l Latencies) Since(earlier Latencies) Latencies {
	diff := Latencies{}
	for b, n := range l {
		if n > earlier[b] {
			diff[b] = n - earlier[b]
		}
	}
	for b, n := range earlier {
		if l[b] < n {
			return l.Plus(nil)
		}
	}
	return diff
}

// Count is how many answers were counted.
func (l Latencies) Count() uint64 {
	var n uint64
	for _, c := range l {
		n += c
	}
	return n
}

// Quantile is the time within which the share q of the answers came, at most
// 6 % too high; 0 without answers.
func (l Latencies) Quantile(q float64) time.Duration {
	left := uint64(q * float64(l.Count()))
	var bound time.Duration
	for _, b := range slices.Sorted(maps.Keys(l)) {
		bound = latencyBound(b)
		if l[b] > left {
			break
		}
		left -= l[b]
	}
	return bound
}
