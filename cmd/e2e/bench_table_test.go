package e2e

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

// What a goal came to.
const (
	met         = "met"
	missed      = "missed"
	notCompared = "not compared"
	noGoal      = "" // printed as it is
)

// entry is one figure of a bench: ours, the peer's that ran beside it, their
// ratio and what was to be reached. What does not apply is empty.
type entry struct {
	Figure string // what was measured, with its unit
	Ours   string
	Peer   string // with what it was compared, and its figure: "kamal-proxy 9 ms"
	Ratio  string
	Goal   string
	Result string // met, missed, notCompared or noGoal
}

// benchTable is the figures of one bench.
type benchTable struct {
	t       testing.TB
	title   string
	entries []entry
}

// newTable is a table that is printed when the test ends, also a failed one.
func newTable(t testing.TB, title string) *benchTable {
	table := &benchTable{t: t, title: title}
	t.Cleanup(func() { t.Log(table) })
	return table
}

// row adds a figure; one that missed its goal fails the test, which goes on.
func (b *benchTable) row(e entry) {
	b.t.Helper()
	b.entries = append(b.entries, e)
	if e.Result == missed {
		b.t.Errorf("missed: %s is %s, the goal is %s", e.Figure, e.Ours, e.Goal)
	}
}

// reached is met or missed.
func reached(ok bool) string {
	if ok {
		return met
	}
	return missed
}

// ratioOf is ours to the peer's, as a table prints it; empty without a peer's.
func ratioOf(ours, peer float64) string {
	if peer == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", ours/peer)
}

// String aligns the columns.
func (b *benchTable) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "%s\nfigure\tours\tcompared with\tratio\tgoal\tresult\n", b.title)
	for _, e := range b.entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Figure, e.Ours, e.Peer, e.Ratio, e.Goal, e.Result)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return strings.TrimRight(out.String(), "\n")
}
