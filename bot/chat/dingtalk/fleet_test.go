package dingtalk

import (
	"encoding/json"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/phrase"
	"ipublish/deploy"
)

// msgParam holds at most 15,000 bytes of JSON, which is text within JSON again;
// markdown of a webhook at most 20,000.
func fits(t *testing.T, what string, l letter) {
	t.Helper()
	inner, err := json.Marshal(map[string]string{"title": l.title, "text": l.text})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := json.Marshal(string(inner))
	if err != nil {
		t.Fatal(err)
	}
	if len(outer) > 15000 || len(l.text) > 20000 {
		t.Fatalf("%s: %d bytes of markdown, %d as a parameter", what, len(l.text), len(outer))
	}
}

func TestADeployOfTwoHundredHostsStaysWithinTheLimitsAtEveryMoment(t *testing.T) {
	for language, zh := range map[string]*phrase.Catalogue{"en": nil, "zh": phrase.Chinese()} {
		for i, st := range bottest.FleetStates(200) {
			if i%100 == 0 || st.Stuck != nil || st.Undo != nil || st.Ended() {
				fits(t, language, render(zh.Message(deploy.Describe(st))))
			}
		}
	}
}

func TestADeployOfTwoHundredHostsShowsItsBarWhoIsAtWorkAndWhoWasLeftBehind(t *testing.T) {
	states := bottest.FleetStates(200)
	text := render(deploy.Describe(states[len(states)*3/4])).text
	for _, want := range []string{"■■■■", "of 200 hosts", "now: ", "batch 3 of 3", "web-101.shop.eu-central-1.internal.example.com is left behind: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
}

func TestTwelveHostsWithLongNamesAreAllShown(t *testing.T) {
	states := bottest.FleetStates(12)
	text := render(deploy.Describe(states[len(states)/2])).text
	for _, want := range []string{"web-001.shop.eu-central-1.internal.example.com", "web-012.shop.eu-central-1.internal.example.com"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
}

// What a person asks for is shown whole where nothing else needs the room.
func TestTheWholeHelpIsShownInBothLanguages(t *testing.T) {
	h := &bot.Handler{Config: func() bot.Config { return bot.Config{Chats: []string{"dingtalk"}} }}
	help := h.Handle(t.Context(), deploy.Command{Text: "help", User: deploy.Actor{ID: "dingtalk:1"}}).Text
	for _, zh := range []*phrase.Catalogue{nil, phrase.Chinese()} {
		said := strings.Split(zh.Text(help), "\n")
		l := render(deploy.Message{Lines: said, Final: true})
		fits(t, "help", l)
		if last := escape(said[len(said)-1]); !strings.Contains(l.text, last) {
			t.Errorf("%q is cut off:\n%s", last, l.text)
		}
	}
}
