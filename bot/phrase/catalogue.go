package phrase

import (
	"embed"
	"strings"
	"unicode/utf8"

	"ipublish/deploy"
)

//go:embed zh/*.txt
var chinese embed.FS

// longest is how many characters a line has at most to be translated.
const longest = 2000

// Catalogue translates finished lines into one language. It never changes and
// may be used by several goroutines at once. A nil Catalogue leaves everything
// in English.
type Catalogue struct {
	texts  []entry           // sentences, the most specific first
	parts  []entry           // phrases that stand within others only
	labels []entry           // steps
	words  map[string]string // states of a deploy
	ops    map[string]string // operations
	slots  map[string]string
	heads  map[string]string // what a title says is done
}

// Chinese returns the catalogue of Simplified Chinese.
func Chinese() *Catalogue {
	c, err := read(chinese, "zh")
	if err != nil {
		panic(err) // the files are part of the binary, and its tests read them
	}
	return c
}

// Line gives one finished line in the catalogue's language. What it does not
// know comes back as it is, a line of more than 2,000 characters too.
func (c *Catalogue) Line(text string) string {
	if c == nil || len(text) > longest && utf8.RuneCountInString(text) > longest {
		return text
	}
	body := strings.TrimSpace(text)
	if body == "" {
		return text
	}
	said, ok := c.begin().sentence(body, deepest)
	if !ok {
		return text
	}
	at := strings.Index(text, body)
	return text[:at] + said + text[at+len(body):]
}

// Text gives each line of a text as Line does.
func (c *Catalogue) Text(text string) string {
	if c == nil {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = c.Line(l)
	}
	return strings.Join(lines, "\n")
}

// Message gives a message in the catalogue's language. Its log stays as it is.
func (c *Catalogue) Message(m deploy.Message) deploy.Message {
	if c == nil {
		return m
	}
	m.Title = c.title(m.Title)
	if said, ok := c.words[m.Status]; ok {
		m.Status = said
	}
	steps := make([]deploy.Mark, len(m.Steps))
	for i, s := range m.Steps {
		steps[i] = deploy.Mark{Label: c.begin().label(s.Label), State: s.State}
	}
	if m.Steps != nil {
		m.Steps = steps
	}
	lines := make([]string, len(m.Lines))
	for i, l := range m.Lines {
		lines[i] = c.Text(l)
	}
	if m.Lines != nil {
		m.Lines = lines
	}
	return m
}

// title translates what is done, the third part of "shop → production · #9 ·
// rollback · 4f2a91c" or of "… · #9 · offline web-3"; all else in a title is names.
func (c *Catalogue) title(text string) string {
	parts := strings.SplitN(text, " · ", 4)
	if len(parts) > 2 {
		verb, hosts, about := strings.Cut(parts[2], " ")
		if said, ok := c.heads[parts[2]]; ok {
			parts[2] = said
		} else if said, ok = c.heads[verb]; ok && about {
			parts[2] = said + " " + c.begin().nested(hosts, deepest)
		}
	}
	return strings.Join(parts, " · ")
}
