package systemdtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// accountID is the user id of every Account.
const accountID = "4711"

// Account makes a user that is not root, on the machine that the test runs
// inside of, and gives the words of a command that becomes it. Its home is a
// fresh folder.
func Account(t *testing.T, name string) (become []string) {
	t.Helper()
	home := t.TempDir()
	enterable(t, home)
	run(t, "chown", accountID+":"+accountID, home)
	for file, line := range map[string]string{
		"/etc/passwd": name + ":x:" + accountID + ":" + accountID + "::" + home + ":/bin/sh\n",
		"/etc/group":  name + ":x:" + accountID + ":\n",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		with := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(with, append(text, line...), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", "-n", "--bind", with, file)
	}
	return []string{"setpriv", "--reuid=" + accountID, "--regid=" + accountID, "--clear-groups", "--", "env", "HOME=" + home}
}

// Linger starts the Account's own systemd and lets it stay without a session.
func Linger(t *testing.T, name string) {
	t.Helper()
	dir := "/run/user/" + accountID
	run(t, "install", "-d", "-o", accountID, "-g", accountID, "-m", "700", dir)
	run(t, "install", "-d", "/var/lib/systemd/linger")
	run(t, "touch", "/var/lib/systemd/linger/"+name)
	run(t, "systemd-run", "--quiet", "--unit=manager-of-"+name, "--property=User="+name, "--property=Delegate=yes",
		"--setenv=XDG_RUNTIME_DIR="+dir, "/lib/systemd/systemd", "--user")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		state, _ := exec.CommandContext(t.Context(), "setpriv", "--reuid="+accountID, "--regid="+accountID, "--clear-groups", "--",
			"env", "XDG_RUNTIME_DIR="+dir, "systemctl", "--user", "is-system-running").CombinedOutput()
		if strings.TrimSpace(string(state)) == "running" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the user's systemd does not start: %s", state)
		}
	}
}

func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%q: %w: %s", argv, err, out))
	}
}
