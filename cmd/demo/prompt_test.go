package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/cmd/client"
	"ipublish/cmd/screen"
	"ipublish/deploy"
)

func TestThePromptPassesWordsOnUntilAPersonLeaves(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in bot.CommandRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		asked = append(asked, in.Text)
		answer := bot.CommandAnswer{Text: "heard"}
		if strings.Contains(in.Text, "stauts") {
			answer = bot.CommandAnswer{Text: "did you mean status?", Code: deploy.CodeInvalid, Exit: 2}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	var out bytes.Buffer
	d := &demo{screen: screen.New(&out), git: &gitHost{pushed: make(chan string)}, users: &users{tally: newTally()}}
	p := &prompt{show: &show{demo: d, api: client.New(server.URL, "")}, in: strings.NewReader("/ipub status\n\n/ipub stauts\n  EXIT \nnever\n")}
	if err := p.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/ipub status", "/ipub stauts"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if !strings.Contains(out.String(), "heard") || !strings.Contains(out.String(), "did you mean status?") {
		t.Errorf("the answers are not shown: %s", out.String())
	}
}

func TestThePromptEndsWithItsInputAndWithItsContext(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	open, closing := io.Pipe()
	defer closing.Close()
	for name, c := range map[string]struct {
		ctx context.Context
		in  *prompt
	}{
		"input":   {context.Background(), &prompt{in: strings.NewReader("")}},
		"context": {ended, &prompt{in: open}},
	} {
		d := &demo{screen: screen.New(&bytes.Buffer{}), git: &gitHost{pushed: make(chan string)}, users: &users{tally: newTally()}}
		c.in.show = &show{demo: d}
		if err := c.in.run(c.ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
