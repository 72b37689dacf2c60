package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
)

func TestCheckBeforeTheFirstServeNotesWhatIsNotThereYetAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := git.PlainInit(filepath.Join(dir, "empty.git"), true); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ipublish.yaml")
	text := fmt.Sprintf(`server: { state_dir: %[1]s/var/state }
apps:
  shop:
    repository: %[1]s/empty.git
    runtime: { command: { run: [./server] } }
    environments:
      production:
        branch: main
        hosts: [local]
        release_dir: %[1]s/releases
        strategy: { blue_green: { slots: { blue: 18080, green: 18081 } } }
        balancer: { proxy: { listen: 127.0.0.1:18000 } }
        verify: { url: "http://127.0.0.1:1/" }
`, dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	code := (&Main{Stdout: said, Stderr: said}).Run(t.Context(), []string{"check", "--config", path})
	for _, line := range []string{
		"ok    server.state_dir " + dir + "/var/state can be written",
		"FAIL  repository of shop has the branch main",
		"note  shop/production: the built-in proxy does not run yet",
		"note  shop/production: front door http://127.0.0.1:1/: nothing is deployed yet",
		"1 of 4 checks failed",
	} {
		if !strings.Contains(said.String(), line) {
			t.Errorf("check does not say %q:\n%s", line, said)
		}
	}
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "var")); !os.IsNotExist(err) {
		t.Errorf("the state folder was made: %v", err)
	}
}

func TestAFolderBelowAFileCannotBeMadeAndADeepOneCan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writable(filepath.Join(file, "state", "more")); err == nil {
		t.Error("a folder below a file can be made")
	}
	if err := writable(filepath.Join(t.TempDir(), "a", "b")); err != nil {
		t.Error(err)
	}
}
