package phrase_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/phrase"
	"ipublish/deploy"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	statusLine  = regexp.MustCompile(`^\[(.*), ([a-z]+), (\d+%.*)\]$`)
	stepState   = regexp.MustCompile(`^(.*) \(([a-z]+)\)$`)
	englishWord = regexp.MustCompile(`[A-Za-z]{3,}`)
)

// Every message of deploy's own golden file, in Chinese.
func TestTheMessagesOfADeployAreInChinese(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("..", "..", "deploy", "testdata", "messages.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
	var out []string
	title, zh := false, phrase.Chinese()
	for _, line := range lines {
		said := translated(zh, line, title)
		title = strings.HasPrefix(line, "-- ")
		out = append(out, said)
		if !strings.HasPrefix(line, "-- ") && !strings.HasPrefix(line, "log: ") && line != lines[0] {
			noEnglish(t, line, said)
		}
	}
	compare(t, "messages.zh.txt", strings.Join(out, "\n")+"\n")
}

// translated gives one line of the golden file, translated as the field that it shows.
func translated(zh *phrase.Catalogue, line string, title bool) string {
	switch {
	case title:
		return zh.Message(deploy.Message{Title: line}).Title
	case strings.HasPrefix(line, "- "):
		return "- " + zh.Message(deploy.Message{Lines: []string{line[2:]}}).Lines[0]
	case statusLine.MatchString(line):
		m := statusLine.FindStringSubmatch(line)
		return fmt.Sprintf("[%s, %s, %s]", zh.Message(deploy.Message{Status: m[1]}).Status, m[2], m[3])
	case strings.HasSuffix(line, ")") && stepState.MatchString(line):
		var steps []string
		for s := range strings.SplitSeq(line, ", ") {
			m := stepState.FindStringSubmatch(s)
			steps = append(steps, zh.Message(deploy.Message{Steps: []deploy.Mark{{Label: m[1]}}}).Steps[0].Label+" ("+m[2]+")")
		}
		return strings.Join(steps, ", ")
	}
	return line
}

// names are words that stay: of places and people, of the configuration, of what
// people wrote, of tones and states.
func names() []string {
	return strings.Fields(`shop production ann bob web Fix the basket UTC set verify paused ipublish database migration migrate smoke test live idle
		neutral good bad hold final todo doing done failed undone stop aaaaaaa bbbbbbb`)
}

// invented are errors that only the stories of deploy's tests have.
func invented() *strings.Replacer {
	return strings.NewReplacer("waiting for port", "", "it answered", "", "the old release fails its check too", "", "the balancer does not answer", "", "lock needs the role deployer", "",
		"it is unhealthy on", "", "it is unavailable on", "", "does not answer: is it on?", "", "on_host_failure", "")
}

// noEnglish complains of words that were left in English.
func noEnglish(t *testing.T, line, said string) {
	t.Helper()
	for _, w := range englishWord.FindAllString(typedCommand.ReplaceAllString(invented().Replace(said), ""), -1) {
		if !slices.Contains(names(), w) {
			t.Errorf("%q is left in English: %q became %q", w, line, said)
		}
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the change, then run with -update:\n%s", file, got)
	}
}

// What a person asks for help is told in Chinese, all but the grammar itself.
func TestHelpIsInChinese(t *testing.T) {
	h := &bot.Handler{Config: func() bot.Config { return bot.Config{Chats: []string{"slack"}} }}
	me := deploy.Actor{ID: "slack:U1", Name: "ann"}
	asked := []string{"help", "whoami"}
	for _, v := range bot.Verbs() {
		asked = append(asked, "help "+string(v))
	}
	for _, text := range asked {
		answer := h.Handle(t.Context(), deploy.Command{Text: text, User: me, Channel: "slack:C1"}).Text
		for line := range strings.SplitSeq(phrase.Chinese().Text(answer), "\n") {
			verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !slices.Contains(bot.Verbs(), bot.Verb(verb)) && !strings.ContainsFunc(line, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
				t.Errorf("%s: %q is not in Chinese", text, line)
			}
		}
	}
}

// Every plan of bot's own golden file, in Chinese.
func TestRollingPlansAreInChinese(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("..", "testdata", "rollplans.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(golden)) {
		line = strings.TrimSuffix(line, "\n")
		said := phrase.Chinese().Line(line)
		if !strings.HasPrefix(line, "-- ") {
			noEnglish(t, line, strings.NewReplacer("Old", "", "sh", "", "busy", "", "notify", "", "http", "", "example", "", "com", "", "process", "", "online", "", "does not answer on port", "").Replace(said))
		}
		out.WriteString(said + "\n")
	}
	compare(t, "rollplans.zh.txt", out.String())
}

// A rolling deploy at every moment of its life, in Chinese.
func TestARollingDeployIsToldInChinese(t *testing.T) {
	zh, told := phrase.Chinese(), map[string]bool{}
	for _, st := range bottest.FleetStates(14) {
		en := deploy.Describe(st)
		said := zh.Message(en)
		for i, line := range en.Lines {
			if told[line] {
				continue
			}
			told[line] = true
			noEnglish(t, line, strings.NewReplacer("shop.eu-central-1.internal.example.com", "", "does not answer on port 22", "", "in flight", "", "look at it", "", "it answers 500", "").Replace(said.Lines[i]))
		}
		for i, s := range en.Steps {
			noEnglish(t, s.Label, said.Steps[i].Label)
		}
		noEnglish(t, en.Status, said.Status)
	}
}
