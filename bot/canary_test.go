package bot_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/bot/chat/dingtalk"
	"ipublish/bot/chat/slack"
	"ipublish/bot/githook/gitea"
	"ipublish/bot/githook/gitee"
	"ipublish/bot/githook/github"
	"ipublish/bot/githook/gitlab"
	"ipublish/deploy"
)

// empty is a store that keeps nothing, and a planner that cannot plan.
type empty struct{}

func nothing() error {
	return &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such deploy"}
}

func (empty) Submit(context.Context, deploy.Request) (deploy.ID, bool, error) { return 1, true, nil }
func (empty) State(deploy.ID) (deploy.State, error)                           { return deploy.State{}, nothing() }
func (empty) Live(deploy.Target) (deploy.Live, error)                         { return deploy.Live{}, nil }
func (empty) Append(deploy.ID, uint64, deploy.Event) error                    { return nothing() }
func (empty) Waiting(deploy.Target) ([]deploy.State, error)                   { return nil, nil }
func (empty) History(*deploy.Target, deploy.ID, int) ([]deploy.State, error)  { return nil, nil }
func (empty) Events(context.Context, deploy.ID, uint64) ([]deploy.Event, error) {
	return nil, nothing()
}
func (empty) Plan(context.Context, deploy.Request) (deploy.Plan, error) {
	return deploy.Plan{}, nothing()
}

// world is a server with every driver, and those who talk to it.
type world struct {
	t        *testing.T
	slack    *bottest.Slack
	dingtalk *bottest.DingTalk
	hooks    map[string]bottest.Sender
	secrets  map[string]string
	routes   http.Handler
	log      *bytes.Buffer
	answers  bytes.Buffer
}

const bearerCanary = "canary-of-an-api-token-0123456789"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, slack: bottest.NewSlack(t), dingtalk: bottest.NewDingTalk(t), log: &bytes.Buffer{},
		hooks:   map[string]bottest.Sender{"github": bottest.GitHub(), "gitlab": bottest.GitLab(), "gitea": bottest.Gitea(), "gitee": bottest.Gitee()},
		secrets: map[string]string{},
	}
	for name := range w.hooks {
		w.secrets[name] = "canary-secret-of-" + name
	}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	hooks, cfg := w.openHooks(), w.config()
	s := bot.NewServer(bot.Parts{
		Config:  func() bot.Config { return cfg },
		Handler: &bot.Handler{Config: func() bot.Config { return cfg }, Intake: empty{}, Records: empty{}, Queue: empty{}, Journal: empty{}, Planner: empty{}},
		Hooks:   func(name string) (bot.Githook, bool) { h, ok := hooks[name]; return h, ok },
		Chats:   w.openChats(), Ready: func() error { return nil }, Log: log,
	})
	w.routes = s.Routes()
	return w
}

func (w *world) config() bot.Config {
	return bot.Config{
		Apps:   []deploy.App{{Name: "shop", Slug: "acme/shop", Environments: []deploy.Environment{{Name: "production", Branch: "main", AutoDeploy: true}}}},
		Tokens: map[string]string{"ci": bearerCanary}, Chats: []string{"slack", "dingtalk"},
	}
}

func (w *world) openHooks() map[string]bot.Githook {
	out := map[string]bot.Githook{}
	for name, open := range map[string]func(string) (bot.Githook, error){
		"github": func(s string) (bot.Githook, error) { return github.New(s) },
		"gitlab": func(s string) (bot.Githook, error) { return gitlab.New(s) },
		"gitea":  func(s string) (bot.Githook, error) { return gitea.New(s) },
		"gitee":  func(s string) (bot.Githook, error) { return gitee.New(s) },
	} {
		h, err := open(w.secrets[name])
		if err != nil {
			w.t.Fatal(err)
		}
		out[name] = h
	}
	return out
}

