package deployer

import (
	"fmt"

	"ipublish/deploy"
)

// blame is why users would say that the new release is bad.
type blame struct {
	why   string
	share float64 // of the requests that went wrong
	cause error
}

// blames judges the release that serves at addrs since it got the traffic by
// what users see; nil: they see nothing that they did not see before.
func (l *lookout) blames(v *deploy.Verify, addrs []string) *blame {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v != nil && !v.Tolerates(l.before, l.since) {
		return &blame{share: share(l.since), cause: l.last, why: fmt.Sprintf("failed %d of %d probes at the front door (%d allowed): %s",
			l.since.Failures, l.since.Requests, v.MaxFailures, deploy.MessageOf(l.last))}
	}
	return l.blamesReal(addrs)
}

func (l *lookout) blamesReal(addrs []string) *blame {
	if l.counters == nil || len(l.samples) == 0 {
		return nil
	}
	before := sum(l.atMark, l.first)
	if before.Requests < enoughHistory {
		before = sum(l.atMark, nil) // all that the balancer remembers
	}
	now := only(l.counters, addrs)
	since, lately := sum(now, l.atMark), sum(now, l.samples[0].counters)
	switch {
	case since.Worse(before):
		lately = since
	case !lately.Burst():
		return nil
	}
	return &blame{share: share(lately), why: fmt.Sprintf("fails its users: of %d requests %d got no answer and %d an answer of 5xx (%d and %d of %d before the switch)",
		lately.Requests, lately.Failures, lately.Errors5, before.Failures, before.Errors5, before.Requests)}
}

// enoughHistory is how many requests of the old release make a history.
const enoughHistory = 1000

func share(t deploy.Tally) float64 {
	return float64(t.Failures+t.Errors5) / float64(max(t.Requests, 1))
}
