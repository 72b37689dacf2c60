package source

import (
	"slices"
	"testing"
)

func TestSuggestionsAreTheNamesThatAreSpelledAlike(t *testing.T) {
	known := []string{"main", "master", "develop", "release/1.0", "release/1.1", "release/2.0", "feature/basket", "v1.0"}
	for name, want := range map[string][]string{
		"mian":        {"main"},
		"maim":        {"main"},
		"Develop":     {"develop"},
		"basket":      {"feature/basket"},
		"release/1.2": {"release/1.0", "release/1.1", "release/2.0"},
		"v1.1":        {"v1.0"},
		"zzzzzzzz":    nil,
		"x":           nil,
	} {
		if got := nearest(name, known, 3); !slices.Equal(got, want) {
			t.Errorf("%q suggests %v, want %v", name, got, want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"main", "main", 0}, {"mian", "main", 1}, {"kitten", "sitting", 3}, {"abc", "ca", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
