package gitlab_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/githook"
	"ipublish/bot/githook/gitlab"
	"ipublish/deploy"
)

const (
	token   = "a good long gitlab token"
	signing = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
)

func open(t testing.TB, secret string, options ...githook.Option) bot.Githook {
	t.Helper()
	h, err := gitlab.New(secret, options...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rig(t testing.TB, secret string) bottest.GithookRig {
	return bottest.GithookRig{Hook: open(t, secret), Secret: secret, Sender: bottest.GitLab(),
		Signature: []string{"X-Gitlab-Token", "webhook-signature"}, Loose: secret == token}
}

func TestContractWithToken(t *testing.T) { bottest.Githook(t, rig(t, token)) }

func TestContractWithSigningToken(t *testing.T) { bottest.Githook(t, rig(t, signing)) }

func FuzzParse(f *testing.F) { bottest.FuzzGithook(f, rig(f, signing)) }

func TestAWeakSecretIsRefused(t *testing.T) {
	for _, s := range []string{"", "short", "whsec_", "whsec_not base64 at all!", "whsec_dG9vIHNob3J0"} {
		if _, err := gitlab.New(s); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// vector is a delivery signed outside of this code.
func vector(signature string) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("X-Gitlab-Event", "Push Hook")
	r.Header.Set("webhook-id", "msg_1")
	r.Header.Set("webhook-timestamp", "1674087231")
	r.Header.Set("webhook-signature", signature)
	return r
}

const good = "v1,tMsoQCRq+Rx2wU36vI+rWbcbjrLTQzzX1CZZEtcteCM="

func TestTheVectorIsGenuineForFiveMinutes(t *testing.T) {
	signed := time.Unix(1674087231, 0)
	for off, want := range map[time.Duration]deploy.Code{
		0: deploy.CodeNotFound, 5 * time.Minute: deploy.CodeNotFound, -5 * time.Minute: deploy.CodeNotFound,
		301 * time.Second: deploy.CodeRefused, -301 * time.Second: deploy.CodeRefused,
	} {
		hook := open(t, signing, githook.Clock(func() time.Time { return signed.Add(off) }))
		if _, err := hook.Parse(vector(good), []byte(`{"a":1}`)); deploy.CodeOf(err) != want {
			t.Errorf("%s later: %v", off, err)
		}
	}
}

func TestAnyOfSeveralSignaturesIsEnough(t *testing.T) {
	wrong := "v1," + strings.Repeat("A", 43) + "="
	for list, want := range map[string]deploy.Code{
		wrong + " " + good:                          deploy.CodeNotFound,
		"v1a,xyz " + wrong + " " + good + " " + "x": deploy.CodeNotFound,
		wrong:                             deploy.CodeRefused,
		strings.TrimPrefix(good, "v1,"):   deploy.CodeRefused,
		"v2," + good[3:]:                  deploy.CodeRefused,
		strings.Repeat("x ", 4000) + good: deploy.CodeRefused,
		"":                                deploy.CodeRefused,
		"v1,":                             deploy.CodeRefused,
	} {
		hook := open(t, signing, githook.Clock(func() time.Time { return time.Unix(1674087231, 0) }))
		if _, err := hook.Parse(vector(list), []byte(`{"a":1}`)); deploy.CodeOf(err) != want {
			t.Errorf("%.40q: %v", list, err)
		}
	}
}

func TestASigningTokenNeverFallsBackToThePlainOne(t *testing.T) {
	r := bottest.GitLabPush("/", token, bottest.Push{})
	r.Header.Set("X-Gitlab-Token", signing)
	if _, err := open(t, signing).Parse(r, bottest.GitLab().Body(bottest.Push{})); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("got %v", err)
	}
}

func TestDeliveryIDs(t *testing.T) {
	body := fixture(t, "push")
	id := func(secret string, edit func(http.Header)) string {
		r := bottest.GitLab().Deliver("/", secret, bottest.Push{Delivery: "key-1"}, body)
		edit(r.Header)
		got, err := open(t, secret).Parse(r, body)
		if err != nil {
			t.Fatal(err)
		}
		return got.Delivery
	}
	if got := id(token, func(http.Header) {}); got != "key-1" {
		t.Errorf("with Idempotency-Key: %q", got)
	}
	if got := id(signing, func(h http.Header) { h.Set("Idempotency-Key", "unsigned") }); got != "key-1" {
		t.Errorf("signed: %q", got)
	}
	uuid := id(token, func(h http.Header) { h.Del("Idempotency-Key"); h.Set("X-Gitlab-Event-UUID", "u-1") })
	if !strings.HasPrefix(uuid, "u-1-") {
		t.Errorf("with the event's UUID: %q", uuid)
	}
	if got := id(token, func(h http.Header) { h.Del("Idempotency-Key"); h.Del("X-Gitlab-Event-UUID") }); !strings.HasPrefix(got, "sha256-") {
		t.Errorf("with nothing: %q", got)
	}
}

func TestFixturesParse(t *testing.T) {
	const commit = "c2a6b03f190dfb2b4aa91f8af8d477a9bc3401dc" // sha1("new")
	for _, c := range []struct {
		file, event string
		want        deploy.Push
	}{
		{"push", "Push Hook", deploy.Push{Ref: "refs/heads/main", After: commit, Title: "Fix the basket"}},
		{"delete", "Push Hook", deploy.Push{Ref: "refs/heads/main", After: bottest.Zeros}},
		{"tag", "Tag Push Hook", deploy.Push{Ref: "refs/tags/v1.2", After: commit}},
		{"system_push", "System Hook", deploy.Push{Ref: "refs/heads/main", After: commit}},
	} {
		body := fixture(t, c.file)
		r := bottest.GitLab().Deliver("/", token, bottest.Push{}, body)
		r.Header.Set("X-Gitlab-Event", c.event)
		got, err := open(t, token).Parse(r, body)
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got.Ref != c.want.Ref || got.After != c.want.After || got.Title != c.want.Title || got.Repo != "acme/web/shop" || got.Pusher.Name != "ada" {
			t.Errorf("%s: %+v", c.file, got)
		}
	}
}

func TestAnotherSystemHookIsIgnored(t *testing.T) {
	body := fixture(t, "system_other")
	r := bottest.GitLab().Deliver("/", token, bottest.Push{}, body)
	r.Header.Set("X-Gitlab-Event", "System Hook")
	if _, err := open(t, token).Parse(r, body); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("got %v", err)
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
