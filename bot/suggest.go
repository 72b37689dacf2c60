package bot

import (
	"slices"
	"strings"
)

// nearest returns the choice that word is probably a misspelling of: at most
// limit edits away, or one that it begins.
func nearest(word string, choices []string, limit int) (string, bool) {
	word = strings.ToLower(word)
	best, found, at := "", false, limit+1
	for _, c := range choices {
		d := distance(word, strings.ToLower(c))
		if d > limit && len(word) >= 3 && strings.HasPrefix(strings.ToLower(c), word) {
			d = limit
		}
		if d < at {
			best, found, at = c, true, d
		}
	}
	return best, found
}

// slack is how many edits make a misspelling of a word of that length.
func slack(word string) int {
	switch n := len(word); {
	case n < 3:
		return 0
	case n < 8:
		return 2
	}
	return 3
}

// strictSlack is slack where the word may well be something else, a branch.
func strictSlack(word string) int {
	switch n := len(word); {
	case n < 4:
		return 0
	case n < 8:
		return 1
	}
	return 2
}

// distance counts insertions, deletions, changes and swaps of neighbours.
func distance(a, b string) int {
	x, y := bounded(a), bounded(b)
	before, prev, cur := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		cur[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(y)]
}

func bounded(s string) []rune {
	r := []rune(s)
	return r[:min(len(r), 64)]
}

// didYouMean ends a sentence: " — did you mean X?" or just ".".
func didYouMean(word string, choices []string) string {
	if c, ok := nearest(word, choices, slack(word)); ok {
		return " — did you mean " + c + "?"
	}
	return "."
}

// listed gives "a, b and c" of at most twelve names, sorted as they come.
func listed(names []string) string {
	names = slices.Compact(slices.Clone(names))
	if len(names) > 12 {
		names = append(slices.Clone(names[:12]), "…")
	}
	return strings.Join(names, ", ")
}
