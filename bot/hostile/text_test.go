package hostile

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLineIsOnePrintableLine(t *testing.T) {
	for in, want := range map[string]string{
		"Fix the basket":              "Fix the basket",
		"  a\tb\r\n\r\nc  ":           "a b c",
		"\x1b]52;c;aGk=\x07copy":      "]52;c;aGk=copy",
		"abc\u202egnp.exe":            "abcgnp.exe",
		"\xff\xfeok\x00\u0085":        "ok",
		"发布 购物车":                      "发布 购物车",
		"\u2066isolate\u2069\ufeff":   "isolate",
		"one\u2028two":                "one two",
		strings.Repeat("x", 11):       "xxxxxxxxx…",
		strings.Repeat("购", 11):       "购购购购购购购购购…",
		strings.Repeat("\x00", 1<<20): "",
	} {
		limit := 10
		if len(in) < 40 && utf8.RuneCountInString(in) != 11 {
			limit = 40
		}
		if got := Line(in, limit); got != want {
			t.Errorf("Line(%.20q) = %q, want %q", in, got, want)
		}
	}
}

func TestBlockKeepsTheEnd(t *testing.T) {
	if got := Block("one\r\ntwo\x1b[31m\nthree\n\n", 100); got != "one \ntwo[31m\nthree" {
		t.Errorf("got %q", got)
	}
	if got := Block(strings.Repeat("a", 50)+"end", 4); got != "…end" {
		t.Errorf("got %q", got)
	}
}

func TestFirstSkipsBlankLines(t *testing.T) {
	if got := First("\n\n  Fix it \n\nbody", 100); got != "Fix it" {
		t.Errorf("got %q", got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x00b\u202ec\nd", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 1 || limit > 1000 {
			return
		}
		got := Line(s, limit)
		if n := utf8.RuneCountInString(got); n > limit {
			t.Errorf("%d runes, limit %d", n, limit)
		}
		if printable(got) != got || strings.ContainsAny(got, "\n\t\r") {
			t.Errorf("not one printable line: %q", got)
		}
	})
}
