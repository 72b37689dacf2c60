package bot

import (
	"strings"
)

// split cuts normalised text into words. A quote opens at the start of a word or
// right after "=", so that an apostrophe within a word is just a letter.
// Typographic quotes count as quotes; within double quotes \" and \\ are plain.
func split(text string) ([]word, error) {
	s := splitter{in: []rune(text)}
	var words []word
	for s.skipSpaces() {
		w, err := s.word()
		if err != nil {
			return nil, err
		}
		words = append(words, w)
	}
	return words, nil
}

// word is one word of a command.
type word struct {
	text   string
	quoted bool // it begins with a quotation mark, or holds a space
}

func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

type splitter struct {
	in  []rune
	pos int
}

func (s *splitter) skipSpaces() (more bool) {
	for s.pos < len(s.in) && s.in[s.pos] == ' ' {
		s.pos++
	}
	return s.pos < len(s.in)
}

func (s *splitter) word() (word, error) {
	var b strings.Builder
	opens, marked := true, isQuote(s.in[s.pos])
	for s.pos < len(s.in) && s.in[s.pos] != ' ' {
		r := s.in[s.pos]
		if opens && isQuote(r) {
			text, err := s.quoted()
			if err != nil {
				return word{}, err
			}
			b.WriteString(text)
			opens = false
			continue
		}
		b.WriteRune(r)
		s.pos++
		opens = r == '='
	}
	text := b.String()
	return word{text: text, quoted: marked || strings.Contains(text, " ")}, nil
}

func (s *splitter) quoted() (string, error) {
	open := s.in[s.pos]
	s.pos++
	end := s.closing(open)
	if end < 0 {
		return "", invalid("a quotation mark is opened and never closed: write the reason like \"fixes the login\"")
	}
	text := string(s.in[s.pos:end])
	s.pos = end + 1
	if open == '"' {
		text = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text)
	}
	return text, nil
}

// closing finds the mark that ends a quotation: a plain one is ended by a plain
// one, and by a typographic one where no plain one follows.
func (s *splitter) closing(open rune) int {
	if open == '"' || open == '\'' {
		if i := s.find(func(r rune) bool { return r == open }); i >= 0 {
			return i
		}
	}
	same := quoteClass(open)
	return s.find(func(r rune) bool { return quoteClass(r) == same })
}

func (s *splitter) find(match func(rune) bool) int {
	for i := s.pos; i < len(s.in); i++ {
		if s.in[i] == '\\' && i+1 < len(s.in) && (s.in[i+1] == '"' || s.in[i+1] == '\\') {
			i++
			continue
		}
		if match(s.in[i]) {
			return i
		}
	}
	return -1
}

func isQuote(r rune) bool { return quoteClass(r) != 0 }

func quoteClass(r rune) rune {
	switch r {
	case '"', '“', '”', '„', '‟', '«', '»', '「', '」', '『', '』':
		return '"'
	case '\'', '‘', '’', '‚', '‛':
		return '\''
	}
	return 0
}

// Join makes one line of words such that Parse reads the same words: for a
// caller that has an argument list. Spaces, quotes and backslashes survive;
// what Normalize drops does not.
func Join(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quote(w)
	}
	return strings.Join(out, " ")
}

func quote(w string) string {
	if w != "" && !opensQuote(Normalize(w)) {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

// opensQuote reports whether a word is read differently without quotation marks
// around it.
func opensQuote(w string) bool {
	before := '='
	for _, r := range w {
		if r == ' ' || before == '=' && isQuote(r) {
			return true
		}
		before = r
	}
	return false
}
