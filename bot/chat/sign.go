package chat

import (
	"fmt"
	"strings"

	"ipublish/deploy"
)

// Bar draws percent (0 to 100) in ten characters with the figure behind it:
// "▓▓▓▓░░░░░░ 40%".
func Bar(percent int) string {
	percent = min(max(percent, 0), 100)
	full := percent / 10
	return strings.Repeat("▓", full) + strings.Repeat("░", 10-full) + fmt.Sprintf(" %d%%", percent)
}

// Sign returns the sign of a step's state.
func Sign(state string) string {
	switch state {
	case "doing":
		return "▶"
	case "done":
		return "✓"
	case "failed":
		return "✗"
	case "undone":
		return "↩"
	}
	return "·"
}

// Mood returns the sign of a tone.
func Mood(tone deploy.Tone) string {
	switch tone {
	case deploy.ToneGood:
		return "✅"
	case deploy.ToneBad:
		return "❌"
	case deploy.ToneHold:
		return "✋"
	}
	return "🔵"
}

// HasProgress reports whether a message has steps or a percentage to draw.
func HasProgress(m deploy.Message) bool { return m.Percent > 0 || len(m.Steps) > 0 }
