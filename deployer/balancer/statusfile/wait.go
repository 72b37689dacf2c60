package statusfile

import "time"

// left is how long the balancer may go on sending after the page began to
// answer that the host is out.
func (s *settings) left() time.Duration {
	return s.CheckInterval.D()*time.Duration(s.UnhealthyThreshold) + s.margin
}

// leftInSilence is left where no check gets an answer: each takes its whole
// time limit, and only then does the next interval begin.
func (s *settings) leftInSilence() time.Duration {
	return (s.CheckInterval.D()+s.CheckTimeout.D())*time.Duration(s.UnhealthyThreshold) + s.margin
}

// entered is how long the balancer may go on not sending after the page began
// to answer that the host is in.
func (s *settings) entered() time.Duration {
	return s.CheckInterval.D()*time.Duration(s.HealthyThreshold) + s.margin
}

// settle is the longest of the waits of what was seen.
func (s *settings) settle(seen []sight) time.Duration {
	var longest time.Duration
	for _, v := range seen {
		switch v.page {
		case passes:
			longest = max(longest, s.entered())
		case fails:
			longest = max(longest, s.left())
		case silent, unknown:
			longest = max(longest, s.leftInSilence(), s.entered())
		}
	}
	return longest
}
