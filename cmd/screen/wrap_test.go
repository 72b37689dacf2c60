package screen

import (
	"slices"
	"strings"
	"testing"
)

func TestALineIsCutWhereItsPartsEnd(t *testing.T) {
	for _, c := range []struct {
		name, line string
		width      int
		want       []string
	}{
		{"short", "as it is", 20, []string{"as it is"}},
		{"steps stay whole", "✔ front door  ✔ fetch  ▶ build", 22, []string{"✔ front door  ✔ fetch", "▶ build"}},
		{"words", "one two three", 8, []string{"one two", "three"}},
		{"an indent is kept", "    one two three", 12, []string{"    one two", "    three"}},
		{"a word that is too long", "/a/very/long/path x", 8, []string{"/a/very/", "long/pat", "h x"}},
		{"a part that is too long", "a b c d  e", 4, []string{"a b", "c d", "e"}},
		{"ideographs take two columns", "发布 完成", 5, []string{"发布", "完成"}},
		{"ideographs without a space", "发布完成", 5, []string{"发布", "完成"}},
	} {
		if got := Wrap(c.line, c.width); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzNoLineIsWiderThanTheTerminal(f *testing.F) {
	f.Add("✔ front door  ✔ fetch  ▶ build", 22)
	f.Add("      发布 完成", 7)
	f.Add("\u0301  a   b", 3)
	f.Fuzz(func(t *testing.T, line string, width int) {
		if width < 2 || width > 300 || strings.Contains(line, "\n") {
			return
		}
		for _, l := range Wrap(line, width) {
			if columns(l) > width {
				t.Errorf("%q at %d has a line %q of %d columns", line, width, l, columns(l))
			}
		}
	})
}
