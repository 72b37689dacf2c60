package process

import (
	"strconv"
	"strings"

	"ipublish/deploy"
)

// Expand replaces {port}, {slot}, {release} (the full commit), {short}, {dir}
// and {home} in text, once, and leaves every other brace as it is.
func Expand(text string, s deploy.Step) string {
	return replacer(s).Replace(text)
}

// ExpandAll does the same for each word of an argv.
func ExpandAll(argv []string, s deploy.Step) []string {
	out := make([]string, len(argv))
	r := replacer(s)
	for i, word := range argv {
		out[i] = r.Replace(word)
	}
	return out
}

func replacer(s deploy.Step) *strings.Replacer {
	return strings.NewReplacer(
		"{port}", strconv.Itoa(s.Port),
		"{slot}", string(s.Slot),
		"{release}", s.Release.Commit.SHA,
		"{short}", s.Release.Commit.Short(),
		"{dir}", s.Dir,
		"{home}", s.Home,
	)
}
