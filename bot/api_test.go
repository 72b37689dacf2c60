package bot

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
)

var bearer = map[string]string{"Authorization": "Bearer " + token}

func (f *front) command(t *testing.T, text, key string) CommandAnswer {
	t.Helper()
	b, _ := json.Marshal(CommandRequest{Text: text, Key: key})
	code, body := f.send(t, "POST", "/api/v1/commands", bearer, strings.NewReader(string(b)))
	var a CommandAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || code != 200 {
		t.Fatalf("%s: %d %q", text, code, body)
	}
	return a
}

func TestTheCommandLineSpeaksTheSameGrammar(t *testing.T) {
	f := newFront(t)
	a := f.command(t, "deploy shop main to production", "k")
	if a.Deploy != 1 || a.Exit != 0 || a.Code != "" || !strings.Contains(a.Text, "#1 queued") {
		t.Errorf("got %+v", a)
	}
	if again := f.command(t, "deploy shop main to production", "k"); again != a {
		t.Errorf("the same key gives %+v", again)
	}
	if s, _ := f.State(1); s.Request.By.ID != "token:ci" || !strings.HasPrefix(s.Request.Key, "api:token:ci:") {
		t.Errorf("the request is %+v", s.Request)
	}
	if a := f.command(t, "dploy", ""); a.Exit != 2 || a.Code != deploy.CodeInvalid {
		t.Errorf("got %+v", a)
	}
	if a := f.command(t, "accept api", ""); a.Exit != 3 || a.Code != deploy.CodeRefused {
		t.Errorf("got %+v", a)
	}
	f.memory.plan = deploy.Plan{Target: shopProd}
	contains(t, f.command(t, "plan shop/production", "").Text, "nothing to do")
	f.memory.planErr = &deploy.Error{Code: deploy.CodeUnavailable, Message: "web-1 does not answer"}
	if a := f.command(t, "plan shop/production", ""); a.Exit != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestTheExitStatusFollowsTheCode(t *testing.T) {
	for code, want := range map[deploy.Code]int{"": 0, deploy.CodeInternal: 1, deploy.CodeUnavailable: 1, deploy.CodeInvalid: 2, deploy.CodeNotFound: 2, deploy.CodeRefused: 3} {
		if got := ExitOf(code); got != want {
			t.Errorf("%q gives %d, want %d", code, got, want)
		}
	}
}

func TestAMalformedAPICallIsExplained(t *testing.T) {
	f := newFront(t)
	if code, body := f.send(t, "POST", "/api/v1/commands", bearer, strings.NewReader("deploy")); code != 400 || !strings.Contains(body, "send JSON like") {
		t.Errorf("got %d %q", code, body)
	}
	for path, want := range map[string]int{"/api/v1/deploys/x": 400, "/api/v1/deploys/0": 400, "/api/v1/deploys/9": 404, "/api/v1/deploys/9/events": 404} {
		if code, body := f.send(t, "GET", path, bearer, nil); code != want {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	submitted(t, f.memory, shopProd, "k")
	if code, _ := f.send(t, "GET", "/api/v1/deploys/1/events?after=x", bearer, nil); code != 400 {
		t.Errorf("got %d", code)
	}
}

func TestACrossSiteCallIsRefused(t *testing.T) {
	f := newFront(t)
	header := map[string]string{"Authorization": "Bearer " + token, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
	if code, _ := f.send(t, "POST", "/api/v1/commands", header, strings.NewReader(`{"text":"deploy api"}`)); code != 403 || f.submitCalls() != 0 {
		t.Errorf("got %d", code)
	}
}

func TestStatesAreToldWithoutTheSettingsOfTheirPlans(t *testing.T) {
	f := newFront(t)
	submitted(t, f.memory, shopProd, "k").planned().done(2)
	for _, path := range []string{"/api/v1/deploys/1", "/api/v1/status"} {
		code, body := f.send(t, "GET", path, bearer, nil)
		if code != 200 || strings.Contains(body, "canary-secret") || !strings.Contains(body, "Fix the basket") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	var st deploy.State
	_, body := f.send(t, "GET", "/api/v1/deploys/1", bearer, nil)
	if err := json.Unmarshal([]byte(body), &st); err != nil || deploy.Describe(st).Percent != 40 {
		t.Errorf("the state reads back as %+v, %v", st, err)
	}
	var all StatusAnswer
	_, body = f.send(t, "GET", "/api/v1/status", bearer, nil)
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all.Environments) != 3 || all.Environments[0].Active == nil {
		t.Errorf("status reads back as %+v, %v", all, err)
	}
}

func TestEventsAreStreamedUntilTheEnd(t *testing.T) {
	f := newFront(t)
	d := submitted(t, f.memory, shopProd, "k").planned()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", f.http.URL+"/api/v1/deploys/1/events?after=1", nil)
	req.Header.Set("Authorization", bearer["Authorization"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var kinds []deploy.Kind
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var ev deploy.Event
		if err := json.Unmarshal([]byte(data), &ev); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(data, "canary-secret") {
			t.Error("a secret is streamed")
		}
		if kinds = append(kinds, ev.Kind); ev.Kind == deploy.KindPlanned {
			d.done(1).ended(deploy.Cancelled)
		}
	}
	want := []deploy.Kind{deploy.KindClaimed, deploy.KindPlanned, deploy.KindStarted, deploy.KindDone, deploy.KindEnded}
	if len(kinds) != len(want) || kinds[4] != deploy.KindEnded {
		t.Errorf("got %v", kinds)
	}
	if _, body := f.send(t, "GET", "/api/v1/deploys/1/events?after=6", bearer, nil); body != "" {
		t.Errorf("after the end: %q", body)
	}
}

func TestAShutdownEndsTheStreams(t *testing.T) {
	f := newFront(t)
	submitted(t, f.memory, shopProd, "k")
	req, _ := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+"/api/v1/deploys/1/events", nil)
	req.Header.Set("Authorization", bearer["Authorization"])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := f.http.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("the shutdown ended with %v", err)
	}
	if code, _, ok := f.server.streams.join(t.Context()); ok {
		t.Errorf("a stream opens after the end: %v", code)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := newStreams(1)
	_, leave, ok := s.join(t.Context())
	if _, _, second := s.join(t.Context()); !ok || second {
		t.Errorf("the first %v, the second %v", ok, second)
	}
	leave()
	if _, _, third := s.join(t.Context()); !third {
		t.Error("a place that was left is not free")
	}
}

// The kernel says who is at the other end of the unix socket; nobody at the
// network has that name.
func TestTheLocalUserNeedsNoToken(t *testing.T) {
	f := newFront(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := f.server.HTTP()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-served })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Post("http://ipublish/api/v1/commands", "application/json", strings.NewReader(`{"text":"accept api"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.State(1)
	if err != nil || resp.StatusCode != 200 || s.Request.By.ID != "cli:"+me.Username {
		t.Errorf("%d by %+v, %v", resp.StatusCode, s.Request.By, err)
	}
	req, _ := http.NewRequest("POST", "http://ipublish/api/v1/commands", strings.NewReader(`{"text":"accept api"}`))
	req.Header.Set("Authorization", "Bearer wrong-wrong-wrong-wrong")
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong token on the socket: %d", resp.StatusCode)
	}
}
