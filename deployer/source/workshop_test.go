package source

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/source/gitserve"
	"ipublish/deployer/source/gittest"
)

var (
	_ deployer.Source    = (*Workshop)(nil)
	_ deployer.Artifacts = (*Workshop)(nil)
)

func open(t testing.TB, o Options) *Workshop {
	t.Helper()
	w, err := Open(filepath.Join(t.TempDir(), "source"), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// within bounds a test's waiting.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wantCode(t testing.TB, err error, code deploy.Code, parts ...string) {
	t.Helper()
	if got := deploy.CodeOf(err); got != code {
		t.Fatalf("code = %q, want %q: %v", got, code, err)
	}
	for _, p := range parts {
		if !strings.Contains(deploy.MessageOf(err), p) {
			t.Errorf("message %q lacks %q", deploy.MessageOf(err), p)
		}
	}
}

func from(repository string) deploy.Settings { return deploy.Settings{Repository: repository} }

// gitProgram gives the real git's path; without it the test is skipped, except in CI.
func gitProgram(t testing.TB) string {
	t.Helper()
	p, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing")
	}
	return p
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(gitProgram(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada Example", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada Example", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// backend serves a folder of repositories with the real git's http-backend.
func backend(t testing.TB, root string) http.Handler {
	t.Helper()
	dir := git(t, root, "--exec-path")
	return &cgi.Handler{
		Path:   filepath.Join(dir, "git-http-backend"),
		Stderr: io.Discard,
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=" + root},
	}
}

// guarded asks for user and token.
func guarded(next http.Handler, user, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// way is one transport to a repository.
type way struct {
	name  string
	reach func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings)
}

func ways() []way {
	return []way{
		{"a path", func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings) {
			return open(t, Options{}), from(r.Dir)
		}},
		{"a file URL", func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings) {
			return open(t, Options{}), from("file://" + r.Dir)
		}},
		{"http by gitserve", func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings) {
			return open(t, Options{}), from(r.Serve(gitserve.Options{}))
		}},
		{"https by git", func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings) {
			return secure(t, guarded(backend(t, filepath.Dir(r.Dir)), "bot", "s3cret-token"))
		}},
		{"ssh by git", func(t *testing.T, r *gittest.Repo) (*Workshop, deploy.Settings) {
			gitProgram(t)
			return open(t, Options{}), newShellServer(t).settings(r.Dir)
		}},
	}
}

// fileReference resolves ${file:PATH}.
func fileReference(v string) (string, error) {
	path, ok := strings.CutPrefix(strings.TrimSuffix(v, "}"), "${file:")
	if !ok {
		return v, nil
	}
	b, err := os.ReadFile(path)
	return string(b), err
}

// secure serves repo.git by h over TLS and opens a workshop that trusts it and
// finds its token behind a reference.
func secure(t *testing.T, h http.Handler) (*Workshop, deploy.Settings) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	w := open(t, Options{Roots: roots, Resolve: func(v string) (string, error) {
		return strings.ReplaceAll(v, "${GIT_TOKEN}", "s3cret-token"), nil
	}})
	p := from(s.URL + "/repo.git")
	p.Credential = deploy.Credential{User: "bot", Token: "${GIT_TOKEN}"}
	return w, p
}

// lines collects what is told.
type lines struct {
	mu   sync.Mutex
	all  []string
	each chan string
}

func newLines() *lines { return &lines{each: make(chan string, 10_000)} }

func (l *lines) tell(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
	l.each <- s
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// await blocks until a line contains text.
func (l *lines) await(t testing.TB, text string) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case s := <-l.each:
			if strings.Contains(s, text) {
				return s
			}
		case <-late:
			t.Fatalf("nobody said %q; said:\n%s", text, l)
		}
	}
}

// eventually polls a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}
