package github_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/githook/github"
	"ipublish/deploy"
)

const secret = "It's a Secret to Everybody"

func open(t testing.TB, secret string) bot.Githook {
	t.Helper()
	h, err := github.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rig(t testing.TB) bottest.GithookRig {
	return bottest.GithookRig{Hook: open(t, secret), Secret: secret, Sender: bottest.GitHub(), Signature: []string{"X-Hub-Signature-256"}}
}

func TestContract(t *testing.T) { bottest.Githook(t, rig(t)) }

func FuzzParse(f *testing.F) { bottest.FuzzGithook(f, rig(f)) }

func TestAWeakSecretIsRefused(t *testing.T) {
	for _, s := range []string{"", "short"} {
		if _, err := github.New(s); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The vector of GitHub's documentation.
func TestTheOfficialVectorIsGenuine(t *testing.T) {
	r, _ := http.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	if _, err := open(t, secret).Parse(r, []byte("Hello, World!")); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Errorf("the signature should hold and the JSON be invalid: %v", err)
	}
	if _, err := open(t, secret).Parse(r, []byte("Hello, World?")); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("another body: %v", err)
	}
}

func TestAPingIsGenuineAndAsksForNothing(t *testing.T) {
	r := bottest.GitHub().Deliver("/", secret, bottest.Push{}, fixture(t, "ping"))
	r.Header.Set("X-GitHub-Event", "ping")
	if _, err := open(t, secret).Parse(r, fixture(t, "ping")); deploy.CodeOf(err) != deploy.CodeNotFound || !strings.Contains(deploy.MessageOf(err), "ping") {
		t.Errorf("got %v", err)
	}
}

func TestFixturesParse(t *testing.T) {
	const commit = "c2a6b03f190dfb2b4aa91f8af8d477a9bc3401dc" // sha1("new")
	for name, want := range map[string]deploy.Push{
		"push":   {Ref: "refs/heads/main", After: commit, Title: "Fix the basket"},
		"forced": {Ref: "refs/heads/main", After: commit, Title: "Fix the basket"},
		"delete": {Ref: "refs/heads/main", After: bottest.Zeros},
		"tag":    {Ref: "refs/tags/v1.2", After: commit, Title: "Fix the basket"},
	} {
		body := fixture(t, name)
		got, err := open(t, secret).Parse(bottest.GitHub().Deliver("/", secret, bottest.Push{Delivery: "72d3162e-cc78-11e3-81ab-4c9367dc0958"}, body), body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Ref != want.Ref || got.After != want.After || got.Title != want.Title || got.Repo != "acme/shop" || got.Pusher.Name != "ada" {
			t.Errorf("%s: %+v", name, got)
		}
		if got.Delivery != "72d3162e-cc78-11e3-81ab-4c9367dc0958" {
			t.Errorf("%s: delivery %q", name, got.Delivery)
		}
	}
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
