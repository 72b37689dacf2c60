package systemdtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// insideVar is set for a test that runs inside: to the machine's Dir.
const insideVar = "SYSTEMDTEST_INSIDE"

// Inside reports whether the test runs on a machine of its own already. If it
// does not, Inside boots one, runs the whole test there in a process of its own,
// whose failure is the test's, and returns false: there is nothing left to do.
//
//	if !systemdtest.Inside(t) {
//		return
//	}
//
// What the test then starts and looks for in /proc is on one machine with it;
// t.TempDir() is a folder that both can write.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return true
	}
	m := Boot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	limit := 10 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		limit = time.Until(deadline)
	}
	cmd := m.command(t, "env", "TMPDIR="+filepath.Join(m.Dir, "tmp"), insideVar+"="+m.Dir,
		"sh", "-c", `cd -- "$1" && shift && exec "$@"`, "sh", dir,
		self, "-test.run", "^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout", limit.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("inside: %v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("inside:\n%s", out)
	}
	return false
}
