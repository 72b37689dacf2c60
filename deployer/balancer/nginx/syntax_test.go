package nginx

import (
	"slices"
	"strings"
	"testing"
)

func TestDirectivesAreFoundWithTheirLinesAndBlocks(t *testing.T) {
	got := parseConfig("# upstream x {\nhttp {\n  upstream 'a b' { server 1:2; }\n  log_format m '$a # \"{}\"\n;';\n  set ${x}y \"a\\\"b\";\n}\nend;")
	want := []directive{
		{Words: []string{"http"}, Line: 2, End: 7, Parent: -1},
		{Words: []string{"upstream", "a b"}, Line: 3, End: 3, Parent: 0},
		{Words: []string{"server", "1:2"}, Line: 3, End: 3, Parent: 1},
		{Words: []string{"log_format", "m", "$a # \"{}\"\n;"}, Line: 4, End: 5, Parent: 0},
		{Words: []string{"set", "${x}y", `a"b`}, Line: 6, End: 6, Parent: 0},
		{Words: []string{"end"}, Line: 8, End: 8, Parent: -1},
	}
	same := slices.EqualFunc(got, want, func(a, b directive) bool {
		return slices.Equal(a.Words, b.Words) && a.Line == b.Line && a.End == b.End && a.Parent == b.Parent
	})
	if !same {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestADirectiveIsAsLongAsItsText(t *testing.T) {
	text := "a  b; upstream \"x\" { server 1:2;\n # }\n}c{d;}"
	var got []string
	for _, d := range parseConfig(text) {
		got = append(got, text[d.From:d.To])
	}
	want := []string{"a  b;", "upstream \"x\" { server 1:2;\n # }\n}", "server 1:2;", "c{d;}", "d;"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestBracesAndQuotesOfLuaCodeDoNotCount(t *testing.T) {
	for _, code := range []string{`s = "}"`, `s = '\'}'`, "-- don't }\n", "--[[ } ]] x()", "s = [==[ } ]] ]==]", "t = {{}, {1}}", "a[b[1]] = 2", "s = 'open\n"} {
		text := "content_by_lua_block {" + code + "}\nupstream x { }\n"
		got := parseConfig(text)
		if len(got) != 2 || got[1].name() != "upstream" || got[1].Parent != -1 || got[1].Line != strings.Count(code, "\n")+2 {
			t.Errorf("%s: %+v", code, got)
		}
	}
}

func FuzzAnyTextIsReadToItsEnd(f *testing.F) {
	for _, s := range []string{"a b;", "}{;\"", "'\\", "${{", "# x", "a\\\n;", "\\", "x_by_lua_block {[=[", "_by_lua_block{--[[", "_by_lua_block {'\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, d := range parseConfig(text) {
			if d.Line < 1 || d.End < d.Line || d.Parent >= i || d.End > strings.Count(text, "\n")+1 {
				t.Errorf("directive %d of %q: %+v", i, text, d)
			}
			if d.From < 0 || d.To <= d.From || d.To > len(text) || strings.Count(text[:d.From], "\n")+1 != d.Line {
				t.Errorf("directive %d of %q: %+v", i, text, d)
			}
		}
	})
}
