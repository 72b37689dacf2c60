package config

import (
	"strings"
)

// YAML reads the brace of a plain ${NAME} inside {…} or […] as the beginning of
// a mapping. quoteReferences quotes such scalars, so that a reference may be
// written the same everywhere. What is quoted already, comments, block scalars
// and all that stands outside of braces stay as they are; no line moves.
func quoteReferences(text string) (quoted string, moved shifts) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	f := &flow{in: []rune(text), line: 1, column: 1, moved: shifts{}}
	for f.at < len(f.in) {
		f.step()
	}
	return f.out.String(), f.moved
}

// shifts tells by line at which columns a rune was put in.
type shifts map[int][]int

// column is where a place of the quoted text stands in the file.
func (s shifts) column(line, column int) int {
	before := 0
	for _, at := range s[line] {
		if at < column {
			before++
		}
	}
	return column - before
}

// flow walks over a text, rune by rune.
type flow struct {
	in           []rune
	at           int
	line, column int // of the next rune of out, from 1
	out          strings.Builder
	moved        shifts
	depth        int  // of braces and brackets
	inside       bool // a plain scalar outside of braces: braces mean nothing there
	level        int  // column of the last key or dash outside of braces
}

func (f *flow) peek(n int) rune {
	if f.at+n < len(f.in) {
		return f.in[f.at+n]
	}
	return '\n'
}

func (f *flow) write(r rune) {
	f.out.WriteRune(r)
	f.column++
	if r == '\n' {
		f.line, f.column = f.line+1, 1
	}
}

func (f *flow) copy() {
	f.write(f.in[f.at])
	f.at++
}

// insert writes a rune that the file does not have.
func (f *flow) insert(r rune) {
	f.moved[f.line] = append(f.moved[f.line], f.column)
	f.write(r)
}

// step passes one rune, or one scalar, comment or block as a whole.
func (f *flow) step() {
	r := f.in[f.at]
	switch {
	case r == '\n':
		f.copy()
		f.inside = false
	case blank(r):
		f.copy()
	case r == '#' && (f.at == 0 || space(f.in[f.at-1])):
		f.toLineEnd()
	case f.depth > 0:
		f.within()
	default:
		f.outside(r)
	}
}

// outside passes what stands in no braces.
func (f *flow) outside(r rune) {
	switch {
	case (r == ':' || r == '-' && !f.inside || r == '?' && !f.inside) && space(f.peek(1)):
		if r != ':' {
			f.level = f.column
		}
		f.copy()
		f.inside = false
	case f.inside:
		f.copy()
	case r == '|' || r == '>':
		f.block()
	case r == '{' || r == '[':
		f.copy()
		f.depth++
	case r == '&' || r == '!':
		f.word()
	case r == '"' || r == '\'':
		f.begins()
		f.quotedScalar()
	default:
		f.begins()
		f.copy()
		f.inside = true
	}
}

// begins notes where a scalar begins that may be a key.
func (f *flow) begins() {
	if line := f.lineSoFar(); strings.Trim(line, " -?") == "" {
		f.level = f.column
	}
}

func (f *flow) lineSoFar() string {
	from := f.at
	for from > 0 && f.in[from-1] != '\n' {
		from--
	}
	return string(f.in[from:f.at])
}

// within passes what stands in braces.
func (f *flow) within() {
	switch r := f.in[f.at]; r {
	case '{', '[':
		f.copy()
		f.depth++
	case '}', ']':
		f.copy()
		f.depth--
		f.inside = f.depth == 0
	case ',':
		f.copy()
	case '"', '\'':
		f.quotedScalar()
	case '&', '!', '*':
		f.word()
	case ':':
		f.copy()
	default:
		f.plain()
	}
}

// plain passes one plain scalar in braces, in quotes if it holds a reference.
func (f *flow) plain() {
	end, refers := f.at, false
	for end < len(f.in) && !f.closes(end) {
		if length := referenceLength(f.in[end:]); length > 0 {
			refers = true
			end += length
			continue
		}
		end++
	}
	scalar := strings.TrimRight(string(f.in[f.at:end]), " \t\r")
	if refers {
		f.insert('\'')
	}
	for _, r := range scalar {
		f.copy()
		if refers && r == '\'' {
			f.insert(r)
		}
	}
	if refers {
		f.insert('\'')
	}
}

// closes reports whether a plain scalar in braces ends before a place.
func (f *flow) closes(at int) bool {
	next := '\n'
	if at+1 < len(f.in) {
		next = f.in[at+1]
	}
	switch f.in[at] {
	case '\n', ',', '[', ']', '{', '}':
		return true
	case ':':
		return space(next) || strings.ContainsRune(",[]{}", next)
	case '#':
		return blank(f.in[at-1])
	}
	return false
}

// referenceLength is how many runes of ${…} the text begins with, 0 for none.
func referenceLength(text []rune) int {
	if len(text) < 3 || text[0] != '$' || text[1] != '{' {
		return 0
	}
	for i, r := range text {
		switch r {
		case '}':
			return i + 1
		case '\n', '"', '\'':
			return 0
		}
	}
	return 0
}

// quotedScalar passes a scalar in quotes, over lines where it has several.
func (f *flow) quotedScalar() {
	quote := f.in[f.at]
	f.copy()
	for f.at < len(f.in) {
		r := f.in[f.at]
		escapes := quote == '"' && r == '\\' || quote == '\'' && r == quote && f.peek(1) == quote
		f.copy()
		if escapes && f.at < len(f.in) {
			f.copy()
		} else if r == quote {
			return
		}
	}
}

// word passes an anchor, a tag or an alias.
func (f *flow) word() {
	for f.at < len(f.in) && !space(f.in[f.at]) && (f.depth == 0 || !strings.ContainsRune(",[]{}", f.in[f.at])) {
		f.copy()
	}
}

func (f *flow) toLineEnd() {
	for f.at < len(f.in) && f.in[f.at] != '\n' {
		f.copy()
	}
}

// block passes a block scalar: its header and every line that is empty or
// indented more than what it belongs to.
func (f *flow) block() {
	f.toLineEnd()
	for f.at < len(f.in) {
		indent := 1
		for f.peek(indent) == ' ' {
			indent++
		}
		first := f.peek(indent)
		if first != '\n' && first != '\r' && indent <= f.level {
			return
		}
		f.copy()
		f.toLineEnd()
	}
}

func blank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' }

func space(r rune) bool { return blank(r) || r == '\n' }