func (w *world) openChats() map[string]bot.Chat {
	s, err := slack.New(slack.Config{SigningSecret: w.slack.SigningSecret, BotToken: w.slack.Token, Command: "/ipub", APIURL: w.slack.APIURL(), Now: w.slack.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := dingtalk.New(dingtalk.Config{ClientID: w.dingtalk.ClientID, ClientSecret: w.dingtalk.ClientSecret, RobotCode: w.dingtalk.RobotCode, APIURL: w.dingtalk.URL, Now: w.dingtalk.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]bot.Chat{"slack": s, "dingtalk": d}
}

// send gives the request to the server as it is, then with each header missing,
// spoilt, and under another body.
func (w *world) send(name string, build func() *http.Request, want int) {
	w.t.Helper()
	if got := w.sendOne(build()); got != want {
		w.t.Errorf("%s: status %d, want %d", name, got, want)
	}
	for header := range build().Header {
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Header.Del(header) },
			func(r *http.Request) { r.Header.Set(header, "x"+r.Header.Get(header)) },
			func(r *http.Request) { r.Header.Add(header, r.Header.Get(header)) },
		} {
			r := build()
			change(r)
			w.sendOne(r)
		}
	}
	genuine := build()
	for _, body := range []string{"", "{", "null", `{"ref":1}`, "payload=%zz", "\x00\xff"} {
		again := genuine.Clone(genuine.Context())
		again.Body, again.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		w.sendOne(again)
	}
}

func (w *world) sendOne(r *http.Request) int {
	rec := httptest.NewRecorder()
	w.routes.ServeHTTP(rec, r)
	fmt.Fprintln(&w.answers, rec.Header(), rec.Body)
	return rec.Code
}

// Whatever is sent, genuine, forged or malformed, no secret comes back or is logged.
func TestNoSecretIsToldByAnAnswerOrTheLog(t *testing.T) {
	w := newWorld(t)
	for name, sender := range w.hooks {
		w.send(name, func() *http.Request { return sender.Push("/hooks/"+name, w.secrets[name], bottest.Push{}) }, http.StatusAccepted)
	}
	w.send("gitee's password", func() *http.Request {
		return bottest.GiteePassword().Push("/hooks/gitee", w.secrets["gitee"], bottest.Push{})
	}, http.StatusAccepted)
	w.send("slack", func() *http.Request {
		return w.slack.Command("/slack/commands", bottest.SlackCommand{Text: "status"})
	}, http.StatusOK)
	w.send("slack's other command", func() *http.Request {
		return w.slack.Command("/slack/commands", bottest.SlackCommand{Command: "/other"})
	}, http.StatusOK)
	w.send("dingtalk", func() *http.Request {
		return w.dingtalk.Callback("/dingtalk/messages", bottest.DingTalkCommand{Text: "whoami"})
	}, http.StatusOK)
	for _, call := range []struct{ method, path, body string }{
		{"POST", "/api/v1/commands", `{"text":"status"}`}, {"POST", "/api/v1/commands", `{"text":"whoami"}`}, {"POST", "/api/v1/commands", `{"text":"` + bearerCanary[:8] + `"}`},
		{"GET", "/api/v1/status", ""},
	} {
		w.send(call.path, func() *http.Request {
			r := httptest.NewRequest(call.method, call.path, strings.NewReader(call.body))
			r.Header.Set("Authorization", "Bearer "+bearerCanary)
			return r
		}, http.StatusOK)
	}
	told := w.answers.String() + w.log.String()
	for _, want := range []string{"a push was taken", "a delivery was not taken", "a message was not taken", "verb=status"} {
		if !strings.Contains(told, want) {
			t.Errorf("the test never came to %q", want)
		}
	}
	secrets := []string{bearerCanary, w.slack.SigningSecret, w.slack.Token, w.dingtalk.ClientSecret}
	for _, s := range w.secrets {
		secrets = append(secrets, s)
	}
	for _, s := range secrets {
		if strings.Contains(told, s) || strings.Contains(told, url.QueryEscape(s)) {
			t.Errorf("%q was told", s)
		}
	}
}
