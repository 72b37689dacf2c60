package sim_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/sim"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(4000) // thousands of short worlds: memory is cheaper here than time
	os.Exit(m.Run())
}

func TestEveryScenarioEndsAsItShouldWithoutFaults(t *testing.T) {
	for _, sc := range scenarios() {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s on %d hosts", sc.name, seed%2+1), func(t *testing.T) {
				res := run(t, setup{scenario: sc, seed: seed})
				expect(t, res)
				if !fits(sc, res) {
					t.Errorf("endings %v, want %v first\n%s", res.endings, sc.want, res.story)
				}
			})
		}
	}
}

// sameCrash is how many boundaries with nothing durable between them are tried
// once: such crashes differ only in what time it is.
const sameCrash = 11

func TestACrashAtAnyBoundaryOfAnyScenarioIsSurvived(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			// The first deploy of a story is a scenario of its own.
			whole := run(t, setup{scenario: sc, seed: 0})
			for p := whole.prelude; p < len(whole.marks); p++ {
				if p > 0 && whole.marks[p] == whole.marks[p-1] && p%sameCrash != 0 {
					continue
				}
				res := run(t, setup{scenario: sc, seed: 0, crashAt: []sim.Boundary{{N: p}}})
				if len(res.violations) > 0 {
					t.Fatalf("crash at boundary %d of %d:\n%s\n%s", p, len(whole.marks), strings.Join(res.violations, "\n"), res.story)
				}
			}
		})
	}
}

// fits reports whether the deploys ended as the scenario wants it without faults.
func fits(sc scenario, res result) bool {
	return len(res.endings) >= len(sc.want) && slices.Equal(res.endings[:len(sc.want)], sc.want)
}

// seeds is how many random stories are played; `make sim SEEDS=n` plays more.
func seeds(t *testing.T) (from, to uint64) {
	from, to = 1, 300
	if s := os.Getenv("SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEEDS=%q is not a number", s)
		}
		to = n
	}
	if s := os.Getenv("SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("SEED=%q is not a number", s)
		}
		from, to = n, n
	}
	return from, to
}

// swarm is a mix of faults and crashes that depends on the seed.
func swarm(seed uint64) setup {
	s := setup{scenario: wild(seed), seed: seed}
	if seed%3 != 0 {
		s.rates = sim.Rates{Before: 0.03, After: 0.03, Slow: 0.1, Append: 0.01}
	}
	if seed%4 == 1 {
		s.rates.Lost, s.rates.Door, s.lag = 0.1, 0.02, time.Duration(seed%5)*time.Second
	}
	if seed%7 == 2 {
		s.rates.Late = 0.1
	}
	if seed%5 == 0 {
		s.rates.Refuse, s.rates.Gone = 0.01, 0.005
	}
	// Claims run beside everything else, so a crash there has no one history;
	// the exhaustive test crashes at each of them.
	fakes := []string{"journal", "journal", "journal", "balancer", "runtime:web-1", "host:web-1", "source", "front"}
	for i := range seed % 4 {
		n := seed*7919 + i*104729
		s.crashAt = append(s.crashAt, sim.Boundary{Fake: fakes[n%uint64(len(fakes))], N: int(n / 8 % 60)})
	}
	return s
}

func TestRandomStoriesWithFaultsAndCrashesKeepTheInvariants(t *testing.T) {
	from, to := seeds(t)
	const lanes = 2
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			for seed := from + lane; seed <= to; seed += lanes {
				s := swarm(seed)
				s.verbose = os.Getenv("SEED") != ""
				if res := run(t, s); len(res.violations) > 0 {
					t.Fatalf("seed %d (again: make sim SEED=%d):\n%s\n%s", seed, seed, strings.Join(res.violations, "\n"), res.story)
				}
			}
		})
	}
}

func TestTheSameSeedReplaysTheSameJournal(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		one, two := run(t, swarm(seed)), run(t, swarm(seed))
		if one.journal != two.journal {
			t.Fatalf("seed %d gave two histories, from here on:\n%s", seed, parting(one.journal, two.journal))
		}
	}
}

// parting shows where two stories part.
func parting(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			from := max(i-3, 0)
			return strings.Join(la[from:min(i+3, len(la))], "\n") + "\n--- or ---\n" + strings.Join(lb[from:min(i+3, len(lb))], "\n")
		}
	}
	return "one is longer"
}

func expect(t *testing.T, res result) {
	t.Helper()
	if len(res.violations) > 0 {
		t.Errorf("%s\n%s", strings.Join(res.violations, "\n"), res.story)
	}
}
