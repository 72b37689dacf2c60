package phrase

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// kind says what an argument of a format can be, and what becomes of it.
type kind byte

// The kinds, as they stand between % and the number in a translation.
const (
	anything kind = 0   // any text, as it is
	greedy   kind = '*' // any text, as it is, and as much of it as fits
	word     kind = '@' // a text without spaces, as it is
	number   kind = '#' // a deploy's number, as it is
	ours     kind = '~' // a text of ipublish, to be translated in its turn
	longer   kind = '>' // the same, and as much of it as fits
	slot     kind = '^' // blue or green
	op       kind = '&' // an operation
	state    kind = '$' // the state of a deploy
	step     kind = '!' // the label of a step
)

// entry is one format with its translation.
type entry struct {
	format string
	pieces []string // the texts before, between and after the arguments
	verbs  []verb
	reply  []token
	weight int // bytes of text in the format: the larger, the more specific
}

// verb is one argument of a format.
type verb struct {
	letter byte // of the format: s, d, q, …
	kind   kind
	typed  bool // it stands within backticks
}

// token is a text of the translation, or an argument.
type token struct {
	text string
	arg  int // from 1; 0: text
}

var (
	formatVerb = regexp.MustCompile(`%[-+# 0]*\d*(?:\.\d+)?([a-zA-Z%])`)
	replyVerb  = regexp.MustCompile(`%([*@#~>^&$!]?)(\d+)`)
)

func newEntry(format, translation string) (entry, error) {
	e := entry{format: format}
	e.parseFormat()
	if err := e.parseReply(translation); err != nil {
		return entry{}, fmt.Errorf("%q: %w", format, err)
	}
	return e, nil
}

func (e *entry) parseFormat() {
	piece, at, ticks := "", 0, 0
	for _, m := range formatVerb.FindAllStringSubmatchIndex(e.format, -1) {
		piece += e.format[at:m[0]]
		at = m[1]
		letter := e.format[m[2]]
		if letter == '%' {
			piece += "%"
			continue
		}
		ticks += strings.Count(piece, "`")
		e.pieces = append(e.pieces, piece)
		e.verbs = append(e.verbs, verb{letter: letter, typed: ticks%2 == 1})
		piece = ""
	}
	e.pieces = append(e.pieces, piece+e.format[at:])
	for _, p := range e.pieces {
		e.weight += len(p)
	}
}

// parseReply reads a translation, which names every argument once.
func (e *entry) parseReply(s string) error {
	at := 0
	seen := make([]bool, len(e.verbs))
	for _, m := range replyVerb.FindAllStringSubmatchIndex(s, -1) {
		n, err := strconv.Atoi(s[m[4]:m[5]])
		if err != nil || n < 1 || n > len(e.verbs) || seen[n-1] {
			return fmt.Errorf("argument %s is not there, or named twice", s[m[0]:m[1]])
		}
		seen[n-1] = true
		if m[2] < m[3] {
			e.verbs[n-1].kind = kind(s[m[2]])
		}
		e.reply = append(e.reply, token{text: plain(s[at:m[0]])}, token{arg: n})
		at = m[1]
	}
	e.reply = append(e.reply, token{text: plain(s[at:])})
	for i, ok := range seen {
		if !ok {
			return fmt.Errorf("argument %d is not named", i+1)
		}
	}
	return nil
}

// plain is a text of a format without its escapes.
func plain(s string) string { return strings.ReplaceAll(s, "%%", "%") }

// fits reports whether the format's own texts stand in the line, in order, the
// first and the last at its ends: most formats are ruled out by that already.
func (e entry) fits(line string) bool {
	first, last := e.pieces[0], e.pieces[len(e.pieces)-1]
	if len(e.verbs) == 0 {
		return line == first
	}
	rest, ok := strings.CutPrefix(line, first)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, last); !ok {
		return false
	}
	for _, p := range e.pieces[1 : len(e.pieces)-1] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = after
	}
	return true
}
