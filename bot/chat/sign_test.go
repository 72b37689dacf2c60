package chat

import (
	"testing"

	"ipublish/deploy"
)

func TestBarIsTenCharactersAndItsFigure(t *testing.T) {
	for percent, want := range map[int]string{
		-5: "░░░░░░░░░░ 0%", 0: "░░░░░░░░░░ 0%", 40: "▓▓▓▓░░░░░░ 40%", 99: "▓▓▓▓▓▓▓▓▓░ 99%", 100: "▓▓▓▓▓▓▓▓▓▓ 100%", 900: "▓▓▓▓▓▓▓▓▓▓ 100%",
	} {
		if got := Bar(percent); got != want {
			t.Errorf("%d: %s", percent, got)
		}
	}
}

func TestEveryStateAndToneHasItsOwnSign(t *testing.T) {
	seen := map[string]string{}
	for _, state := range []string{"todo", "doing", "done", "failed", "undone"} {
		if other, twice := seen[Sign(state)]; twice {
			t.Errorf("%s looks like %s", state, other)
		}
		seen[Sign(state)] = state
	}
	for _, tone := range []deploy.Tone{deploy.ToneNeutral, deploy.ToneGood, deploy.ToneBad, deploy.ToneHold} {
		if other, twice := seen[Mood(tone)]; twice {
			t.Errorf("%s looks like %s", tone, other)
		}
		seen[Mood(tone)] = string(tone)
	}
}
