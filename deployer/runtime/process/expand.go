package process

import "ipublish/deploy"

// Expand replaces {port}, {slot}, {release} (the full commit), {short}, {dir}
// and {home} in text, once, and leaves every other brace as it is.
func Expand(text string, s deploy.Step) string {
	return s.Replacer().Replace(text)
}

// ExpandAll does the same for each word of an argv.
func ExpandAll(argv []string, s deploy.Step) []string {
	out := make([]string, len(argv))
	r := s.Replacer()
	for i, word := range argv {
		out[i] = r.Replace(word)
	}
	return out
}
