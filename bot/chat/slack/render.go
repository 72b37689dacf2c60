package slack

import (
	"strings"
	"unicode/utf16"

	slackapi "github.com/slack-go/slack"

	"ipublish/bot/chat"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Limits of a message, in UTF-16 units of the escaped text. Slack's own are in
// brackets; together the parts stay below the 12,000 above which Slack answers
// msg_blocks_too_long (not documented; slackapi/bolt-js #2509, #2867).
const (
	maxText   = 4000 // text of a message [4000]
	maxHeader = 150  // header [150]
	maxStatus = 400  // section [3000], as the next ones
	maxSteps  = 2800
	maxLines  = 5500 // of two sections
	maxPart   = 2900 // of one section
	maxLog    = 2900
)

// letter is a rendered message: text is what notifications and screen readers
// tell, blocks what people see.
type letter struct {
	text   string
	blocks []slackapi.Block
}

// render lays a message out within Slack's limits; what does not fit is cut,
// the beginning of the log first.
func render(m deploy.Message) letter {
	var l letter
	if title := hostile.Line(m.Title, maxHeader); title != "" {
		l.blocks = append(l.blocks, slackapi.NewHeaderBlock(&slackapi.TextBlockObject{
			Type: slackapi.PlainTextType, Text: clip(title, maxHeader), Emoji: new(bool)}))
	}
	l.add(escape(status(m), maxStatus))
	l.add(steps(m.Steps))
	for _, part := range parts(m.Lines) {
		l.add(part)
	}
	l.add(code(m.Log))
	l.text = fallback(m)
	return l
}

// add appends a section of escaped text. Verbatim keeps Slack from turning
// addresses and names in it into links.
func (l *letter) add(escaped string) {
	if escaped == "" {
		return
	}
	l.blocks = append(l.blocks, slackapi.NewSectionBlock(&slackapi.TextBlockObject{
		Type: slackapi.MarkdownType, Text: escaped, Verbatim: true}, nil, nil))
}

func status(m deploy.Message) string {
	s := hostile.Line(m.Status, maxStatus)
	if chat.HasProgress(m) {
		s = strings.TrimSpace(s + "   " + chat.Bar(m.Percent))
	}
	if s == "" {
		return ""
	}
	return chat.Mood(m.Tone) + " " + s
}

// steps shows a line a step; what does not fit is counted.
func steps(marks []deploy.Mark) string {
	lines := make([]string, len(marks))
	for i, mark := range marks {
		lines[i] = chat.Sign(mark.State) + "  " + hostile.Line(mark.Label, 120)
	}
	return escape(strings.Join(lines, "\n"), maxSteps)
}

// parts spreads the lines over two sections, most important first.
func parts(lines []string) []string {
	var out []string
	part, left := "", maxLines
	for _, line := range lines {
		if left < 80 {
			break
		}
		text := escape(hostile.Block(line, maxPart), min(maxPart, left))
		if text == "" {
			continue
		}
		if part != "" && width(part)+1+width(text) > maxPart {
			out, part = append(out, part), ""
		}
		if part != "" {
			part += "\n"
		}
		part += text
		left -= width(text) + 1
	}
	if part != "" {
		out = append(out, part)
	}
	return out
}

// code shows the end of a log between fences that the log cannot close.
func code(log string) string {
	text := strings.ReplaceAll(hostile.Block(log, maxLog), "```", "'''")
	for width(escape(text, len(text)*6+1)) > maxLog-8 {
		text = "…" + string([]rune(text)[len([]rune(text))/8+2:])
	}
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return "```\n" + escape(text, maxLog) + "\n```"
}

func fallback(m deploy.Message) string {
	said := []string{}
	for _, s := range append([]string{hostile.Line(m.Title, 300), status(m)}, m.Lines...) {
		if s = hostile.Block(s, maxText); s != "" {
			said = append(said, s)
		}
	}
	if len(said) == 0 {
		said = append(said, hostile.Line(m.Log, 300))
	}
	return escape(strings.Join(said, "\n"), maxText)
}

// escape makes plain text safe in mrkdwn: & < > are the only characters that
// Slack wants escaped. At most limit UTF-16 units come out; a cut ends in "…"
// and never splits an escape.
func escape(s string, limit int) string {
	var b strings.Builder
	s = strings.ToValidUTF8(s, "\ufffd")
	used := 0
	for i, r := range s {
		piece := escaped(r)
		if used += width(piece); used >= limit && i+len(string(r)) < len(s) || used > limit {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

func escaped(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

// clip cuts text that is not escaped, because Slack shows it as it is.
func clip(s string, limit int) string {
	for width(s) > limit {
		s = hostile.Cut(s, len([]rune(s))-1)
	}
	return s
}

// width counts as Slack's clients do, in UTF-16 units.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
