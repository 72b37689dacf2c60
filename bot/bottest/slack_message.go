package bottest

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// SlackMessage is one message as it stands, with its earlier versions.
type SlackMessage struct {
	Channel   string
	TS        string
	Thread    string // ts of the message it answers
	Foreign   bool   // posted by a person
	Ephemeral bool   // only the asker sees it
	SlackVersion
	History []SlackVersion // before the edits, oldest first
}

// SlackVersion is what one call made of a message.
type SlackVersion struct {
	Text      string       `json:"text"`
	Blocks    []SlackBlock `json:"blocks"`
	Parse     string       `json:"parse"`
	LinkNames bool         `json:"link_names"`
	At        time.Time    `json:"-"`
}

// SlackBlock is one block, as far as drivers here use them.
type SlackBlock struct {
	Type string     `json:"type"`
	Text *SlackText `json:"text"`
}

// SlackText is a text object.
type SlackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"`
}

// Ref is how the driver names the message.
func (m SlackMessage) Ref() string { return m.Channel + ":" + m.TS }

func (m *SlackMessage) clone() SlackMessage {
	out := *m
	out.History = slices.Clone(m.History)
	return out
}

// Visible returns what people read: the blocks' texts, else the text, unescaped.
func (v SlackVersion) Visible() string {
	var parts []string
	for _, b := range v.Blocks {
		if b.Text == nil {
			continue
		}
		if b.Text.Type == "plain_text" {
			parts = append(parts, b.Text.Text)
			continue
		}
		parts = append(parts, unescape(b.Text.Text))
	}
	if len(v.Blocks) == 0 {
		return unescape(v.Text)
	}
	return strings.Join(parts, "\n")
}

// unescape is what Slack's clients do, once.
func unescape(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

var (
	slackSequence = regexp.MustCompile(`<([^<>]*)>`)
	bareAddress   = regexp.MustCompile(`(?i)\b(?:https?|ftp|dtmd|mailto|javascript):[^\s]+|\bwww\.[^\s]+`)
	bareMention   = regexp.MustCompile(`(?i)@(?:channel|here|everyone)\b`)
)

// Mentions returns everything in any version that notifies people.
func (m SlackMessage) Mentions() []string {
	return m.each(func(text string, bare bool) []string {
		var out []string
		for _, seq := range slackSequence.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(seq[1], "!") || strings.HasPrefix(seq[1], "@") || strings.HasPrefix(seq[1], "#") {
				out = append(out, seq[0])
			}
		}
		if bare {
			out = append(out, bareMention.FindAllString(text, -1)...)
		}
		return out
	})
}

// Links returns everything in any version that can be clicked.
func (m SlackMessage) Links() []string {
	return m.each(func(text string, bare bool) []string {
		var out []string
		for _, seq := range slackSequence.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(seq[1], "!") && !strings.HasPrefix(seq[1], "@") && !strings.HasPrefix(seq[1], "#") {
				out = append(out, seq[0])
			}
		}
		if bare {
			out = append(out, bareAddress.FindAllString(text, -1)...)
		}
		return out
	})
}

// each looks at every text that is parsed as mrkdwn. bare tells that Slack also
// makes links of what is not marked up: unless the text object is verbatim, or
// the message says parse=none.
func (m SlackMessage) each(look func(text string, bare bool) []string) []string {
	var out []string
	for _, v := range append(slices.Clone(m.History), m.SlackVersion) {
		out = append(out, look(v.Text, v.Parse != "none" || v.LinkNames)...)
		for _, b := range v.Blocks {
			if b.Text != nil && b.Text.Type == "mrkdwn" {
				out = append(out, look(b.Text.Text, !b.Text.Verbatim)...)
			}
		}
	}
	return out
}
