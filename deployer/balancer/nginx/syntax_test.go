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

func FuzzAnyTextIsReadToItsEnd(f *testing.F) {
	for _, s := range []string{"a b;", "}{;\"", "'\\", "${{", "# x", "a\\\n;", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, d := range parseConfig(text) {
			if d.Line < 1 || d.End < d.Line || d.Parent >= i || d.End > strings.Count(text, "\n")+1 {
				t.Errorf("directive %d of %q: %+v", i, text, d)
			}
		}
	})
}

func TestTheFilesThatNginxReadsAreToldApart(t *testing.T) {
	d := parseDump([]byte("nginx: syntax is ok\n# configuration file /etc/nginx/nginx.conf:\nhttp {\n include x;\n}\n\n# configuration file /etc/nginx/x:\nupstream Shop {\n server a:1;\n}\nupstream shopping { server a:1; }\n\n"))
	if len(d) != 2 || d[0].Path != "/etc/nginx/nginx.conf" || d[1].Path != "/etc/nginx/x" {
		t.Fatalf("%+v", d)
	}
	if got := d.foreign("shop", -1); !slices.Equal(got, []string{"/etc/nginx/x lines 1-3"}) {
		t.Errorf("foreign upstreams: %v", got)
	}
	if got := d.foreign("shop", d.own("/etc/nginx/x", nil)); got != nil {
		t.Errorf("our own file counts as foreign: %v", got)
	}
	if got := d.own("/linked/x", []byte("upstream Shop {\n server a:1;\n}\nupstream shopping { server a:1; }\n")); got != 1 {
		t.Errorf("a file behind a linked folder is number %d, not 1", got)
	}
	if got := d.own("/other", nil); got != -1 {
		t.Errorf("a file that nginx does not read is number %d", got)
	}
}

func TestAnUpstreamOfStreamIsAnotherNameSpace(t *testing.T) {
	d := dump{{Path: "/n", Text: "stream {\n upstream shop { server a:1; }\n}\n"}}
	if got := d.foreign("shop", -1); got != nil {
		t.Errorf("foreign: %v", got)
	}
}
