package slack

import (
	"strings"
	"testing"

	slackapi "github.com/slack-go/slack"

	"ipublish/bot/bottest"
	"ipublish/bot/phrase"
	"ipublish/deploy"
)

// Slack's own limits: 50 blocks a message, 3,000 characters a section, 150 a
// header, 4,000 of text; above 12,000 in all it answers msg_blocks_too_long.
func TestADeployOfTwoHundredHostsStaysWithinTheLimitsAtEveryMoment(t *testing.T) {
	for language, zh := range map[string]*phrase.Catalogue{"en": nil, "zh": phrase.Chinese()} {
		for i, st := range bottest.FleetStates(200) {
			if i%100 != 0 && st.Stuck == nil && st.Undo == nil && !st.Ended() {
				continue
			}
			l := render(zh.Message(deploy.Describe(st)))
			all := 0
			for _, b := range l.blocks {
				n, most := width(textOf(b)), 3000
				if b.BlockType() == slackapi.MBTHeader {
					most = 150
				}
				if all += n; n > most {
					t.Fatalf("%s, event %d: %d characters in a block of %d", language, i, n, most)
				}
			}
			if len(l.blocks) > 50 || all > 12000 || width(l.text) > 4000 {
				t.Fatalf("%s, event %d: %d blocks with %d characters, a text with %d", language, i, len(l.blocks), all, width(l.text))
			}
		}
	}
}

func TestADeployOfTwoHundredHostsShowsItsBarWhoIsAtWorkAndWhoWasLeftBehind(t *testing.T) {
	states := bottest.FleetStates(200)
	l := render(deploy.Describe(states[len(states)*3/4]))
	var shown []string
	for _, b := range l.blocks {
		shown = append(shown, textOf(b))
	}
	for _, want := range []string{"■■■■", "of 200 hosts", "now: ", "batch 3 of 3", "web-101.shop.eu-central-1.internal.example.com is left behind: "} {
		if text := strings.Join(shown, "\n"); !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
}

func textOf(b slackapi.Block) string {
	switch b := b.(type) {
	case *slackapi.HeaderBlock:
		return b.Text.Text
	case *slackapi.SectionBlock:
		return b.Text.Text
	}
	return ""
}
