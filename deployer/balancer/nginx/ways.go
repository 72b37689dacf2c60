package nginx

import (
	"regexp"
	"slices"
	"strings"
)

// way is where a pass leads by one choice of its variables' known values.
type way struct {
	goal
	By []*statement // the values it goes by
}

const (
	wayLimit  = 4096 // of one pass that are looked at
	wayLength = 8    // values that one way goes by at most; a variable may name itself
)

var variableForm = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// ways gives where a pass leads by every known value of its variables. A
// variable of which nothing is known stays in it.
func (v survey) ways(pass *statement) []way {
	text := pass.word()
	if _, known := v.expanded[text]; !known {
		v.expanded[text] = v.expand(text, nil)
	}
	return v.expanded[text]
}

func (v survey) expand(text string, by []*statement) []way {
	at, values := v.variable(text)
	if len(values) == 0 || len(by) == wayLength {
		return []way{{goal: readGoal(text), By: by}}
	}
	var out []way
	for _, s := range values {
		if len(out) >= wayLimit {
			break
		}
		out = append(out, v.expand(text[:at[0]]+s.word()+text[at[1]:], append(slices.Clip(by), s))...)
	}
	return out
}

// variable finds the first variable with known values that says where to, not
// which path there.
func (v survey) variable(text string) (at []int, values []*statement) {
	for _, m := range variableForm.FindAllStringSubmatchIndex(text, -1) {
		before := text[:m[0]]
		if _, rest, ok := strings.Cut(before, "://"); ok {
			before = rest
		}
		if strings.ContainsAny(before, "/?") {
			break
		}
		if values := v.values[variableName(text[m[0]:m[1]])]; len(values) > 0 {
			return m[:2], values
		}
	}
	return nil, nil
}

// variableName is the name of $name or ${name}; nginx does not tell case apart.
func variableName(word string) string { return strings.ToLower(strings.Trim(word, "${}")) }

// sets is the variable that a statement gives a value, "" for none.
func (s *statement) sets() string {
	switch {
	case len(s.Words) < 2 || s.name() == "include":
	case s.name() == "set":
		return variableName(s.Words[1])
	case (s.in("map") || s.in("geo") || s.in("split_clients")) && len(s.Outer.Words) > 1:
		return variableName(s.Outer.word())
	}
	return ""
}

// word is the last word, the one that a directive leads to.
func (s *statement) word() string { return s.Words[len(s.Words)-1] }

// valuesUsed gives the values that passes go by.
func (v survey) valuesUsed() []*statement {
	var out []*statement
	seen := map[*statement]bool{}
	for _, s := range v.passes() {
		for _, w := range v.ways(s) {
			for _, value := range w.By {
				if !seen[value] {
					out = append(out, value)
				}
				seen[value] = true
			}
		}
	}
	return out
}
