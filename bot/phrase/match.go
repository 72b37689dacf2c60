package phrase

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// deepest is how many texts may stand within one another.
const deepest = 5

// work is the translation of one line.
type work struct {
	*Catalogue
	left int // bytes that may still be compared with formats
}

// effort is how many bytes are compared for one line, its parts counted anew
// each time: a text of people takes some thousands.
const effort = 30_000

func (c *Catalogue) begin() *work { return &work{Catalogue: c, left: effort} }

// match translates text by the first entry that is its format.
func (w *work) match(entries []entry, text string, depth int) (string, bool) {
	for _, e := range entries {
		if w.left < 0 || !e.fits(text) {
			continue
		}
		if len(e.verbs) == 0 {
			return e.reply[0].text, true
		}
		if args := w.arguments(e, text); args != nil {
			return w.filled(e, args, depth), true
		}
	}
	return "", false
}

// arguments gives what fills the format, or nil if the text is not of that form.
func (w *work) arguments(e entry, text string) []string {
	w.left -= len(text)
	at := regexp.MustCompile(w.form(e)).FindStringSubmatchIndex(text)
	if at == nil {
		return nil
	}
	args := make([]string, len(e.verbs))
	own, from, typed := 0, 0, 0
	for i := range args {
		own += strings.Count(e.pieces[i], "`")
		typed += strings.Count(text[from:at[2*i+2]], "`")
		if own%2 != typed%2 {
			return nil // a text of the format stands within somebody's backticks
		}
		args[i] = text[at[2*i+2]:at[2*i+3]]
		typed += strings.Count(args[i], "`")
		from = at[2*i+3]
	}
	if own%2 != typed%2 && e.pieces[len(args)] != "" {
		return nil
	}
	return args
}

// form is the format as a pattern. It is made anew each time: a catalogue holds
// nothing that changes, and few formats fit a line.
func (c *Catalogue) form(e entry) string {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for i, v := range e.verbs {
		b.WriteString(regexp.QuoteMeta(e.pieces[i]))
		b.WriteString("(" + c.argumentForm(v) + ")")
	}
	b.WriteString(regexp.QuoteMeta(e.pieces[len(e.verbs)]) + `$`)
	return b.String()
}

func (c *Catalogue) argumentForm(v verb) string {
	switch {
	case v.letter == 'd':
		return `-?\d+`
	case v.letter == 'o':
		return `[0-7]+`
	case v.letter == 'q':
		return `"(?:[^"\\]|\\.)*"`
	case v.typed:
		return "[^`]*?"
	}
	switch v.kind {
	case greedy, longer:
		return `.*`
	case word:
		return `\S+`
	case number:
		return `#\d+`
	case slot:
		return oneOf(c.slots)
	case op:
		return oneOf(c.ops)
	case state:
		return oneOf(c.words)
	}
	return `.*?`
}

// oneOf is the pattern of any key, longer ones first.
func oneOf(words map[string]string) string {
	keys := slices.SortedFunc(maps.Keys(words), func(a, b string) int { return len(b) - len(a) })
	for i, k := range keys {
		keys[i] = regexp.QuoteMeta(k)
	}
	return strings.Join(keys, "|")
}

func (w *work) filled(e entry, args []string, depth int) string {
	var b strings.Builder
	for _, t := range e.reply {
		if t.arg == 0 {
			b.WriteString(t.text)
			continue
		}
		b.WriteString(w.argument(e.verbs[t.arg-1].kind, args[t.arg-1], depth-1))
	}
	return b.String()
}

func (w *work) argument(k kind, arg string, depth int) string {
	switch k {
	case slot:
		return w.slots[arg]
	case op:
		return w.ops[arg]
	case state:
		return w.words[arg]
	case step:
		return w.label(arg)
	case ours, longer:
		return w.nested(strings.TrimSpace(arg), depth)
	}
	return arg
}

// nested translates a text that stands within another one.
func (w *work) nested(text string, depth int) string {
	if depth <= 0 || text == "" {
		return text
	}
	if said, ok := w.match(w.parts, text, depth); ok {
		return said
	}
	if said, ok := w.sentence(text, depth); ok {
		return said
	}
	return text
}

// label translates the label of a step, which may be its operation alone.
func (w *work) label(text string) string {
	if said, ok := w.ops[text]; ok {
		return said
	}
	if said, ok := w.match(w.labels, text, deepest); ok {
		return said
	}
	return text
}
