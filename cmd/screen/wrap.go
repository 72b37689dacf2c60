package screen

import (
	"strings"
	"unicode"
)

// Wrap cuts a line into lines of at most width columns. It cuts between parts
// that two spaces part, where there are any, else between words, else anywhere;
// what follows is indented like the line.
func Wrap(line string, width int) []string {
	if columns(line) <= width {
		return []string{line}
	}
	body := strings.TrimLeft(line, " ")
	indent := line[:min(len(line)-len(body), width/2)]
	gap := " "
	if strings.Contains(body, "  ") {
		gap = "  "
	}
	w := wrapping{indent: indent, width: width}
	for _, part := range strings.Split(body, gap) {
		w.add(strings.TrimLeft(part, " "), gap)
	}
	return append(w.lines, indent+w.line)
}

type wrapping struct {
	indent string
	width  int
	lines  []string
	line   string // being filled, without its indent
}

func (w *wrapping) add(part, gap string) {
	joined := part
	if w.line != "" {
		joined = w.line + gap + part
	}
	if columns(w.indent+joined) <= w.width {
		w.line = joined
		return
	}
	w.flush()
	if gap == "  " && columns(w.indent+part) > w.width {
		for _, word := range strings.Split(part, " ") {
			w.add(word, " ")
		}
		return
	}
	w.line = w.broken(part)
}

func (w *wrapping) flush() {
	if w.line != "" {
		w.lines, w.line = append(w.lines, w.indent+w.line), ""
	}
}

// broken cuts a word that is wider than a line and returns its rest.
func (w *wrapping) broken(word string) string {
	room, used, start := w.width-columns(w.indent), 0, 0
	for i, r := range word {
		if used+columnsOf(r) > room {
			w.lines = append(w.lines, w.indent+word[start:i])
			used, start = 0, i
		}
		used += columnsOf(r)
	}
	return word[start:]
}

// columns is how wide a text is on a terminal.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += columnsOf(r)
	}
	return n
}

// columnsOf follows Unicode's East Asian Width as terminals do: ideographs,
// kana, hangul, full-width forms and pictures take two columns.
func columnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
