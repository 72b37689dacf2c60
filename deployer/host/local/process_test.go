package local_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/local"
)

func TestACancelledCommandIsKilledWithItsChildren(t *testing.T) {
	h := open(t, "")
	pids := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, []string{"sh", "-c", `sleep 60 & echo "$$ $!" > "$1.new"; mv "$1.new" "$1"; wait`, "sh", pids}, nil)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { _, err := os.Stat(pids); return err == nil })
	cancel()
	if code := deploy.CodeOf(<-ended); code != deploy.CodeCancelled {
		t.Fatalf("code %q", code)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "process "+field+" is gone", func() bool { return !runs(pid) })
	}
}

func TestARunReturnsThoughAGrandchildKeepsThePipeOpen(t *testing.T) {
	h := open(t, "")
	began := time.Now()
	out, err := h.Run(t.Context(), []string{"sh", "-c", "setsid sleep 5 & echo $!"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || !runs(pid) {
		t.Fatalf("output %q: %v, or the detached process does not run", out, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestARunReturnsThoughItsInputNeverEnds(t *testing.T) {
	blocked, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = release.Close(), blocked.Close() }()
	out, err := open(t, "").Run(t.Context(), []string{"echo", "done"}, blocked)
	if err != nil || string(out) != "done\n" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestACommandSeesNoneOfTheBotsSecrets(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-secret")
	t.Setenv("LANG", "C.UTF-8")
	out, err := open(t, "").Run(t.Context(), []string{"env"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "secret") || !strings.Contains(string(out), "LANG=C.UTF-8\n") {
		t.Errorf("environment:\n%s", out)
	}
}

func TestBecomeIsPutBeforeCommandsAndWrites(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	prefix := filepath.Join(dir, "prefix")
	script := "#!/bin/sh\necho \"$1\" >> " + log + "\nexec \"$@\"\n"
	if err := os.WriteFile(prefix, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	h := open(t, `{"become": ["`+prefix+`"]}`)
	if _, err := h.Run(t.Context(), []string{"true"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Put(t.Context(), filepath.Join(dir, "file"), 0o600, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(log); err != nil || string(b) != "true\n/bin/sh\n" {
		t.Errorf("the prefix saw %q, %v", b, err)
	}
}

func TestAProgramThatMayNotBeExecutedEndsWith126(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, "").Run(t.Context(), []string{path}, nil)
	var exit *deployer.ExitError
	if !errors.As(err, &exit) || exit.Code != 126 || deploy.CodeOf(err) != deploy.CodeFailed {
		t.Errorf("%v", err)
	}
}

func TestSettingsThatAreNotUnderstoodAreInvalid(t *testing.T) {
	for _, settings := range []string{`{"becomes": []}`, `{"become": "sudo"}`, `{"become": ["-n"]}`, `[]`, `{`} {
		if _, err := local.New([]byte(settings)); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestACommandThatLeftItsProcessGroupDoesNotHoldTheCall(t *testing.T) {
	path, err := exec.LookPath("setsid")
	if err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := open(t, "").Run(ctx, []string{path, "-w", "sh", "-c", `echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 60`, "sh", marker}, nil)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { _, err := os.Stat(marker); return err == nil })
	cancel()
	select {
	case err := <-ended:
		if deploy.CodeOf(err) != deploy.CodeCancelled {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("the call did not return")
	}
	b, _ := os.ReadFile(marker)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// runs: the process exists and is no zombie.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return fields[0] != "Z"
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
