package bot

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"ipublish/deploy"
)

func pushBody(p deploy.Push) io.Reader {
	b, _ := json.Marshal(p)
	return bytes.NewReader(b)
}

func shopPush() deploy.Push {
	return deploy.Push{Provider: "github", Delivery: "d-1", Repo: "Acme/Shop", Ref: "refs/heads/main", Before: strings.Repeat("0", 40), After: sha, Title: "Fix \x1b the basket", Pusher: deploy.Actor{ID: "slack:UADMIN", Name: "eve"}}
}

var hookSecret = map[string]string{"X-Secret": "hook-secret"}

func TestAPushIsQueuedForItsEnvironment(t *testing.T) {
	f := newFront(t)
	code, body := f.send(t, "POST", "/hooks/github", hookSecret, pushBody(shopPush()))
	if code != http.StatusAccepted || body != "{\"status\":\"accepted\"}\n" {
		t.Errorf("got %d %q", code, body)
	}
	s, err := f.State(1)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Request
	if r.Target() != shopProd || !r.Auto || r.Commit != sha || r.Ref != "main" || r.By.ID != "push:github" || r.Key != "github:d-1:shop/production" || r.Title != "Fix the basket" {
		t.Errorf("the request is %+v", r)
	}
	f.send(t, "POST", "/hooks/github", hookSecret, pushBody(shopPush()))
	if n := len(f.ids()); n != 1 {
		t.Errorf("the redelivery made %d deploys", n)
	}
}

func TestWhatIsNotForUsIsAcceptedInTheSameWords(t *testing.T) {
	change := func(edit func(*deploy.Push)) deploy.Push { p := shopPush(); edit(&p); return p }
	pushes := map[string]deploy.Push{
		"unknown repository": change(func(p *deploy.Push) { p.Repo = "evil/shop" }),
		"other branch":       change(func(p *deploy.Push) { p.Ref = "refs/heads/topic" }),
		"no auto_deploy":     change(func(p *deploy.Push) { p.Repo = "acme/api" }),
		"tag":                change(func(p *deploy.Push) { p.Ref = "refs/tags/main" }),
		"deleted":            change(func(p *deploy.Push) { p.After = strings.Repeat("0", 40) }),
		"skipped":            change(func(p *deploy.Push) { p.Message = "Fix\n\n[Skip Deploy] please" }),
		"zero":               {},
	}
	for name, p := range pushes {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			code, body := f.send(t, "POST", "/hooks/github", hookSecret, pushBody(p))
			if code != http.StatusAccepted || body != "{\"status\":\"accepted\"}\n" || f.submitCalls() != 0 {
				t.Errorf("got %d %q, %d requests", code, body, f.submitCalls())
			}
			if !strings.Contains(f.log.String(), "a push was ignored") {
				t.Error("it was not logged")
			}
		})
	}
	f := newFront(t)
	ping := map[string]string{"X-Secret": "hook-secret", "X-Event": "ping"}
	if code, body := f.send(t, "POST", "/hooks/github", ping, nil); code != http.StatusAccepted || body != "{\"status\":\"accepted\"}\n" {
		t.Errorf("a ping: %d %q", code, body)
	}
}

// An app with a secret of its own is spoken for by that secret only, and that
// secret speaks for no other app.
func TestASecretSpeaksOnlyForItsRepository(t *testing.T) {
	cfg := testConfig()
	cfg.Apps[1].Environments[0].AutoDeploy = true
	cfg.Hooks = []string{"github", "gitea", "gitea/api"}
	cases := []struct {
		path, secret, repo string
		queued             int
	}{
		{"/hooks/gitea", "gitea-secret", "acme/shop", 1},
		{"/hooks/gitea", "gitea-secret", "acme/api", 0},
		{"/hooks/gitea/api", "api-secret", "acme/api", 1},
		{"/hooks/gitea/api", "api-secret", "acme/shop", 0},
		{"/hooks/github", "hook-secret", "acme/shop", 1},
		{"/hooks/github", "hook-secret", "acme/api", 0},
	}
	for _, c := range cases {
		f := newFront(t)
		f.server.Config = func() Config { return cfg }
		p := shopPush()
		p.Repo = c.repo
		code, _ := f.send(t, "POST", c.path, map[string]string{"X-Secret": c.secret}, pushBody(p))
		if code != http.StatusAccepted || f.submitCalls() != c.queued {
			t.Errorf("%s at %s: %d, %d requests", c.repo, c.path, code, f.submitCalls())
		}
	}
}

func TestACapturedSignatureIsAWarningAndAWrongOneIsNot(t *testing.T) {
	for header, level := range map[string]string{"captured": "WARN", "": "INFO"} {
		f := newFront(t)
		secret := "hook-secret"
		if header == "" {
			secret = "wrong"
		}
		code, _ := f.send(t, "POST", "/hooks/github", map[string]string{"X-Secret": secret, "X-Event": header}, pushBody(shopPush()))
		if code != http.StatusUnauthorized || !strings.Contains(f.log.String(), "level="+level+" msg=\"a delivery was not taken\"") {
			t.Errorf("%q: %d\n%s", header, code, f.log)
		}
	}
}

func TestAMalformedDeliveryIs400(t *testing.T) {
	f := newFront(t)
	for _, body := range []string{"", "null null", `{"Repo":[]}`, `{"Repo":1e999}`, strings.Repeat("[", 100000)} {
		if code, answer := f.send(t, "POST", "/hooks/github", hookSecret, strings.NewReader(body)); code != 400 || answer != "malformed\n" {
			t.Errorf("%.20q: %d %q", body, code, answer)
		}
	}
}

func TestADeliveryThatCannotBeKeptIsAskedForAgain(t *testing.T) {
	f := newFront(t)
	f.refuse = &deploy.Error{Code: deploy.CodeUnavailable, Message: "no space left"}
	if code, _ := f.send(t, "POST", "/hooks/github", hookSecret, pushBody(shopPush())); code != http.StatusServiceUnavailable {
		t.Errorf("got %d", code)
	}
}

func TestTheMarkToSkipIsFoundAnywhereInAMessage(t *testing.T) {
	for message, want := range map[string]bool{
		"": false, "[": false, "skip deploy]": false, "[skip deploy": false, "[skip-deploy]": false, "[wip] fix": false,
		"[skip deploy]": true, "Fix [[SKIP Deploy]": true, "[a] [b]\n\n[skip deploy].": true, "[skip [skip deploy]]": true,
	} {
		if skips(message) != want {
			t.Errorf("%q: %v", message, !want)
		}
	}
}
