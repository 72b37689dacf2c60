package dingtalk

import (
	"regexp"
	"slices"
	"strings"

	"ipublish/bot/chat"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Limits of a message's parts in bytes of markdown. Together they stay below
// 7,000, so that as a JSON text within JSON they fit the 15,000 bytes of
// msgParam (open.dingtalk.com, the robot sends a group message).
const (
	maxTitle = 60 // runes of the notification's line
	maxLine  = 800
	maxQuote = 300 // a line of the log
	maxSteps = 1800
	maxLines = 2400 // and what the steps and the log leave
	maxLog   = 1500
)

// letter is a rendered message: title is what a notification shows, text the
// markdown.
type letter struct{ title, text string }

func (l letter) empty() bool { return l.text == "" }

// render lays a message out in DingTalk's subset of markdown. Paragraphs are
// set apart by empty lines, because single line breaks are not shown everywhere.
func render(m deploy.Message) letter {
	var paragraphs []string
	add := func(lines ...string) {
		for _, s := range lines {
			if s != "" {
				paragraphs = append(paragraphs, s)
			}
		}
	}
	if title := hostile.Line(m.Title, 200); title != "" {
		add("#### " + escape(title))
	}
	add(status(m))
	marks, log := strings.Join(head(steps(m.Steps), maxSteps), "\n"), tail(quote(m.Log), maxLog)
	room := maxLines + max(0, maxSteps-len(marks)) + max(0, maxLog-len(strings.Join(log, "\n\n")))
	add(marks)
	add(head(lines(m.Lines), room)...)
	add(log...)
	return letter{title: notice(m), text: strings.Join(paragraphs, "\n\n")}
}

func notice(m deploy.Message) string {
	said := append([]string{m.Title, m.Status}, m.Lines...)
	for _, s := range said {
		if s = hostile.First(s, maxTitle); s != "" {
			return s
		}
	}
	return "ipublish"
}

func status(m deploy.Message) string {
	s := escape(hostile.Line(m.Status, 100))
	if s != "" {
		s = "**" + s + "**"
	}
	if chat.HasProgress(m) {
		s = strings.TrimSpace(s + "   " + chat.Bar(m.Percent))
	}
	if s == "" {
		return ""
	}
	return chat.Mood(m.Tone) + " " + s
}

func steps(marks []deploy.Mark) []string {
	out := make([]string, len(marks))
	for i, mark := range marks {
		out[i] = "- " + chat.Sign(mark.State) + " " + escape(hostile.Line(mark.Label, 120))
	}
	return out
}

func lines(texts []string) []string {
	var out []string
	for _, text := range texts {
		for _, line := range strings.Split(hostile.Block(text, maxLines), "\n") {
			if line = hostile.Line(line, maxLine); line != "" {
				out = append(out, escape(line))
			}
		}
	}
	return out
}

// quote shows a log as quotations, of a long line its end; code blocks are not
// in DingTalk's subset.
func quote(log string) []string {
	var out []string
	for _, line := range strings.Split(hostile.Block(log, maxLog), "\n") {
		if line = hostile.Line(hostile.Block(line, maxQuote), maxQuote); line != "" {
			out = append(out, "> "+escape(line))
		}
	}
	return out
}

// head keeps the first lines that fit; an ellipsis stands for the rest.
func head(lines []string, budget int) []string {
	for i, line := range lines {
		if budget -= len(line) + 2; budget < 8 {
			return append(slices.Clone(lines[:i]), "…")
		}
	}
	return lines
}

// tail keeps the last lines that fit.
func tail(lines []string, budget int) []string {
	for i := len(lines) - 1; i >= 0; i-- {
		if budget -= len(lines[i]) + 2; budget < 8 {
			return append([]string{"> …"}, lines[i+1:]...)
		}
	}
	return lines
}

// zero is a zero-width space: it breaks what clients would make a link of, and
// nobody sees it.
const zero = "\u200b"

var (
	// DingTalk documents no escape character, so that characters with a meaning
	// become their full-width likes.
	lookalike = strings.NewReplacer("[", "［", "]", "］", "<", "＜", ">", "＞", "*", "＊", "`", "ˋ", "\\", "＼", "@", "@"+zero)
	address   = regexp.MustCompile(`(?i)(https?|ftps?|mailto|tel|sms|javascript|data|dtmd|dingtalk)(:)|(\w)(://)|(www)(\.)`)
	entity    = regexp.MustCompile(`&([#a-zA-Z])`)
	opening   = regexp.MustCompile(`^(?:[#>+=|~-]|\d+[.)])`)
)

// escape makes one line of plain text safe in markdown: no link, picture, mark-up,
// mention or block begins in it.
func escape(s string) string {
	s = lookalike.Replace(s)
	s = address.ReplaceAllString(s, "${1}${3}${5}"+zero+"${2}${4}${6}")
	s = entity.ReplaceAllString(s, "&"+zero+"$1")
	if opening.MatchString(s) {
		s = zero + s
	}
	return s
}
