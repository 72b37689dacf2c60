package config

import (
	"cmp"

	"ipublish/deploy"
)

// rolling reads the strategy that replaces the release on n hosts, a few at a time.
func (b *building) rolling(key string, n int, f rollingFile) deploy.Rolling {
	r := deploy.Rolling{
		Port: f.Port, MaxParallel: given(f.MaxParallel, 1), BakeTime: lasting(f.BakeTime, 0), MaxFailedHosts: f.MaxFailedHosts,
		OnHostFailure:    deploy.OnFailure(cmp.Or(f.OnHostFailure, string(deploy.OnFailureRevert))),
		UnreachableAfter: lasting(f.UnreachableAfter, seconds(30)),
	}
	switch {
	case !port(r.Port):
		b.fail(key+".port", "it is the app's port on every host, from 1 to 65535, such as `port: 9001`")
	case r.MaxParallel < 1:
		b.fail(key+".max_parallel", "at least 1 host at a time is replaced, or nothing ever is")
	case r.UnreachableAfter == 0:
		b.fail(key+".unreachable_after", "it is more than zero: how long a host may be silent before it counts as failed, such as 30s")
	}
	r.MinHealthy = b.floor(key, n, r.MaxParallel, f.MinHealthy)
	r.Batches = b.batches(key+".batches", n, f.Batches)
	b.onFailure(key, n, r)
	return r
}

// floor reads min_healthy: how many of n hosts stay in traffic.
func (b *building) floor(key string, n, parallel int, written *share) int {
	floor := max(n-parallel, 1)
	if n == 1 {
		floor = 0 // there is nobody to serve meanwhile
	}
	if written != nil {
		floor = roundedUp(b.share(key+".min_healthy", *written), n)
	}
	switch {
	case n == 0: // told as such
	case floor >= n && n == 1:
		b.fail(key+".min_healthy", "the only host cannot stay in traffic while it is replaced: leave min_healthy out, or write 0, and users notice every deploy; or use blue_green")
	case floor >= n:
		b.fail(key+".min_healthy", "%d of %d hosts leave none that may be replaced: at most %d", floor, n, n-1)
	case parallel > n-floor:
		b.fail(key+".max_parallel", "%d at a time is more than %d hosts - min_healthy %d = %d: write max_parallel: %d, or a lower min_healthy", parallel, n, floor, n-floor, n-floor)
	}
	return floor
}

// batches reads the cumulative shares; the last one is all hosts. A share that
// adds no host, as 10% and 20% of four, is left out.
func (b *building) batches(key string, n int, written []share) []deploy.Share {
	var out []deploy.Share
	last := deploy.Share{}
	for _, text := range written {
		s := b.share(key, text)
		switch {
		case s == (deploy.Share{}):
			b.fail(key, "a batch of %s has no host: the first one is at least 1 or 1%%", text)
		case s.Hosts > n && n > 0:
			b.fail(key, "%s are more than the %d hosts: leave it out, the last batch is all of them by itself", text, n)
		case !rises(last, s, n):
			b.fail(key, "%s after %s is no more: each number is how many hosts have the new release by then, as in [10%%, 50%%, 100%%] or [1, 5]", text, last)
		}
		if len(out) == 0 || s.Of(n) > last.Of(n) {
			out = append(out, s)
		}
		last = s
	}
	if len(out) > 0 && last.Of(n) < n {
		out = append(out, deploy.Share{Percent: 100})
	}
	return out
}

// rises reports whether next is a larger share of n hosts than last. Percentages
// rise as they are written, for few hosts make the same number of them.
func rises(last, next deploy.Share, n int) bool {
	switch {
	case last == (deploy.Share{}):
		return true
	case (last.Percent > 0) == (next.Percent > 0):
		return next.Percent+next.Hosts > last.Percent+last.Hosts
	}
	return next.Of(n) >= last.Of(n)
}

// onFailure wants what follows a failure to be possible.
func (b *building) onFailure(key string, n int, r deploy.Rolling) {
	b.oneOf(key+".on_host_failure", string(r.OnHostFailure), string(deploy.OnFailureRevert), string(deploy.OnFailureStop), string(deploy.OnFailureSkip))
	switch {
	case r.MaxFailedHosts < 0 || r.MaxFailedHosts >= n && r.MaxFailedHosts > 0 && n > 0:
		b.fail(key+".max_failed_hosts", "%d of %d hosts may not all be left behind: write a number from 0 to %d", r.MaxFailedHosts, n, n-1)
	case r.OnHostFailure == deploy.OnFailureSkip && r.MaxFailedHosts == 0:
		b.fail(key+".on_host_failure", "skip leaves no host behind while max_failed_hosts is 0: write how many it may be, such as max_failed_hosts: 1, or on_host_failure: stop")
	}
}

// rollingTimes wants the durations of a rolling environment to fit each other.
func (b *building) rollingTimes(key string, a deploy.App, e deploy.Environment) {
	r, h := e.Rolling, a.Health
	sees := h.Interval * deploy.Duration(h.FailureThreshold)
	follows := followed(e.Balancer)
	switch {
	case r.UnreachableAfter >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than strategy.rolling.unreachable_after (%s)", e.ProgressDeadline, r.UnreachableAfter)
	case follows+seconds(30) >= e.ProgressDeadline:
		b.fail(key+".progress_deadline", "%s must be more than the balancer takes to follow the status file (%s: interval × threshold, timeout × threshold and margin), with half a minute to spare", e.ProgressDeadline, follows)
	case r.BakeTime > 0 && r.BakeTime < sees && e.Verify == nil:
		b.fail(key+".strategy.rolling.bake_time", "in %s nothing can be found: a host counts as bad after health.interval × failure_threshold = %s × %d = %s: bake at least that long, or 0s", r.BakeTime, h.Interval, h.FailureThreshold, sees)
	}
}

// followed is the longest time that a balancer which looks at a status file may
// take to notice a change of it; 0 for the others.
func followed(s deploy.Section) deploy.Duration {
	var set struct {
		Interval  deploy.Duration  `json:"check_interval"`
		Timeout   deploy.Duration  `json:"check_timeout"`
		Healthy   int              `json:"healthy_threshold"`
		Unhealthy int              `json:"unhealthy_threshold"`
		Margin    *deploy.Duration `json:"margin"` // one check_interval if absent, as in the driver
	}
	if s.Driver != "statusfile" || !decoded(s, &set) {
		return 0 // the driver tells what is wrong with it
	}
	return (set.Interval+set.Timeout)*deploy.Duration(max(set.Healthy, set.Unhealthy)) + given(set.Margin, set.Interval)
}
