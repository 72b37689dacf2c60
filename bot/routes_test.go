package bot

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
)

// callers are what a request can prove, by who sends it.
func callers() map[string]map[string]string {
	secret := func(s string) map[string]string { return map[string]string{"X-Secret": s} }
	bearer := func(s string) map[string]string { return map[string]string{"Authorization": "Bearer " + s} }
	return map[string]map[string]string{
		"a stranger": nil, "a forger": secret("forged"), "github": secret("hook-secret"), "gitea": secret("gitea-secret"), "gitea for api": secret("api-secret"),
		"slack": secret("chat-secret"), "the token ci": bearer(token), "the token viewer": bearer("another-secret-of-length"),
		"a token too short": bearer("short"), "a wrong token": bearer("wrong-wrong-wrong-wrong"),
	}
}

// access is one row of the matrix: a route as chi prints it, a path that it
// takes, and who gets past its door.
type access struct{ path, who string }

const (
	anybody = "*"
	tokens  = "the token ci, the token viewer"
)

func accessMatrix() map[string]access {
	return map[string]access{
		"GET /healthz":                    {"/healthz", anybody},
		"HEAD /healthz":                   {"/healthz", anybody},
		"GET /readyz":                     {"/readyz", anybody},
		"HEAD /readyz":                    {"/readyz", anybody},
		"POST /hooks/{provider}":          {"/hooks/github", "github"},
		"POST /hooks/{provider}/{app}":    {"/hooks/gitea/api", "gitea for api"},
		"POST /slack/commands":            {"/slack/commands", "slack"},
		"POST /api/v1/commands":           {"/api/v1/commands", tokens},
		"GET /api/v1/status":              {"/api/v1/status", tokens},
		"GET /api/v1/deploys/{id}":        {"/api/v1/deploys/1", tokens},
		"GET /api/v1/deploys/{id}/chart":  {"/api/v1/deploys/1/chart", tokens},
		"GET /api/v1/deploys/{id}/events": {"/api/v1/deploys/9/events", tokens},
	}
}

func routesOf(t *testing.T, h http.Handler) map[string]bool {
	t.Helper()
	routes, ok := h.(chi.Routes)
	if !ok {
		t.Fatalf("the routes cannot be listed: %T", h)
	}
	out := map[string]bool{}
	err := chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		out[method+" "+route] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryRouteLetsInWhomItsRowNames(t *testing.T) {
	f := newFront(t)
	matrix, routes := accessMatrix(), routesOf(t, f.server.Routes())
	for route := range routes {
		if _, ok := matrix[route]; !ok {
			t.Errorf("the matrix has no row for %s: say who may", route)
		}
	}
	for route, row := range matrix {
		if !routes[route] {
			t.Errorf("the matrix has a row for %s, which is no route", route)
		}
		method, _, _ := strings.Cut(route, " ")
		for who, header := range callers() {
			code, _ := f.send(t, method, row.path, header, commandBody(slackCommand("whoami")))
			may := row.who == anybody || strings.Contains(", "+row.who+", ", ", "+who+", ")
			if (code != http.StatusUnauthorized) != may {
				t.Errorf("%s by %s: %d", route, who, code)
			}
		}
	}
}

func TestEveryRouteTakesItsMethodsOnly(t *testing.T) {
	f := newFront(t)
	methods := map[string][]string{}
	for route, row := range accessMatrix() {
		method, _, _ := strings.Cut(route, " ")
		methods[row.path] = append(methods[row.path], method)
	}
	for path := range maps.Keys(methods) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			code, _ := f.send(t, method, path, bearer, nil)
			taken := strings.Contains(strings.Join(methods[path], " "), method)
			if (code == http.StatusMethodNotAllowed) == taken {
				t.Errorf("%s %s: %d", method, path, code)
			}
		}
	}
	for method, want := range map[string]string{"GET": "ok", "HEAD": ""} {
		if code, body := f.send(t, method, "/healthz", nil, nil); code != 200 || body != want {
			t.Errorf("%s /healthz: %d %q", method, code, body)
		}
	}
	for _, path := range []string{"/", "/dingtalk/messages", "/metrics", "/hooks", "/api/v1/secrets"} {
		if code, _ := f.send(t, "POST", path, bearer, nil); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
}
