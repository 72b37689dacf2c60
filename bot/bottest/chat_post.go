package bottest

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/deploy"
)

// Card is a message with every part, as the notifier sends it.
func Card(channel string) deploy.Message {
	return deploy.Message{
		Channel: channel, Deploy: 142, Title: "shop → production · #142 · 4f2a91c Fix the basket", Status: "deploying", Percent: 40,
		Steps: []deploy.Mark{{Label: "build 4f2a91c", State: "done"}, {Label: "start green", State: "doing"}, {Label: "route to green", State: "todo"}},
		Lines: []string{"asked by Ada", "expected: 2m10s"},
		Log:   "first log line\nlast log line",
	}
}

func (rig ChatRig) post(t *testing.T, m deploy.Message) (ref string) {
	t.Helper()
	rig.Pass()
	ref, err := rig.Chat.Post(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (rig ChatRig) last(t *testing.T, shown func() []Shown) Shown {
	t.Helper()
	all := shown()
	if len(all) == 0 {
		t.Fatal("nothing is shown")
	}
	return all[len(all)-1]
}

func (rig ChatRig) shows(t *testing.T) {
	m := Card(rig.Channel)
	ref := rig.post(t, m)
	got := rig.last(t, rig.Shown)
	for _, part := range []string{m.Title, m.Status, "40%", "build 4f2a91c", "start green", "route to green", "asked by Ada", "expected: 2m10s", "first log line", "last log line"} {
		if !strings.Contains(got.Text, part) {
			t.Errorf("%q is not in what is shown:\n%s", part, got.Text)
		}
	}
	if got.Ref != ref {
		t.Errorf("posted as %q, shown as %q", ref, got.Ref)
	}
	for _, tone := range []deploy.Tone{deploy.ToneGood, deploy.ToneBad, deploy.ToneHold} {
		m.Tone = tone
		before := got.Text
		rig.post(t, m)
		if got = rig.last(t, rig.Shown); got.Text == before {
			t.Errorf("tone %s looks like the one before", tone)
		}
	}
}

func (rig ChatRig) edits(t *testing.T) {
	editor, ok := rig.Chat.(bot.Editor)
	edits := ok && editor.Edits(rig.Channel)
	m := Card(rig.Channel)
	m.Ref = rig.post(t, m)
	before := len(rig.Shown())
	m.Status, m.Percent = "succeeded", 100
	ref := rig.post(t, m)
	got := rig.last(t, rig.Shown)
	if !strings.Contains(got.Text, "succeeded") || got.Ref != ref {
		t.Errorf("the new state is not shown, or not as %q: %q", ref, got.Text)
	}
	more := len(rig.Shown()) - before
	if edits && (more != 0 || ref != m.Ref || got.Edits != 1) || !edits && more != 1 {
		t.Errorf("edits: %v, but %d more messages, ref %q after %q", edits, more, ref, m.Ref)
	}
	m.Ref = "not a ref"
	if ref := rig.post(t, m); len(rig.Shown()) != before+more+1 || (edits && ref == m.Ref) {
		t.Errorf("a message with a foreign ref was not posted anew")
	}
}

func (rig ChatRig) fits(t *testing.T) {
	for name, unit := range map[string]string{
		"letters": "word ", "ideographs": "购物车 ", "escapes": "<&> ", "emoji": "😀😀 ", "quotes": `"' `, "fences": "``` ", "lines": "line\n", "addresses": "http://a.b/c ",
	} {
		long := strings.Repeat(unit, 6000)
		m := deploy.Message{Channel: rig.Channel, Title: long, Status: long, Log: long + "the very end", Percent: 7}
		for i := range 80 {
			m.Steps = append(m.Steps, deploy.Mark{Label: fmt.Sprintf("host %d %s", i, long[:400]), State: "doing"})
			m.Lines = append(m.Lines, fmt.Sprintf("line %d %s", i, long[:600]))
		}
		rig.post(t, m)
		got := rig.last(t, rig.Shown)
		for _, part := range []string{"host 0", "line 0", "the very end"} {
			if !strings.Contains(got.Text, part) {
				t.Errorf("%s: %q is not shown", name, part)
			}
		}
	}
}

// defuses puts each hostile text into every field.
func (rig ChatRig) defuses(t *testing.T) {
	for _, text := range HostileTexts() {
		m := Card(rig.Channel)
		m.Title, m.Status, m.Log = text, text, text
		m.Lines = []string{text, "after it: " + text, text + text}
		m.Steps = []deploy.Mark{{Label: text, State: "doing"}, {Label: text, State: text}}
		rig.post(t, m)
		got := rig.last(t, rig.Shown)
		if mentions, links := got.Mentions(), got.Links(); len(mentions) != 0 || len(links) != 0 {
			t.Errorf("%.60q mentions %q, links %.200q", text, mentions, links)
		}
		if strings.ContainsAny(got.Text, "\x00\x07\x08\x1b\u202e\u2066") {
			t.Errorf("%.60q is shown with characters that hide something", text)
		}
	}
}

func (rig ChatRig) rejects(t *testing.T) {
	rig.Pass()
	before := len(rig.Shown())
	for name, m := range map[string]deploy.Message{
		"nothing in it":       {Channel: rig.Channel},
		"nothing but control": {Channel: rig.Channel, Title: "\x00\x1b", Lines: []string{"\u202e"}},
		"no channel":          {Title: "x"},
		"another platform":    {Channel: "carrier-pigeon:C0DEPLOYS", Title: "x"},
		"driver only":         {Channel: rig.Name + ":", Title: "x"},
	} {
		if _, err := rig.Chat.Post(t.Context(), m); deploy.CodeOf(err) != deploy.CodeInvalid || deploy.MessageOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := len(rig.Shown()); after != before {
		t.Errorf("%d messages were shown all the same", after-before)
	}
}

func (rig ChatRig) replies(t *testing.T) {
	replier, ok := rig.Chat.(bot.Replier)
	if !ok {
		return
	}
	cmd, err := command(t, rig.Chat, rig.Ask("deply main", ""))
	if err != nil {
		t.Fatal(err)
	}
	before := len(rig.Shown())
	if err := replier.Reply(t.Context(), cmd, deploy.Message{Lines: []string{"did you mean deploy? <!channel> [x](https://evil.example)"}}); err != nil {
		t.Fatal(err)
	}
	got := rig.last(t, rig.Told)
	if !strings.Contains(got.Text, "did you mean deploy?") || len(got.Mentions())+len(got.Links()) != 0 || len(rig.Shown()) != before {
		t.Errorf("told %q, and %d messages to everybody", got.Text, len(rig.Shown())-before)
	}
	wantCode(t, replier.Reply(t.Context(), cmd, deploy.Message{}), deploy.CodeInvalid)
}
