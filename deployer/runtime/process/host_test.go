package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
	"ipublish/deployer/runtime/process"
)

// starterVar makes this test binary start a slot and die: the step's fields.
const starterVar = "PROCESS_STARTER"

func TestMain(m *testing.M) {
	drivertest.RuntimeApp()
	if fields := os.Getenv(starterVar); fields != "" {
		startAndDie(strings.Split(fields, "\n"))
	}
	os.Exit(m.Run())
}

func host(t *testing.T, settings ...string) deployer.Host {
	t.Helper()
	h, err := local.New(json.RawMessage(strings.Join(settings, "")))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// slot is a fresh slot that is stopped at the test's end.
func slot(t *testing.T) deploy.Step {
	t.Helper()
	s := drivertest.RuntimeStep(t)
	t.Cleanup(func() {
		s.Stop = 0
		if err := process.Stop(context.Background(), host(t), s); err != nil && deploy.CodeOf(err) != deploy.CodeDrift {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

func script(text string) process.Program {
	return process.Program{Argv: []string{"sh", "-c", text}}
}

// app is this test binary as drivertest.RuntimeApp, with sh text around its path.
func app(t *testing.T, s deploy.Step, before, after string) process.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := script(before + process.Quote(self) + after)
	p.Env = process.Env(s)
	return p
}

func start(t *testing.T, s deploy.Step, p process.Program) {
	t.Helper()
	if err := process.Start(t.Context(), host(t), s, p); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, s deploy.Step) {
	t.Helper()
	if err := process.Stop(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
}

func observe(t *testing.T, s deploy.Step) deploy.Instance {
	t.Helper()
	seen, err := process.Observe(t.Context(), host(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return seen.Instances[0]
}

// shows waits until the slot is observed as wanted.
func shows(t *testing.T, s deploy.Step, want func(deploy.Instance) bool) deploy.Instance {
	t.Helper()
	var i deploy.Instance
	eventually(t, func() error {
		if i = observe(t, s); !want(i) {
			return fmt.Errorf("the slot shows %+v", i)
		}
		return nil
	})
	return i
}

func listening(i deploy.Instance) bool { return i.PortPID != 0 }

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
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
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

// alive reports whether a pid is a living process.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// abrupt is a host whose connection breaks: only the script's own shell is
// killed, after a while, and what it had started goes on.
type abrupt struct {
	deployer.Host
	after time.Duration
}

func (h abrupt) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.after)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = in
	cmd.WaitDelay = time.Millisecond
	out, err := cmd.Output()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, &deploy.Error{Code: deploy.CodeUnavailable, Op: "run", Subject: "web-1", Message: "the connection broke", Err: err}
	}
	return out, nil
}

// short is a host that loses the end of what is sent to a command.
type short struct{ deployer.Host }

func (h short) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if in != nil {
		in = io.LimitReader(in, 20)
	}
	return h.Host.Run(ctx, argv, in)
}

func startAndDie(fields []string) {
	h, err := local.New(nil)
	if err != nil {
		panic(err)
	}
	port, err := strconv.Atoi(fields[2])
	if err != nil {
		panic(err)
	}
	s := deploy.Step{Slot: deploy.Green, Home: fields[0], Dir: fields[1], Port: port,
		Release: deploy.Release{Commit: deploy.Commit{SHA: fields[3]}, Recipe: "r", Runtime: "r", SHA256: fields[4]}}
	if err := process.Start(context.Background(), h, s, script("sleep 600")); err != nil {
		panic(err)
	}
	os.Exit(0)
}
