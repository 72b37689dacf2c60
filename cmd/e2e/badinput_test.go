package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"ipublish/bot/bottest"
	"ipublish/deploy"
)

// answered is what the server said to one request.
type answered struct {
	status int
	body   string
}

// ask sends one request to the server.
func (r *rig) ask(req *http.Request) answered {
	r.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answered{res.StatusCode, strings.TrimSpace(string(body))}
}

// request builds one to the server's HTTP listener.
func (r *rig) request(method, path, body string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(method, r.hookless(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

// unharmed wants the worker to be the same, ready, and the journal to hold what
// it held.
func (r *rig) unharmed(worker int, newest deploy.ID) {
	r.t.Helper()
	if pid, ok := r.server.worker(); !ok || pid != worker {
		r.t.Errorf("the worker is %d, was %d", pid, worker)
	}
	if a := r.ask(r.request(http.MethodGet, "/readyz", "")); a.status != http.StatusOK {
		r.t.Errorf("/readyz answers %v", a)
	}
	if _, more := r.api.state(newest + 1); more {
		r.t.Errorf("a deploy %s came of it", newest+1)
	}
	r.readLogs()
	mustServe(r.t, r.frontURL(), "v1")
}

func TestBadInputIsAnsweredClearlyAndHarmsNothing(t *testing.T) {
	r := newRig(t, func(r *rig) {
		d := r.config["chat"].(object)["dingtalk"].(object)
		d["client_id"], d["client_secret"], d["robot_code"] = r.dingtalk.ClientID, r.dingtalk.ClientSecret, r.dingtalk.RobotCode
	})
	r.serve()
	first := r.push(behaviour{Version: "v1"})
	r.api.ends(first, deploy.Succeeded)
	worker, ok := r.server.worker()
	if !ok {
		t.Fatal("there is no worker")
	}
	for name, part := range map[string]func(r *rig){
		"deliveries": (*rig).badDeliveries, "every field of a delivery": (*rig).badFields,
		"requests": (*rig).badRequests, "chat requests": (*rig).badChat, "commands": (*rig).badCommands,
	} {
		t.Run(name, func(t *testing.T) {
			p := r.in(t)
			part(p)
			p.unharmed(worker, first)
		})
	}
}

// polite asks before it sends its body, so that an answer given at once is read.
func polite(r *http.Request) *http.Request {
	r.Header.Set("Expect", "100-continue")
	return r
}

func (r *rig) badDeliveries() {
	hook := r.hookless("/hooks/github")
	signed := func(body []byte) *http.Request {
		return bottest.GitHub().Deliver(hook, hookSecret, bottest.Push{}, body)
	}
	without := bottest.GitHubPush(hook, hookSecret, bottest.Push{})
	without.Header.Del("X-Hub-Signature-256")
	changed := bottest.GitHub().Deliver(hook, hookSecret, bottest.Push{}, []byte(`{"ref":"refs/heads/main"}`))
	changed.Body, changed.ContentLength = io.NopCloser(strings.NewReader(`{"ref":"refs/heads/evil"}`)), 25
	huge := bytes.Repeat([]byte("A"), 26<<20)
	const unauthorised = "unauthorized"
	for name, c := range map[string]struct {
		req    *http.Request
		status int
		body   string
	}{
		"a wrong signature":                {bottest.GitHubPush(hook, "another-secret-0123456789", bottest.Push{}), 401, unauthorised},
		"no signature":                     {without, 401, unauthorised},
		"a changed body":                   {changed, 401, unauthorised},
		"an empty body, signed":            {signed(nil), 400, "malformed"},
		"an empty body":                    {r.request(http.MethodPost, "/hooks/github", ""), 401, unauthorised},
		"26 MB, signed":                    {polite(signed(huge)), 413, "the body is too large"},
		"26 MB":                            {polite(r.request(http.MethodPost, "/hooks/github", string(huge))), 401, unauthorised},
		"no JSON":                          {signed([]byte("ref=main")), 400, "malformed"},
		"a list":                           {signed([]byte("[1,2,3]")), 400, "malformed"},
		"an unknown repository":            {bottest.GitHubPush(hook, hookSecret, bottest.Push{Repo: "acme/unknown"}), 202, `{"status":"accepted"}`},
		"another branch":                   {bottest.GitHubPush(hook, hookSecret, bottest.Push{Ref: "refs/heads/feature"}), 202, `{"status":"accepted"}`},
		"a tag":                            {bottest.GitHubPush(hook, hookSecret, bottest.Push{Ref: "refs/tags/v9"}), 202, `{"status":"accepted"}`},
		"a deleted branch":                 {bottest.GitHubPush(hook, hookSecret, bottest.Push{After: bottest.Zeros}), 202, `{"status":"accepted"}`},
		"[skip deploy]":                    {bottest.GitHubPush(hook, hookSecret, bottest.Push{Message: "x\n\n[skip deploy]"}), 202, `{"status":"accepted"}`},
		"a git host that is not set up":    {bottest.GiteaPush(r.hookless("/hooks/gitea"), hookSecret, bottest.Push{}), 401, unauthorised},
		"a git host that nobody knows":     {r.request(http.MethodPost, "/hooks/nowhere", "{}"), 401, unauthorised},
		"an app without a hook of its own": {bottest.GitHubPush(r.hookless("/hooks/github/shop"), hookSecret, bottest.Push{}), 401, unauthorised},
	} {
		if got := r.ask(c.req); got.status != c.status || got.body != c.body {
			r.t.Errorf("%s is answered %d %q, want %d %q", name, got.status, got.body, c.status, c.body)
		}
	}
}

// badFields sends the first push again with every field in turn replaced by what
// it must not be. What still is a push of the branch is no deploy besides, for
// its delivery was taken already.
func (r *rig) badFields() {
	hook := r.hookless("/hooks/github")
	sha := r.repo.Hash("refs/heads/main")
	p := bottest.Push{After: sha, Title: r.title(sha)}
	statuses := map[int]int{}
	for _, m := range bottest.Mutations(bottest.GitHub().Body(p)) {
		got := r.ask(bottest.GitHub().Deliver(hook, hookSecret, p, m.JSON))
		statuses[got.status]++
		if got.status != http.StatusAccepted && got.status != http.StatusBadRequest {
			r.t.Errorf("%s is answered %d %q", m.Name, got.status, got.body)
		}
	}
	r.t.Logf("%v", statuses)
	if statuses[http.StatusBadRequest] == 0 {
		r.t.Error("no shape was called malformed")
	}
}

// overSocket asks as the local command line does.
func (r *rig) overSocket(method, path, body string) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://ipublish"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return r.api.http.Do(req)
}

func (r *rig) badRequests() {
	local := func(method, path, body string) answered {
		r.t.Helper()
		res, err := r.overSocket(method, path, body)
		for range 5 { // who is still writing when the answer is there may see the closed pipe first
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
				res, err = r.overSocket(method, path, body)
			}
		}
		if err != nil {
			r.t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		return answered{res.StatusCode, string(text)}
	}
	remote := func(method, path, body string) answered { return r.ask(r.request(method, path, body)) }
	for name, c := range map[string]struct {
		got    answered
		status int
		holds  string
	}{
		"a wrong method":               {remote(http.MethodGet, "/hooks/github", ""), 405, ""},
		"a wrong method for health":    {remote(http.MethodPost, "/healthz", ""), 405, ""},
		"a page that is not there":     {remote(http.MethodGet, "/nowhere", ""), 404, ""},
		"the API without a token":      {remote(http.MethodGet, "/api/v1/status", ""), 401, "unauthorized"},
		"a command without a token":    {remote(http.MethodPost, "/api/v1/commands", `{"text":"deploy main"}`), 401, "unauthorized"},
		"a command that is no JSON":    {local(http.MethodPost, "/api/v1/commands", "deploy main"), 400, `{\"text\":`},
		"a command that is a list":     {local(http.MethodPost, "/api/v1/commands", "[]"), 400, `{\"text\":`},
		"a command whose text is none": {local(http.MethodPost, "/api/v1/commands", `{"text":7}`), 400, `{\"text\":`},
		"a command of 2 MB":            {local(http.MethodPost, "/api/v1/commands", `{"text":"`+strings.Repeat("a", 2<<20)+`"}`), 413, "too large"},
		"an unknown deploy":            {local(http.MethodGet, "/api/v1/deploys/999", ""), 404, "#999"},
		"a deploy that is no number":   {local(http.MethodGet, "/api/v1/deploys/first", ""), 400, "is not a deploy's number"},
		"events from no number":        {local(http.MethodGet, "/api/v1/deploys/1/events?after=x", ""), 400, "after is the number of an event"},
		"events of an unknown deploy":  {local(http.MethodGet, "/api/v1/deploys/999/events", ""), 404, "#999"},
		"an endless path":              {remote(http.MethodGet, "/"+strings.Repeat("a/", 8000), ""), 404, ""},
		"a path that climbs":           {remote(http.MethodPost, "/hooks/..%2f..%2fetc", "{}"), 401, ""},
	} {
		if c.got.status != c.status || !strings.Contains(c.got.body, c.holds) {
			r.t.Errorf("%s is answered %d %q, want %d with %q", name, c.got.status, c.got.body, c.status, c.holds)
		}
	}
}

func (r *rig) badChat() {
	slack, ding := r.hookless("/slack/commands"), r.hookless("/dingtalk/messages")
	unsigned := r.slack.Command(slack, bottest.SlackCommand{Text: "status"})
	unsigned.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("0", 64))
	stale := r.slack.Command(slack, bottest.SlackCommand{Text: "status", At: r.slack.Now().Add(-10 * 60e9)})
	forged := r.dingtalk.Callback(ding, bottest.DingTalkCommand{Text: "status"})
	forged.Header.Set("sign", "AAAA")
	for name, c := range map[string]struct {
		req    *http.Request
		status int
		holds  string
	}{
		"Slack without a signature":      {unsigned, 401, "unauthorized"},
		"Slack of ten minutes ago":       {stale, 401, "unauthorized"},
		"Slack with an empty body":       {r.slack.Sign(slack, nil, r.slack.Now()), 400, "malformed"},
		"Slack: an unknown command":      {r.slack.Command(slack, bottest.SlackCommand{Text: "deplyo main"}), 200, "did you mean deploy?"},
		"Slack: a person without a role": {r.slack.Command(slack, bottest.SlackCommand{Text: "deploy main", User: "U0NOBODY0"}), 200, "slack:U0NOBODY0"},
		"Slack: nothing said":            {r.slack.Command(slack, bottest.SlackCommand{Text: ""}), 200, "deploy"},
		"DingTalk with a forged sign":    {forged, 401, "unauthorized"},
	} {
		if got := r.ask(c.req); got.status != c.status || !strings.Contains(got.body, c.holds) {
			r.t.Errorf("%s is answered %d %q, want %d with %q", name, got.status, got.body, c.status, c.holds)
		}
	}
}
