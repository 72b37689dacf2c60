package slack

import (
	"strings"
	"testing"
)

func TestEscapeTouchesThreeCharactersAndSplitsNoEscape(t *testing.T) {
	for in, want := range map[string]string{
		"a & b < c > d *e* _f_": "a &amp; b &lt; c &gt; d *e* _f_",
		"&lt;!channel&gt;":      "&amp;lt;!channel&amp;gt;",
		"":                      "",
	} {
		if got := escape(in, 1000); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	for limit := 1; limit < 40; limit++ {
		got := escape(strings.Repeat("<😀", 20), limit)
		if width(got) > limit || !strings.HasSuffix(got, "…") {
			t.Errorf("limit %d: %q", limit, got)
		}
		if rest := strings.NewReplacer("&lt;", "", "😀", "", "…", "").Replace(got); rest != "" {
			t.Errorf("limit %d: an escape was split: %q", limit, got)
		}
	}
	if got := escape("abc", 3); got != "abc" {
		t.Errorf("a text that just fits became %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("<!channel> & co", 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 1 || limit > 5000 {
			return
		}
		got := escape(s, limit)
		if strings.ContainsAny(got, "<>") || width(got) > limit {
			t.Errorf("%q in %d became %q", s, limit, got)
		}
	})
}
