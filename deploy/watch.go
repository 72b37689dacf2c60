package deploy

import (
	"maps"
	"math"
	"time"
)

// Tally sums up what became of requests.
type Tally struct {
	Requests uint64 `json:"requests,omitempty"`
	Failures uint64 `json:"failures,omitempty"` // of probes: confirmed; of real traffic: no answer, or one that was cut
	// Stumbles are probes that failed and whose second try did not.
	Stumbles uint64            `json:"stumbles,omitempty"`
	Errors5  uint64            `json:"errors_5xx,omitempty"` // of real traffic: answered 5xx by the app itself
	Kinds    map[string]uint64 `json:"kinds,omitempty"`      // failed tries of probes by what was wrong
	Latency  Latencies         `json:"latency,omitempty"`    // of what was answered well
}

// Plus gives the sum as a value of its own.
func (t Tally) Plus(o Tally) Tally {
	t.Requests, t.Failures, t.Stumbles, t.Errors5 = t.Requests+o.Requests, t.Failures+o.Failures, t.Stumbles+o.Stumbles, t.Errors5+o.Errors5
	t.Latency = t.Latency.Plus(o.Latency)
	if len(o.Kinds) > 0 {
		kinds := maps.Clone(o.Kinds)
		for k, n := range t.Kinds {
			kinds[k] += n
		}
		t.Kinds = kinds
	}
	return t
}

// Count adds what a balancer counted to one address after earlier.
func (t Tally) Count(now, earlier Counter) Tally {
	if now.Requests < earlier.Requests {
		earlier = Counter{} // the balancer started anew and counts from zero
	}
	return t.Plus(Tally{
		Requests: now.Requests - earlier.Requests, Failures: now.Failures - min(earlier.Failures, now.Failures),
		Errors5: now.Errors5 - min(earlier.Errors5, now.Errors5), Latency: now.Latency.Since(earlier.Latency),
	})
}

// bad is the share of real requests that went wrong for a user.
func (t Tally) bad() float64 {
	return float64(t.Failures+t.Errors5) / float64(max(t.Requests, t.Failures+t.Errors5, 1))
}

// unanswered are the failed tries to which nobody answered anything.
func (t Tally) unanswered() uint64 {
	return t.Kinds["refused"] + t.Kinds["timeout"] + t.Kinds["cut"] + t.Kinds["other"]
}

// When says where in a deploy something was seen.
type When string

// The parts of a deploy, as users may notice it.
const (
	Before When = "before" // nothing that users could notice was begun
	During When = "during" // hosts and balancers are being changed
	After  When = "after"  // the switch is done, there or back
)

