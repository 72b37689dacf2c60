package nginx

import "strings"

// skipLua passes the Lua code of a …_by_lua_block and stands before the brace
// that closes it: braces within Lua's strings and comments do not count.
func (s *scanner) skipLua() {
	for depth := 1; s.pos < len(s.text); {
		rest := s.text[s.pos:]
		switch {
		case rest[0] == '{':
			depth++
		case rest[0] == '}':
			if depth--; depth == 0 {
				return
			}
		case rest[0] == '"' || rest[0] == '\'':
			s.advance(luaString(rest))
			continue
		case strings.HasPrefix(rest, "--"):
			s.advance(luaComment(rest))
			continue
		case rest[0] == '[':
			s.advance(max(1, luaLong(rest)))
			continue
		}
		s.advance(1)
	}
}

// advance passes n bytes.
func (s *scanner) advance(n int) {
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

// luaString is the length of the quoted string that text begins with; it ends at
// its line's end at the latest.
func luaString(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0], '\n':
			return i + 1
		}
	}
	return len(text)
}

// luaComment is the length of the comment that text begins with.
func luaComment(text string) int {
	if n := luaLong(text[len("--"):]); n > 0 {
		return len("--") + n
	}
	if n := strings.IndexByte(text, '\n'); n >= 0 {
		return n + 1
	}
	return len(text)
}

// luaLong is the length of the long bracket, [[…]] or [=[…]=], that text begins
// with; 0 if it begins with none.
func luaLong(text string) int {
	if !strings.HasPrefix(text, "[") {
		return 0
	}
	level := len(text[1:]) - len(strings.TrimLeft(text[1:], "="))
	if !strings.HasPrefix(text[1+level:], "[") {
		return 0
	}
	if n := strings.Index(text, "]"+strings.Repeat("=", level)+"]"); n >= 0 {
		return n + level + 2
	}
	return len(text)
}
