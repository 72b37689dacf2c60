package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the program under test, built once a run.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(appVar) != "" {
		os.Exit(appMain())
	}
	if os.Getenv(hostVar) != "" {
		os.Exit(hostMain())
	}
	if os.Getenv(peerVar) != "" {
		os.Exit(peerMain())
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "ipublish")
	argv := append([]string{"build", "-o", binary}, buildFlags...)
	build := exec.Command("go", append(argv, "ipublish/cmd/ipublish")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
