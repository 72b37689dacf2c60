package script_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
	"ipublish/deployer/runtime/script"
)

func TestMain(m *testing.M) {
	drivertest.RuntimeApp()
	os.Exit(m.Run())
}

// background is a start program as teams have it: $1 is the pid file.
const background = `#!/bin/sh
"${0%/*}/app" >>"$1.log" 2>&1 &
echo $! >"$1"
`

// bench is an application's place on a host, with its own start program.
type bench struct {
	t       *testing.T
	dir     string
	section map[string]any
	step    deploy.Step
}

// newBench installs the app, this test binary, with a start program.
func newBench(t *testing.T, start string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), step: drivertest.RuntimeStep(t)}
	b.step.Slot = deploy.Main
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, b.path("app")); err != nil {
		t.Fatal(err)
	}
	b.program("start.sh", start)
	b.section = map[string]any{"start": []string{b.path("start.sh"), b.path("app.pid")}, "pid_file": b.path("app.pid")}
	t.Cleanup(b.clear)
	return b
}

// clear ends whatever of the bench is left.
func (b *bench) clear() {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		b.t.Error(err)
	}
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(env, []byte(b.step.Env["RUNTIME_SECRET"])) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) program(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) runtime() deployer.Runtime {
	b.t.Helper()
	raw, err := json.Marshal(b.section)
	if err != nil {
		b.t.Fatal(err)
	}
	return open(b.t, string(raw))
}

func (b *bench) try() error { return b.runtime().Start(b.t.Context(), host(b.t), b.step) }

func (b *bench) start() {
	b.t.Helper()
	if err := b.try(); err != nil {
		b.t.Fatalf("%v; its log: %s", err, deploy.AsError(err).Log)
	}
}

func (b *bench) tryStop() error { return b.runtime().Stop(b.t.Context(), host(b.t), b.step) }

func (b *bench) stop() {
	b.t.Helper()
	if err := b.tryStop(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) observe() deploy.Instance {
	b.t.Helper()
	seen, err := b.runtime().Observe(b.t.Context(), host(b.t), b.step)
	if err != nil {
		b.t.Fatal(err)
	}
	return seen.Instances[0]
}

// shows waits until the slot is observed as wanted.
func (b *bench) shows(want func(deploy.Instance) bool) deploy.Instance {
	b.t.Helper()
	var i deploy.Instance
	eventually(b.t, func() error {
		if i = b.observe(); !want(i) {
			return fmt.Errorf("the slot shows %+v", i)
		}
		return nil
	})
	return i
}

// up starts the release and waits until it serves.
func (b *bench) up() deploy.Instance {
	b.t.Helper()
	b.start()
	i := b.shows(listening)
	if !i.Owned || i.PID == 0 || i.Key != b.step.Release.Key() || i.Release != b.step.Release.SHA256 {
		b.t.Fatalf("a started slot shows %+v", i)
	}
	return i
}

// byHand starts the app as a person would, with a pid file.
func (b *bench) byHand() deploy.Instance {
	b.t.Helper()
	cmd := exec.Command(b.path("start.sh"), b.path("app.pid"))
	cmd.Env = append(os.Environ(), "PORT="+strconv.Itoa(b.step.Port))
	for name, value := range b.step.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	return b.shows(listening)
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// pid is what the pid file holds.
func (b *bench) pid() int {
	b.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(b.read("app.pid")))
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

// stranger is a process of somebody else that lives until the test's end.
func stranger(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func listening(i deploy.Instance) bool { return i.PortPID != 0 }

// alive reports whether a pid is a living process.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// old makes a file one that was written an hour ago.
func old(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// refused is that the call fails with the code and a message that holds the words.
func refused(t *testing.T, err error, code deploy.Code, words ...string) {
	t.Helper()
	if deploy.CodeOf(err) != code {
		t.Fatalf("%v: the code is %q, want %q", err, deploy.CodeOf(err), code)
	}
	for _, word := range words {
		if !strings.Contains(deploy.MessageOf(err), word) {
			t.Errorf("%q does not tell %q", deploy.MessageOf(err), word)
		}
	}
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(90 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-tick.C
	}
}

func open(t *testing.T, section string) deployer.Runtime {
	t.Helper()
	r, err := script.New(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func host(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
