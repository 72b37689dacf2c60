package gitea_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/githook/gitea"
	"ipublish/deploy"
)

const secret = "a good long gitea secret"

func open(t testing.TB) bot.Githook {
	t.Helper()
	h, err := gitea.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rig(t testing.TB) bottest.GithookRig {
	return bottest.GithookRig{Hook: open(t), Secret: secret, Sender: bottest.Gitea(), Signature: []string{"X-Gitea-Signature", "X-Gogs-Signature", "X-Forgejo-Signature"}}
}

func TestContract(t *testing.T) { bottest.Githook(t, rig(t)) }

func FuzzParse(f *testing.F) { bottest.FuzzGithook(f, rig(f)) }

func TestAWeakSecretIsRefused(t *testing.T) {
	if _, err := gitea.New("fifteen letters"); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Error(err)
	}
}

func TestForgejoAndGogsAreUnderstood(t *testing.T) {
	for dialect, name := range map[string]string{"X-Forgejo-": "push", "X-Gitea-": "push", "X-Gogs-": "gogs_push"} {
		body := fixture(t, name)
		sent := bottest.Gitea().Deliver("/", secret, bottest.Push{Delivery: "d-1"}, body)
		r, _ := http.NewRequest(http.MethodPost, "/", nil)
		for _, h := range []string{"Signature", "Event", "Delivery"} {
			r.Header.Set(dialect+h, sent.Header.Get("X-Gitea-"+h))
		}
		got, err := open(t).Parse(r, body)
		if err != nil || got.Title != "Fix the basket" || got.Delivery != "d-1" || got.Repo != "acme/shop" || got.Pusher.Name != "ada" {
			t.Errorf("%s: %+v, %v", dialect, got, err)
		}
	}
}

func TestTheMostSpecificSignatureCounts(t *testing.T) {
	body := fixture(t, "push")
	r := bottest.Gitea().Deliver("/", secret, bottest.Push{}, body)
	r.Header.Set("X-Forgejo-Signature", strings.Repeat("0", 64))
	if _, err := open(t).Parse(r, body); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("got %v", err)
	}
}

func TestASignatureOverTheRawFormIsRefused(t *testing.T) {
	form := url.Values{"payload": {string(fixture(t, "push"))}}.Encode()
	r := bottest.Gitea().Deliver("/", secret, bottest.Push{}, []byte(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := open(t).Parse(r, []byte(form)); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("got %v", err)
	}
}

func TestFixturesParse(t *testing.T) {
	for name, deleted := range map[string]bool{"push": false, "delete": true, "sha256": false} {
		body := fixture(t, name)
		got, err := open(t).Parse(bottest.Gitea().Deliver("/", secret, bottest.Push{}, body), body)
		if err != nil || got.Deleted() != deleted || (got.Title == "") != deleted {
			t.Errorf("%s: %+v, %v", name, got, err)
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
