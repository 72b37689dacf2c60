package nginx

import "strings"

// directive is one statement of an nginx configuration.
type directive struct {
	Words  []string
	Line   int // where it begins, from 1
	End    int // where its block ends; Line for a simple one
	From   int // offset of its first byte
	To     int // offset behind its last byte, the semicolon or the brace
	Parent int // index of the directive whose block it stands in; -1: none
}

// name is the first word; "" for a lone semicolon or brace.
func (d directive) name() string {
	if len(d.Words) == 0 {
		return ""
	}
	return d.Words[0]
}

// parseConfig reads nginx's configuration syntax: words, quotes, comments and
// blocks, in the order of their beginning. It is lenient: what nginx itself
// would refuse gives whatever can be made out.
func parseConfig(text string) []directive {
	p := parser{scanner: scanner{text: text, line: 1}, parent: -1}
	for p.step() {
	}
	return p.out
}

type parser struct {
	scanner
	out    []directive
	words  []string
	begin  int // line of the first word
	from   int // and its offset
	parent int
}

// step takes one token; false at the end of the text.
func (p *parser) step() bool {
	kind, word := p.next()
	switch kind {
	case tokenWord:
		p.mark()
		p.words = append(p.words, word)
	case tokenSemicolon:
		p.add()
	case tokenOpen:
		p.add()
		p.parent = len(p.out) - 1
		if strings.HasSuffix(p.out[p.parent].name(), "_by_lua_block") {
			p.skipLua()
		}
	case tokenClose:
		p.words = nil
		if p.parent >= 0 {
			p.out[p.parent].End, p.out[p.parent].To = p.line, p.pos
			p.parent = p.out[p.parent].Parent
		}
	case tokenEnd:
		return false
	}
	return true
}

// mark notes where a directive begins, at its first token.
func (p *parser) mark() {
	if len(p.words) == 0 {
		p.begin, p.from = p.tokenLine, p.tokenPos
	}
}

func (p *parser) add() {
	p.mark()
	p.out = append(p.out, directive{Words: p.words, Line: p.begin, End: p.line, From: p.from, To: p.pos, Parent: p.parent})
	p.words = nil
}

type token int

const (
	tokenEnd token = iota
	tokenWord
	tokenSemicolon
	tokenOpen
	tokenClose
)

type scanner struct {
	text string
	pos  int
	line int

	tokenPos, tokenLine int // where the last token began
}

func (s *scanner) next() (token, string) {
	s.skipBlank()
	s.tokenPos, s.tokenLine = s.pos, s.line
	if s.pos >= len(s.text) {
		return tokenEnd, ""
	}
	switch c := s.text[s.pos]; c {
	case ';':
		s.pos++
		return tokenSemicolon, ""
	case '{':
		s.pos++
		return tokenOpen, ""
	case '}':
		s.pos++
		return tokenClose, ""
	case '"', '\'':
		s.pos++
		return tokenWord, s.take(func(b byte) bool { return b == c })
	}
	return tokenWord, s.bare()
}

// skipBlank passes white space and comments.
func (s *scanner) skipBlank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		case '#':
			end := strings.IndexByte(s.text[s.pos:], '\n')
			if end < 0 {
				s.pos = len(s.text)
				return
			}
			s.pos += end
			continue
		default:
			return
		}
		s.pos++
	}
}

// bare takes an unquoted word; the brace of ${name} belongs to it.
func (s *scanner) bare() string {
	var last byte
	word := s.take(func(b byte) bool {
		end := strings.IndexByte(" \t\r\n;", b) >= 0 || b == '{' && last != '$'
		last = b
		return end
	})
	s.pos-- // what ended it is a token of its own
	return word
}

// take reads up to the byte that ends the word, resolves escapes, and stands behind it.
func (s *scanner) take(ends func(byte) bool) string {
	var b strings.Builder
	for s.pos < len(s.text) && !ends(s.text[s.pos]) {
		c := s.text[s.pos]
		if c == '\n' {
			s.line++
		}
		if c == '\\' && s.pos+1 < len(s.text) {
			s.pos++
			c = s.escaped(&b)
		}
		b.WriteByte(c)
		s.pos++
	}
	s.pos++
	return b.String()
}

// escaped resolves the byte behind a backslash; one without a meaning keeps its backslash.
func (s *scanner) escaped(b *strings.Builder) byte {
	switch c := s.text[s.pos]; c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case '"', '\'', '\\':
		return c
	case '\n':
		s.line++
		fallthrough
	default:
		b.WriteByte('\\')
		return c
	}
}
