package main_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demoLimit is how long the show may take on a machine that compiled it.
const demoLimit = 45 * time.Second

func TestTheDemoHoldsItsPromisesAndItsInstallationGoesOn(t *testing.T) {
	program, dir := build(t), folder(t)
	home := filepath.Join(dir, "kept here")
	began := time.Now()
	out, err := run(t, program, "demo", "--once", "--dir", home)
	if err != nil {
		t.Fatalf("demo --once: %v\n%s", err, out)
	}
	if took := time.Since(began); took > demoLimit {
		t.Errorf("the demo took %s, at most %s are allowed", took, demoLimit)
	} else {
		t.Logf("the demo took %s", took.Round(100*time.Millisecond))
	}
	for _, line := range []string{
		`#1 deploying, step \d+ of \d+: check blue`,
		`✔ nobody noticed: 0 of [\d,]+ requests failed meanwhile`,
		`answered by version 1: [\d,]+, 2: [\d,]+`,
		`✘ reverted`,
		`failed its check too often on local: GET /healthz answers 500, not 200`,
		`✔ taken back by itself, and again nobody noticed: 0 of [\d,]+ requests failed`,
		`answered by version 2: [\d,]+, 3: [\d,]+`,
		`Welcome to the shop, now with gift wrapping \(version 2, commit [0-9a-f]{7}\)`,
		`all in all: 0 of [\d,]+ requests failed`,
		`serve --config '` + regexp.QuoteMeta(home) + `/ipublish.yaml'`,
	} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("the demo did not say %q", line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("a pipe got control characters")
	}
	if t.Failed() {
		t.Log(out)
	}
	noneLeft(t, dir)
	goesOn(t, program, home)
}

// goesOn serves a kept installation: version 2 is live and answers again.
func goesOn(t *testing.T, program, home string) {
	t.Helper()
	config := filepath.Join(home, "ipublish.yaml")
	serve := exec.Command(program, "serve", "--config", config)
	log := &transcript{}
	serve.Stdout, serve.Stderr = log, log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait()
	})
	door := front(t, config)
	eventually(t, "version 2 answers at "+door, func() bool { return version(door) == "2" })
	var status string
	eventually(t, "status says that version 2 is live", func() bool {
		out, err := exec.Command(program, "status", "--config", config).CombinedOutput()
		status = string(out)
		return err == nil && regexp.MustCompile(`live: [0-9a-f]{7} Offer gift wrapping on (blue|green) since .* by ipublish, #4`).MatchString(status)
	})
	if strings.Contains(status, "warm:") {
		t.Errorf("the slot whose process had ended is called warm:\n%s", status)
	}
	if t.Failed() {
		t.Logf("status: %s\nlog: %s", status, log)
	}
}

func TestAnInterruptedDemoLeavesNothing(t *testing.T) {
	program := build(t)
	for _, moment := range []string{"ipublish serve, its proxy", "step 2 of 9: build", "step 6 of 9: check blue", "step 8 of 9: bake"} {
		t.Run(moment, func(t *testing.T) {
			dir := folder(t)
			demo := exec.Command(program, "demo", "--once")
			demo.Env = append(os.Environ(), "TMPDIR="+dir)
			out := &transcript{}
			demo.Stdout, demo.Stderr = out, out
			if err := demo.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the demo says "+moment, func() bool { return strings.Contains(out.String(), moment) })
			if err := demo.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := demo.Wait(); demo.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v, exit code 1 says that the show was not seen to its end", err)
			}
			noneLeft(t, dir)
			if left, _ := filepath.Glob(filepath.Join(dir, "ipublish-demo-*")); len(left) > 0 {
				t.Errorf("left behind: %v\n%s", left, out)
			}
		})
	}
}

func TestTheDemoRefusesAFolderWithSomethingInIt(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, build(t), "demo", "--once", "--dir", dir)
	if err == nil || !strings.Contains(out, "is not empty") {
		t.Errorf("%v: %s", err, out)
	}
	if found, _ := os.ReadDir(dir); len(found) != 1 {
		t.Errorf("something was put into it: %v", found)
	}
}

// build compiles the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ipublish")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// folder is a temporary one with a short path, for unix sockets. What still
// runs there when the test ends is killed.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for pid := range processes(dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// processes are those that live in a folder or were told of it, with their command lines.
func processes(dir string) map[int]string {
	found := map[int]string{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		pid, err := strconv.Atoi(filepath.Base(e))
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(e, "cmdline")) // empty for a process that has ended
		cwd, _ := os.Readlink(filepath.Join(e, "cwd"))
		if len(line) > 0 && (bytes.Contains(line, []byte(dir)) || strings.HasPrefix(cwd, dir)) {
			found[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return found
}

func noneLeft(t *testing.T, dir string) {
	t.Helper()
	if left := processes(dir); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// front is the proxy's address in a configuration.
func front(t *testing.T, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`proxy: \{ listen: "([^"]+)" \}`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no proxy in %s", text)
	}
	return "http://" + string(m[1]) + "/"
}

// version is what answers at the door, or why nothing does.
func version(door string) string {
	res, err := http.Get(door)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Header.Get("X-Version")
}

// transcript is what a process says, readable while it speaks.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// String is all of it so far.
func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("within a minute it was not so that %s", what)
		}
	}
}
