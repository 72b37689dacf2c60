package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/bot/githook"
	"ipublish/cmd/config"
	"ipublish/deploy"
)

// anything accepts every driver's section.
type anything struct{}

func (anything) CheckRuntime(deploy.Section) error                 { return nil }
func (anything) CheckBalancer(deploy.Target, deploy.Section) error { return nil }
func (anything) CheckHost(deploy.Host) error                       { return nil }
func (anything) CheckBuild(deploy.Build) error                     { return nil }
func (anything) Caveats(deploy.Section) []string                   { return nil }

func newTestFolder(t *testing.T) folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo's \u5e97")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f, err := newFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheInstallationIsAValidConfiguration(t *testing.T) {
	f := newTestFolder(t)
	c, err := config.Load(f.Config(), anything{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := f.secret()
	if err != nil || c.Hooks["github"] != secret || len(secret) < 32 {
		t.Errorf("the webhook's secret is %q in the file, %q in the configuration (%v)", secret, c.Hooks["github"], err)
	}
	_, e, ok := c.Environment(deploy.Target{App: "shop", Env: "production"})
	if !ok || c.StateDir != f.State() || e.ReleaseDir != f.Releases() || e.BlueGreen.Blue != f.Blue || e.Verify.URL != "http://"+f.Front+"/" {
		t.Errorf("%+v is not as installed: %+v", e, f)
	}
	for path, mode := range map[string]os.FileMode{f.Config(): 0o600, f.SecretFile(): 0o600, filepath.Dir(f.SecretFile()): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestAFolderThatCannotBeUsedIsRefusedWithAReason(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, code := range map[string]deploy.Code{
		full:                              deploy.CodeRefused,
		"/tmp/" + strings.Repeat("x", 90): deploy.CodeInvalid,
		"/tmp/${HOME}":                    deploy.CodeInvalid,
		filepath.Join(full, "a", "b"):     deploy.CodeInvalid,
	} {
		if _, err := newFolder(dir); deploy.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", dir, err, code)
		}
	}
}

func TestAPushLeadsToAWebhookSignedWithTheInstallationsSecret(t *testing.T) {
	f := newTestFolder(t)
	status := http.StatusAccepted
	var got payload
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		secret, serr := f.secret()
		signed := githook.HexMAC(secret, body, strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		if err != nil || serr != nil || !signed || r.URL.Path != "/hooks/github" || json.Unmarshal(body, &got) != nil {
			t.Errorf("%s is not a signed push: %s (%v, %v)", r.URL.Path, body, err, serr)
		}
		w.WriteHeader(status)
	}))
	defer hook.Close()
	f.Listen = strings.TrimPrefix(hook.URL, "http://")
	r, err := newRepository(f)
	if err != nil {
		t.Fatal(err)
	}
	g, err := startGitHost(f)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	push := func(version int, message string) string {
		hash, err := r.commit(version, message)
		if err == nil {
			err = r.push(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	first := push(1, "The shop opens")
	if got.After != "" {
		t.Errorf("a webhook was sent before there is a server: %+v", got)
	}
	g.tell()
	second := push(2, "Offer gift wrapping\n\nand more")
	if got.Before != first || got.After != second || got.Ref != "refs/heads/main" || got.HeadCommit.Message != "Offer gift wrapping\n\nand more" {
		t.Errorf("the webhook tells %+v of %s..%s", got, first, second)
	}
	if told := <-g.pushed; told != second || g.delivered() != nil {
		t.Errorf("%s, %v", told, g.delivered())
	}
	status = http.StatusUnauthorized
	push(3, "Use a database")
	if err := g.delivered(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a webhook that was refused is told as %v", err)
	}
}
