package gitee_test

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/githook"
	"ipublish/bot/githook/gitee"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const secret = "a good long gitee secret"

func open(t testing.TB, secret string, options ...githook.Option) bot.Githook {
	t.Helper()
	h, err := gitee.New(secret, options...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rig(t testing.TB, s bottest.Sender) bottest.GithookRig {
	return bottest.GithookRig{Hook: open(t, secret), Secret: secret, Sender: s, Signature: []string{"X-Gitee-Token"}, Loose: true}
}

func TestContractWithPassword(t *testing.T) { bottest.Githook(t, rig(t, bottest.GiteePassword())) }

func TestContractWithSignature(t *testing.T) {
	r := rig(t, stepping(bottest.Gitee()))
	bottest.Githook(t, r)
}

func FuzzParse(f *testing.F) { bottest.FuzzGithook(f, rig(f, bottest.GiteePassword())) }

// stepping gives each delivery its own millisecond, as a git host's clock does.
func stepping(s bottest.Sender) bottest.Sender {
	at, sign := time.Now().Add(-time.Minute), s.Deliver
	s.Deliver = func(url, secret string, p bottest.Push, body []byte) *http.Request {
		at = at.Add(time.Millisecond)
		p.At = at
		return sign(url, secret, p, body)
	}
	return s
}

func TestAWeakSecretIsRefused(t *testing.T) {
	if _, err := gitee.New("this is a bit"); deploy.CodeOf(err) != deploy.CodeInvalid {
		t.Error(err)
	}
}

func TestASignatureHoldsForOneHourEitherWay(t *testing.T) {
	at := time.UnixMilli(1576754827988)
	body := fixture(t, "push")
	for off, want := range map[time.Duration]deploy.Code{
		0: "", time.Hour: "", -time.Hour: "", time.Hour + time.Millisecond: deploy.CodeRefused, -time.Hour - time.Millisecond: deploy.CodeRefused,
	} {
		hook := open(t, secret, githook.Clock(func() time.Time { return at.Add(off) }))
		_, err := hook.Parse(bottest.Gitee().Deliver("/", secret, bottest.Push{At: at}, body), body)
		if deploy.CodeOf(err) != want {
			t.Errorf("%s later: %v", off, err)
		}
	}
}

func TestACapturedSignatureCarriesNoSecondBody(t *testing.T) {
	hook := open(t, secret)
	at := time.Now()
	body, other := fixture(t, "push"), fixture(t, "tag")
	for range 2 {
		if _, err := hook.Parse(bottest.Gitee().Deliver("/", secret, bottest.Push{At: at}, body), body); err != nil {
			t.Fatal(err)
		}
	}
	r := bottest.Gitee().Deliver("/", secret, bottest.Push{At: at}, other)
	if _, err := hook.Parse(r, other); deploy.CodeOf(err) != deploy.CodeRefused || !errors.Is(err, hostile.ErrCaptured) {
		t.Errorf("got %v", err)
	}
}

func TestFixturesParse(t *testing.T) {
	for name, event := range map[string]string{"push": "Push Hook", "delete": "Push Hook", "tag": "Tag Push Hook"} {
		body := fixture(t, name)
		r := bottest.GiteePassword().Deliver("/", secret, bottest.Push{}, body)
		r.Header.Set("X-Gitee-Event", event)
		got, err := open(t, secret).Parse(r, body)
		if err != nil || got.Repo != "acme/shop" || got.Pusher.Name != "ada" || got.Deleted() != (name == "delete") {
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
