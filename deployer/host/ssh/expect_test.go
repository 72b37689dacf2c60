package ssh_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/host/ssh"
)

// wantRun checks that the last argument is what the command prints.
func wantRun(t *testing.T, h *ssh.Host, argv ...string) {
	t.Helper()
	out, err := h.Run(t.Context(), argv, nil)
	if err != nil || strings.TrimSuffix(string(out), "\n") != argv[len(argv)-1] {
		t.Fatalf("%q, %v", out, err)
	}
}

func wantCode(t *testing.T, err error, want deploy.Code) {
	t.Helper()
	var coded *deploy.Error
	if !errors.As(err, &coded) || coded.Code != want || coded.Message == "" {
		t.Fatalf("error %v with code %q, want %q and a message", err, deploy.CodeOf(err), want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	return b
}

func write(t *testing.T, path, content string) {
	t.Helper()
	ok(t, os.MkdirAll(filepath.Dir(path), 0o700))
	ok(t, os.WriteFile(path, []byte(content), 0o600))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come true that %s", what)
		}
	}
}

// soon returns what arrives within ten seconds, much less than any command of a test runs.
func soon(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the call did not return")
		return nil
	}
}