// Window is what the watch saw in one piece of time: the front door's probes
// and, where the balancer measures it, real traffic.
type Window struct {
	When   When      `json:"when"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Probes Tally     `json:"probes,omitzero"`
	Real   Tally     `json:"real,omitzero"`
	// Rest: the watch paused after it on purpose, while a person is waited for.
	Rest bool `json:"rest,omitempty"`
}

// Gap is a time in which nobody watched, because the bot was away.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Watched is the sum of a deploy's windows.
type Watched struct {
	Probes map[When]Tally `json:"probes,omitempty"`
	Real   map[When]Tally `json:"real,omitempty"`
	Gaps   []Gap          `json:"gaps,omitempty"`
	Until  time.Time      `json:"until,omitzero"` // end of the last window
	Rest   bool           `json:"rest,omitempty"`
}

// gapLimit is the longest pause between two windows that is none.
const gapLimit = time.Second

// gapsTold is how many gaps are remembered; a longer list tells nobody more.
const gapsTold = 20

// with gives the sum with more windows; the receiver is not changed.
func (w Watched) with(windows []Window) Watched {
	if len(windows) == 0 {
		return w
	}
	w.Probes, w.Real = maps.Clone(w.Probes), maps.Clone(w.Real)
	if w.Probes == nil {
		w.Probes, w.Real = map[When]Tally{}, map[When]Tally{}
	}
	for _, win := range windows {
		if hole := win.From.Sub(w.Until); !w.Until.IsZero() && !w.Rest && hole > gapLimit && len(w.Gaps) < gapsTold {
			w.Gaps = append(w.Gaps[:len(w.Gaps):len(w.Gaps)], Gap{From: w.Until, To: win.From})
		}
		w.Probes[win.When] = w.Probes[win.When].Plus(win.Probes)
		w.Real[win.When] = w.Real[win.When].Plus(win.Real)
		w.Until, w.Rest = win.To, win.Rest
	}
	return w
}

// probed is the sum of all probes.
func (w Watched) probed() Tally {
	return w.Probes[Before].Plus(w.Probes[During]).Plus(w.Probes[After])
}

// Tolerates reports whether the failures among the probes since the switch are
// no more than allowed: max_failures, and as many as the same number of probes
// would have had before the change. A few probes before excuse no more than
// blip failures beyond their own, unless most of them failed.
func (v Verify) Tolerates(before, since Tally) bool {
	usual := 0.0
	if share := float64(before.Failures) / float64(max(before.Requests, 1)); share > 0 {
		usual = math.Ceil(share * float64(since.Requests))
		if share < burstShare && before.Requests < since.Requests/2 {
			usual = min(usual, float64(before.Failures+blip))
		}
	}
	return float64(since.Failures) <= float64(v.MaxFailures)+usual
}

const blip = 2

// When real traffic blames a release: fewer bad answers than enoughBad are
// somebody's odd request; half of all is a burst; over a longer time it is what
// there was before, with a margin of so many standard deviations for both
// samples, and one in a hundred.
const (
	enoughBad  = 10
	burstShare = 0.5
	extraShare = 0.01
	deviations = 4.5
	history    = 100 // fewer requests before are none
)

// Burst reports whether so many of a second's requests went wrong that nothing
// else is to be waited for.
func (t Tally) Burst() bool {
	return t.Failures+t.Errors5 >= enoughBad && t.bad() >= burstShare
}

// Worse reports whether real traffic fares clearly worse than it did before. It
// may be asked again and again: the margin is wide enough for that.
func (t Tally) Worse(before Tally) bool {
	bad, n, m := float64(t.Failures+t.Errors5), float64(t.Requests), float64(before.Requests)
	switch {
	case bad < enoughBad:
		return false
	case m < history:
		return t.bad() >= burstShare
	}
	usual := (float64(before.Failures+before.Errors5) + 1) / (m + 2) // Laplace's rule: nothing is never
	spread := math.Sqrt(n * usual * (1 - min(usual, 1)) * (1 + n/m))
	return bad > n*(usual+extraShare)+deviations*spread
}

// Quantiles are the latencies of a part of a deploy.
type Quantiles struct {
	Requests uint64   `json:"requests"`
	Failures uint64   `json:"failures,omitempty"`
	Errors5  uint64   `json:"errors_5xx,omitempty"`
	P50      Duration `json:"p50"`
	P99      Duration `json:"p99"`
}

func (t Tally) quantiles() Quantiles {
	return Quantiles{Requests: t.Requests, Failures: t.Failures, Errors5: t.Errors5,
		P50: Duration(t.Latency.Quantile(0.5)), P99: Duration(t.Latency.Quantile(0.99))}
}

// Silence is the part of a report that says what users could have noticed.
type Silence struct {
	Probes      map[When]Quantiles `json:"probes,omitempty"`
	Real        map[When]Quantiles `json:"real,omitempty"` // where the balancer measures it
	Kinds       map[string]uint64  `json:"kinds,omitempty"`
	Stumbles    uint64             `json:"stumbles,omitempty"`
	TwoVersions Duration           `json:"two_versions,omitempty"` // both answered users
	Gaps        []Gap              `json:"gaps,omitempty"`
}

// silence concludes what was watched; nil where nothing was.
func (w Watched) silence() *Silence {
	if w.Until.IsZero() {
		return nil
	}
	sum := w.probed()
	s := &Silence{Kinds: sum.Kinds, Stumbles: sum.Stumbles, Gaps: w.Gaps}
	s.Probes, s.Real = partsOf(w.Probes), partsOf(w.Real)
	return s
}

func partsOf(parts map[When]Tally) map[When]Quantiles {
	out := map[When]Quantiles{}
	for when, t := range parts {
		if t.Requests > 0 {
			out[when] = t.quantiles()
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// enough answers for a p99 that means anything.
const enough = 20

// Parts gives the latencies that are shown: real traffic's where all that the
// probes saw was seen of it too, and often enough; else the probes'.
func (s Silence) Parts() map[When]Quantiles {
	for _, when := range []When{Before, During, After} {
		if s.Probes[when].Requests > 0 && s.Real[when].Requests < enough {
			return s.Probes
		}
	}
	if len(s.Real) == 0 {
		return s.Probes
	}
	return s.Real
}
