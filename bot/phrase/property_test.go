package phrase_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ipublish/bot/phrase"
)

// hostile are pieces of which strangers make texts.
func hostile() []string {
	return []string{
		"`", "``", ": ", "; ", "<@U1>", "<!channel>", "[x](y)", "](", "@all", "*", " on blue ", " on green since ", "#9", "\"", "\\",
		"took 3s", "nothing is live", "`rollback shop production`", "%s", "%1", "\xff", "\u202e", "中文", " · ", "\n", "queued", "rollback",
	}
}

func anyText() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(hostile()), rapid.StringN(0, 12, -1), rapid.StringMatching(`[a-z]{1,8}`))
	return rapid.Map(rapid.SliceOfN(piece, 0, 6), func(p []string) string { return strings.Join(p, "") })
}

// filledIn is a format of the catalogue with a stranger's texts in it.
func filledIn(pairs []phrase.Pair) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		p := rapid.SampledFrom(pairs).Draw(t, "format")
		return anyVerb.ReplaceAllStringFunc(p.Format, func(v string) string {
			switch v[len(v)-1] {
			case '%':
				return "%"
			case 'd':
				return fmt.Sprint(rapid.Int().Draw(t, "number"))
			case 'q':
				return fmt.Sprintf("%q", anyText().Draw(t, "quoted"))
			}
			return rapid.OneOf(anyText(), rapid.SampledFrom([]string{"blue", "#9", "4f2a91c", "failed"})).Draw(t, "text")
		})
	})
}

func TestALineNeverGetsMarkupThatWasNotThere(t *testing.T) {
	pairs, zh := catalogue(t), phrase.Chinese()
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.OneOf(anyText(), filledIn(pairs), rapid.Map(rapid.SliceOfN(filledIn(pairs), 2, 3), func(l []string) string { return strings.Join(l, ": ") })).Draw(t, "line")
		said := zh.Line(line)
		for _, mark := range []string{"<", ">", "@", "[", "]", "*", "_", "~", "|", "`", "\n", "http", "\u202e", "\xff"} {
			if strings.Count(said, mark) > strings.Count(line, mark) {
				t.Fatalf("%q was added:\n%q\n%q", mark, line, said)
			}
		}
		if strings.Contains(said, "](") && !strings.Contains(line, "](") {
			t.Fatalf("a link was added:\n%q\n%q", line, said)
		}
	})
}

func TestWhatIsTypedIsNeverBroken(t *testing.T) {
	pairs, zh := catalogue(t), phrase.Chinese()
	rapid.Check(t, func(t *rapid.T) {
		line := filledIn(pairs).Draw(t, "line")
		said := zh.Line(line)
		if strings.Count(line, "`")%2 == 1 {
			return
		}
		for _, typed := range typedCommand.FindAllString(said, -1) {
			if !strings.Contains(line, typed) {
				t.Fatalf("%q was not there:\n%q\n%q", typed, line, said)
			}
		}
	})
}

func TestATextWithoutLettersStaysAsItIs(t *testing.T) {
	zh := phrase.Chinese()
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching("[0-9 #:;,.`\"<>@(){}*_·→-]{0,60}").Draw(t, "line")
		if got := zh.Line(line); got != line {
			t.Fatalf("%q became %q", line, got)
		}
	})
}

func BenchmarkChinese(b *testing.B) {
	for b.Loop() {
		phrase.Chinese()
	}
}

func BenchmarkLine(b *testing.B) {
	zh := phrase.Chinese()
	for b.Loop() {
		zh.Line("check web-1: 4f2a91c on green (port 8081) did not become healthy within 5m0s; last: GET /healthz answers 500, not 200")
	}
}
