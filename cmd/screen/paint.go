package screen

import "strings"

// The colours of a terminal.
const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

// paint colours the marks of a line; a line that begins with a heading's mark
// is bold as a whole.
func paint(line string) string {
	if heading, ok := strings.CutPrefix(line, "━━ "); ok {
		return cyan + "━━ " + reset + bold + heading + reset
	}
	r := strings.NewReplacer(
		"✔", green+"✔"+reset, "✘", red+"✘"+reset, "▶", yellow+"▶"+reset, "‼", yellow+"‼"+reset,
		"↶", yellow+"↶"+reset, "░", dim+"░"+reset, "█", cyan+"█"+reset,
		" 0 failed", green+" 0 failed"+reset,
	)
	return r.Replace(line)
}

// Heading marks a line as the title of what follows.
func Heading(text string) string { return "━━ " + text }
