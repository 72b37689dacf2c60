package bot

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

type front struct {
	*memory
	server *Server
	slack  *fakeChat
	http   *httptest.Server
	log    *quietLog

	answers strings.Builder // all bodies that send got
}

// secrets must appear in no answer and no line of the log, whatever a test does.
func secrets() []string {
	return []string{token, "another-secret-of-length", "hook-secret", "gitea-secret", "api-secret", "chat-secret", "canary-secret"}
}

func (f *front) keepsSecrets(t *testing.T) {
	for _, s := range secrets() {
		if strings.Contains(f.answers.String(), s) || strings.Contains(f.log.String(), s) {
			t.Errorf("%q was told in an answer or in the log", s)
		}
	}
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{memory: newMemory(), slack: newChat(), log: &quietLog{}}
	hooks := map[string]Githook{"github": fakeHook{"hook-secret"}, "gitea": fakeHook{"gitea-secret"}, "gitea/api": fakeHook{"api-secret"}}
	f.server = NewServer(Parts{
		Config: testConfig, Handler: newHandler(f.memory), Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Ready: func() error { return nil },
		Hooks: func(name string) (Githook, bool) { h, ok := hooks[name]; return h, ok },
		Chats: map[string]Chat{"slack": f.slack},
	})
	f.http = httptest.NewUnstartedServer(nil)
	f.http.Config = f.server.HTTP()
	f.http.Start()
	t.Cleanup(func() { f.http.Close(); f.keepsSecrets(t) })
	return f
}

func (f *front) send(t *testing.T, method, path string, header map[string]string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.http.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	f.answers.Write(raw)
	return resp.StatusCode, string(raw)
}

func TestEveryUnprovenRequestIsRefusedInTheSameWords(t *testing.T) {
	endpoints := []struct{ method, path, header, right string }{
		{"POST", "/hooks/github", "X-Secret", "hook-secret"},
		{"POST", "/hooks/gitea", "X-Secret", "gitea-secret"},
		{"POST", "/hooks/gitea/api", "X-Secret", "api-secret"},
		{"POST", "/hooks/gitlab", "X-Secret", ""},
		{"POST", "/hooks/github/shop", "X-Secret", ""},
		{"POST", "/slack/commands", "X-Secret", "chat-secret"},
		{"POST", "/api/v1/commands", "Authorization", "Bearer " + token},
		{"GET", "/api/v1/status", "Authorization", "Bearer " + token},
		{"GET", "/api/v1/deploys/1", "Authorization", "Bearer " + token},
		{"GET", "/api/v1/deploys/1/events", "Authorization", "Bearer " + token},
	}
	f := newFront(t)
	hex := regexp.MustCompile(`[0-9a-f]{40}`)
	for _, e := range endpoints {
		for _, value := range []string{"-", "", "wrong", "Bearer ", "Bearer short", "Bearer wrong-wrong-wrong-wrong", "Basic " + token, e.right + "x"} {
			header := map[string]string{e.header: value}
			if value == "-" {
				header = nil
			}
			code, body := f.send(t, e.method, e.path, header, pushBody(shopPush()))
			if code != http.StatusUnauthorized || body != "unauthorized\n" || hex.MatchString(body) {
				t.Errorf("%s %s with %q: %d %q", e.method, e.path, value, code, body)
			}
		}
	}
	if f.submitCalls() != 0 || len(f.events) != 0 {
		t.Errorf("%d requests were submitted", f.submitCalls())
	}
}

func TestReadinessIsAskedFor(t *testing.T) {
	f := newFront(t)
	f.server.Ready = func() error { return errors.New("the database at /secret is closed") }
	if code, body := f.send(t, "GET", "/readyz", nil, nil); code != 503 || strings.Contains(body, "secret") {
		t.Errorf("got %d %q", code, body)
	}
}

// endless is a body without a length.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	e.left -= n
	return n, nil
}

func TestAnOversizedBodyIs413AndNotKept(t *testing.T) {
	f := newFront(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for path, size := range map[string]int{"/hooks/github": 26 << 20, "/slack/commands": 2 << 20, "/api/v1/commands": 2 << 20} {
		header := map[string]string{"X-Secret": "hook-secret", "Authorization": "Bearer " + token}
		code, body := f.send(t, "POST", path, header, &endless{left: size})
		if code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if f.submitCalls() != 0 {
		t.Error("something was submitted")
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	f := newFront(t)
	code, body := f.send(t, "POST", "/hooks/github", hookSecret, strings.NewReader("panic"))
	if code != 500 || strings.Contains(body, "planted") || !strings.Contains(f.log.String(), "planted") {
		t.Errorf("got %d %q", code, body)
	}
	if code, _ = f.send(t, "POST", "/hooks/github", hookSecret, pushBody(shopPush())); code != http.StatusAccepted {
		t.Errorf("afterwards %d", code)
	}
}
