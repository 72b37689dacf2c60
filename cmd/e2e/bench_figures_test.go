package e2e

import (
	"slices"
	"testing"
	"time"
)

// figures are what a bench measured, before anybody judges it.
type figures struct{ entries []entry }

func (f *figures) row(e entry) { f.entries = append(f.entries, e) }

// bench measures first, as a part of its own, and judges afterwards: a figure that
// missed its goal is no failure of the servers that it was measured with.
func bench(t *testing.T, title string, measure func(t *testing.T, f *figures)) {
	t.Helper()
	f := &figures{}
	t.Run("measure", func(t *testing.T) { measure(t, f) })
	table := newTable(t, title)
	for _, e := range f.entries {
		table.row(e)
	}
}

// quantile of sorted values.
func quantile[T any](sorted []T, q float64) T {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// middle is the median; of none it is 0.
func middle[T float64 | time.Duration](of []T) T {
	if len(of) == 0 {
		return 0
	}
	return quantile(slices.Sorted(slices.Values(of)), 0.5)
}

// brief rounds a duration to what a table shows of it.
func brief(d time.Duration) string {
	switch {
	case d.Abs() >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d.Abs() >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
