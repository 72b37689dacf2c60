package bot

import (
	"strings"
	"unicode"
)

// Normalize undoes what phones, chats and input methods do to typed text: full-width
// letters and spaces, typographic dashes and spaces become plain ones; control
// and invisible format characters, and bytes that are not UTF-8, are dropped.
// Typographic quotes stay: they pair up, which only the splitter sees.
func Normalize(text string) string {
	return strings.Map(normalRune, strings.ToValidUTF8(text, ""))
}

func normalRune(r rune) rune {
	switch {
	case r == unicode.ReplacementChar:
		return -1
	case unicode.IsSpace(r), unicode.Is(unicode.Z, r):
		return ' '
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
		return -1
	case isDash(r):
		return '-'
	case r >= '！' && r <= '～': // full-width forms of ASCII
		return r - 0xFEE0
	}
	return r
}

func isDash(r rune) bool {
	return r >= 0x2010 && r <= 0x2015 || r == 0x2212 || r == 0x2E3A || r == 0x2E3B || r == 0xFE58 || r == 0xFE63 || r == 0xFF0D
}
