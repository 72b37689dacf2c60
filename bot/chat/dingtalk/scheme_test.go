package dingtalk

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// The vector was computed outside of this code. Its secret has 14 characters,
// which New refuses.
func TestTheVectorOfTheScheme(t *testing.T) {
	const want = "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="
	if got := base64.StdEncoding.EncodeToString(mac("this is secret", "1577262236757")); got != want {
		t.Errorf("got %s", got)
	}
	c := &Chat{config: Config{Now: func() time.Time { return time.UnixMilli(1577262236757) }}}
	signed := c.signed(Webhook{URL: "https://oapi.dingtalk.com/robot/send?access_token=x", Secret: "this is secret"})
	if !strings.Contains(signed, "sign=hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D") || !strings.Contains(signed, "timestamp=1577262236757") {
		t.Errorf("signed as %s", signed)
	}
	u, err := url.Parse(signed)
	if err != nil || u.Query().Get("sign") != want || u.Query().Get("access_token") != "x" {
		t.Errorf("signed as %s", signed)
	}
}

func TestEscapeKeepsTextReadable(t *testing.T) {
	for in, want := range map[string]string{
		"Fix the basket (#12), v1.2.3": "Fix the basket (#12), v1.2.3",
		"[x](https://evil.example)":    "［x］(https:" + "//evil.example)",
		"# heading":                    "# heading",
		"a & b":                        "a & b",
		"web_1: up":                    "web_1: up",
	} {
		if got := strings.ReplaceAll(escape(in), zero, ""); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, opens := range []string{"# a", "- a", "+ a", "1. a", "| a |", "=== "} {
		if got := escape(opens); !strings.HasPrefix(got, zero) {
			t.Errorf("%q still begins a block: %q", opens, got)
		}
	}
}

func TestALogKeepsItsEndAndLinesTheirBeginning(t *testing.T) {
	var many []string
	for range 100 {
		many = append(many, strings.Repeat("x", 200))
	}
	l := render(deploy.Message{Lines: append([]string{"most important"}, many...), Log: strings.Join(many, "\n") + "\nthe end"})
	if !strings.Contains(l.text, "most important") || !strings.HasSuffix(l.text, "> the end") || len(l.text) > 7000 {
		t.Errorf("%d bytes: %.80q … %q", len(l.text), l.text, l.text[len(l.text)-40:])
	}
}

var scheme = regexp.MustCompile(`\w://`)

func FuzzEscape(f *testing.F) {
	f.Add("[x](https://evil.example) <!channel> @all")
	f.Fuzz(func(t *testing.T, s string) {
		if got := escape(s); strings.ContainsAny(got, "[]<>*`\\") || scheme.MatchString(got) {
			t.Errorf("%q became %q", s, got)
		}
	})
}
