package source

import (
	"slices"
	"strings"
)

// nearest returns at most n of the known names that are spelled like name,
// nearest first. A name qualifies within a third of its length, or if one
// contains the other.
func nearest(name string, known []string, n int) []string {
	type scored struct {
		name string
		far  int
	}
	var all []scored
	for _, k := range known {
		if len(k) > 200 || len(name) > 200 {
			continue
		}
		if far := distance(strings.ToLower(name), strings.ToLower(k)); far <= tolerance(name, k) {
			all = append(all, scored{k, far})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return a.far - b.far })
	var out []string
	for _, s := range all {
		if len(out) < n && !slices.Contains(out, s.name) {
			out = append(out, s.name)
		}
	}
	return out
}

func tolerance(name, known string) int {
	if len(name) >= 3 && (strings.Contains(known, name) || strings.Contains(name, known)) {
		return max(len(name), len(known))
	}
	return max(1, max(len(name), len(known))/3)
}

// distance is the number of single-byte edits, swaps of neighbours included,
// between a and b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
