package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// tally counts what the users saw. It may be used by several goroutines at once.
type tally struct {
	mu sync.Mutex
	n  count
}

// count is what users saw up to a moment.
type count struct {
	Requests int
	Failed   int
	Kinds    map[string]int // failures by their kind
	Versions map[string]int // answers by the version that gave them
}

func newTally() *tally {
	return &tally{n: count{Kinds: map[string]int{}, Versions: map[string]int{}}}
}

func (t *tally) answered(version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n.Requests++
	t.n.Versions[version]++
}

func (t *tally) failed(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n.Requests++
	t.n.Failed++
	t.n.Kinds[kind]++
}

func (t *tally) now() count {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.n
	n.Kinds, n.Versions = maps.Clone(n.Kinds), maps.Clone(n.Versions)
	return n
}

// since is what came after an earlier count.
func (c count) since(before count) count {
	return count{
		Requests: c.Requests - before.Requests, Failed: c.Failed - before.Failed,
		Kinds: less(c.Kinds, before.Kinds), Versions: less(c.Versions, before.Versions),
	}
}

func less(a, b map[string]int) map[string]int {
	out := map[string]int{}
	for k, n := range a {
		if n -= b[k]; n > 0 {
			out[k] = n
		}
	}
	return out
}

// String is "0 of 1,204 requests failed", with the kinds of failures.
func (c count) String() string {
	text := fmt.Sprintf("%s of %s requests failed", thousands(c.Failed), thousands(c.Requests))
	if c.Failed > 0 {
		text += " (" + listed(c.Kinds) + ")"
	}
	return text
}

// answers is "version 1: 804, 2: 400".
func (c count) answers() string { return "version " + listed(c.Versions) }

func listed(counts map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s: %s", k, thousands(counts[k])))
	}
	return strings.Join(parts, ", ")
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
