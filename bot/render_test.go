package bot

import (
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestAMessageIsRenderedAsLines(t *testing.T) {
	m := deploy.Message{
		Title: "shop → production · #142 · 4f2a91c Fix the basket", Status: "deploying", Tone: deploy.ToneNeutral, Percent: 33,
		Steps: []deploy.Mark{{Label: "fetch", State: "done"}, {Label: "start green", State: "doing"}, {Label: "switch", State: "todo"}, {Label: "x", State: "failed"}, {Label: "y", State: "undone"}},
		Lines: []string{"starting"}, Log: "one\ntwo",
	}
	want := strings.Join([]string{
		"shop → production · #142 · 4f2a91c Fix the basket",
		"• deploying  ██████▌░░░░░░░░░░░░░ 33 %",
		"✔ fetch  ▶ start green  · switch  ✘ x  ↶ y",
		"starting", "    one", "    two",
	}, "\n")
	if got := RenderText(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTheBarStaysWithinItsWidth(t *testing.T) {
	for percent := -10; percent <= 110; percent++ {
		m := deploy.Message{Steps: make([]deploy.Mark, 1), Percent: percent}
		cells, _, _ := strings.Cut(bar(m), " ")
		if n := len([]rune(cells)); n != barWidth {
			t.Fatalf("%d %%: %q has %d cells", percent, cells, n)
		}
	}
}

func TestHostileTextCannotSteerATerminal(t *testing.T) {
	evil := "a\x1b]52;c;aGk=\x07b\r\nc\u202ed\x9bm\x00"
	m := deploy.Message{Title: evil, Status: evil, Lines: []string{evil}, Log: evil + "\n" + evil, Steps: []deploy.Mark{{Label: evil}}}
	for _, r := range RenderText(m) {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') {
			t.Fatalf("%q is let through", r)
		}
	}
}

func TestEveryToneHasItsMark(t *testing.T) {
	seen := map[string]bool{}
	for _, tone := range []deploy.Tone{deploy.ToneNeutral, deploy.ToneGood, deploy.ToneBad, deploy.ToneHold} {
		seen[toneMark(tone)] = true
	}
	if len(seen) != 4 {
		t.Errorf("got %v", seen)
	}
}
