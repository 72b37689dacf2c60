package hostile

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as one printable line of at most limit runes: runs of space
// and line breaks become one space, control and bidirectional characters and
// invalid UTF-8 are dropped. What is cut ends in "…".
func Line(s string, limit int) string {
	return Cut(strings.Join(strings.Fields(printable(head(s, limit))), " "), limit)
}

// Block returns s as printable lines, as Line does for one, and keeps its last
// limit runes: the end of a log matters most. What is cut begins with "…".
func Block(s string, limit int) string {
	runes := []rune(printable(s))
	if len(runes) > limit {
		runes = append([]rune("…"), runes[len(runes)-limit+1:]...)
	}
	return strings.Trim(string(runes), "\n")
}

// First returns the first line of s that is not blank, as Line does.
func First(s string, limit int) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return Line(line, limit)
}

// Cut returns at most limit runes of s; what is cut ends in "…".
func Cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// head bounds the work on a huge text. Space and control characters may hide
// printable ones behind them, so that a generous part is kept.
func head(s string, limit int) string {
	if most := limit*16 + 4096; len(s) > most {
		return s[:most]
	}
	return s
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t', r == '\r', r == '\u2028', r == '\u2029':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), bidirectional(r):
			return -1
		}
		return r
	}, s)
}

// bidirectional tells the characters that reorder or hide what follows them.
func bidirectional(r rune) bool {
	return r >= '\u200e' && r <= '\u200f' || r >= '\u202a' && r <= '\u202e' ||
		r >= '\u2066' && r <= '\u2069' || r == '\u061c' || r == '\ufeff'
}
