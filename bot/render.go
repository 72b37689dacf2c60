package bot

import (
	"fmt"
	"slices"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const (
	barWidth = 20    // characters
	maxLine  = 1000  // characters of one line that is shown
	maxBlock = 64000 // characters of one text that is shown
)

// RenderText gives a message as plain lines for a terminal or a pipe: title,
// progress bar, steps, lines, log. Control and format characters of strangers'
// texts are dropped, so that nothing can steer the terminal.
func RenderText(m deploy.Message) string {
	var lines []string
	if m.Title != "" {
		lines = append(lines, hostile.Line(m.Title, maxLine))
	}
	if m.Status != "" {
		lines = append(lines, strings.TrimRight(toneMark(m.Tone)+" "+hostile.Line(m.Status, maxLine)+"  "+bar(m), " "))
	}
	if len(m.Steps) > 0 {
		lines = append(lines, stepLine(m.Steps))
	}
	for _, l := range m.Lines {
		lines = append(lines, apart(l))
	}
	if m.Log != "" {
		lines = append(lines, indented(m.Log)...)
	}
	return strings.Join(lines, "\n")
}

// apart gives a line whose parts stay apart by two spaces, where they were.
func apart(line string) string {
	if len(line) > 4*maxLine {
		return hostile.Line(line, maxLine)
	}
	parts := strings.Split(line, "  ")
	for i, part := range parts {
		parts[i] = hostile.Line(part, maxLine)
	}
	return hostile.Cut(strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "  "), maxLine)
}

func toneMark(t deploy.Tone) string {
	switch t {
	case deploy.ToneGood:
		return "✔"
	case deploy.ToneBad:
		return "✘"
	case deploy.ToneHold:
		return "‼"
	}
	return "•"
}

// bar draws the progress in eighths of a character; nothing where there are no steps.
func bar(m deploy.Message) string {
	if len(m.Steps) == 0 {
		return ""
	}
	percent := min(max(m.Percent, 0), 100)
	eighths := percent * barWidth * 8 / 100
	full := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	used := len([]rune(full))
	return fmt.Sprintf("%s%s %d %%", full, strings.Repeat("░", barWidth-used), percent)
}

func stepLine(steps []deploy.Mark) string {
	parts := make([]string, len(steps))
	for i, s := range steps {
		parts[i] = stepMark(s.State) + " " + hostile.Line(s.Label, maxLine)
	}
	return strings.Join(parts, "  ")
}

func stepMark(state string) string {
	switch state {
	case "done":
		return "✔"
	case "doing":
		return "▶"
	case "failed":
		return "✘"
	case "undone":
		return "↶"
	}
	return "·"
}

func indented(log string) []string {
	var out []string
	for line := range strings.Lines(hostile.Block(log, maxBlock)) {
		out = append(out, strings.TrimRight("    "+line, " \n"))
	}
	return out
}
