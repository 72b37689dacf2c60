package deploy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

func TestAQuantileIsAtMostSixPercentTooHigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "took"))
		l := deploy.Latencies{}
		l.Add(d)
		got := l.Quantile(0.5)
		if got < d-time.Microsecond || got > d+d*7/100+2*time.Microsecond {
			t.Errorf("%s is told as %s", d, got)
		}
	})
}

func TestBucketsRiseWithTime(t *testing.T) {
	last := -1
	for us := range int64(1 << 17) {
		b := deploy.LatencyBucket(time.Duration(us) * time.Microsecond)
		if b < last || b > last+1 {
			t.Fatalf("%d µs: bucket %d after %d", us, b, last)
		}
		last = b
	}
	if b := deploy.LatencyBucket(1 << 62); b != deploy.LatencyBuckets-1 {
		t.Errorf("the longest time is in bucket %d", b)
	}
}

func TestLatenciesAddUpAndAreToldSince(t *testing.T) {
	a, b := deploy.Latencies{}, deploy.Latencies{}
	for range 98 {
		a.Add(time.Millisecond)
	}
	b.Add(time.Second)
	b.Add(2 * time.Second)
	sum := a.Plus(b)
	if sum.Count() != 100 || a.Count() != 98 {
		t.Errorf("%d and %d", sum.Count(), a.Count())
	}
	if p50, p99 := sum.Quantile(0.5), sum.Quantile(0.99); p50 > 2*time.Millisecond || p99 < 2*time.Second {
		t.Errorf("p50 %s, p99 %s", p50, p99)
	}
	if d := sum.Since(a); d.Count() != 2 || d.Quantile(0.5) < 2*time.Second {
		t.Errorf("since: %v", d)
	}
	if d := b.Since(sum); d.Count() != 2 {
		t.Errorf("counted anew: %v", d)
	}
	if q := (deploy.Latencies)(nil).Quantile(0.99); q != 0 {
		t.Errorf("of nothing: %s", q)
	}
}
