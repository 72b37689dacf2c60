package supervise

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes this test's own program a worker of Run.
const roleVariable = "SUPERVISE_TEST_WORKER"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		work(role)
		return
	}
	os.Exit(m.Run())
}

// work is the worker: it says "started" and its pid, then does as its role tells.
func work(role string) {
	hangups, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(ends, syscall.SIGTERM)
	fmt.Println("started", os.Getpid())
	switch role {
	case "panics":
		panic("a defect")
	case "refuses":
		os.Exit(ExitRefused)
	case "answers":
		listeners, err := Inherited()
		if err != nil || len(listeners) != 1 {
			fmt.Println("inherited", len(listeners), err)
			return
		}
		go func() {
			for {
				c, err := listeners[0].Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "worker %d\n", os.Getpid())
				_ = c.Close()
			}
		}()
	}
	for {
		select {
		case <-hangups:
			fmt.Println("hangup")
		case <-ends:
			fmt.Println("ending")
			return
		}
	}
}

// run supervises a worker of a role; said gives its lines, ended Run's result.
func run(t *testing.T, role string, listeners ...net.Listener) (said <-chan string, stop func(), ended <-chan error) {
	t.Helper()
	t.Setenv(roleVariable, role)
	r, w := io.Pipe()
	lines, result := make(chan string, 100), make(chan error, 1)
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- Run(ctx, Options{Argv: []string{os.Args[0]}, Listeners: listeners, Output: w, Log: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = w.Close()
	})
	return lines, cancel, result
}

// await waits for a line that begins so and gives the rest of it.
func await(t *testing.T, said <-chan string, begins string) string {
	t.Helper()
	over := time.After(20 * time.Second)
	for {
		select {
		case line := <-said:
			if rest, ok := strings.CutPrefix(line, begins); ok {
				return strings.TrimSpace(rest)
			}
		case <-over:
			t.Fatalf("the worker does not say %q", begins)
		}
	}
}

func TestAWorkerThatPanicsIsStartedAgain(t *testing.T) {
	said, _, ended := run(t, "panics")
	first := await(t, said, "started")
	if second := await(t, said, "started"); second == first {
		t.Errorf("process %s was started twice", first)
	}
	select {
	case err := <-ended:
		t.Errorf("the supervisor ended: %v", err)
	default:
	}
}

func TestAWorkerThatRefusesEndsTheSupervisor(t *testing.T) {
	said, _, ended := run(t, "refuses")
	await(t, said, "started")
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "refuses to start") {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}

func TestAHangupIsPassedOnAndTheEndWaitsForTheWorker(t *testing.T) {
	said, stop, ended := run(t, "waits")
	await(t, said, "started")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, said, "hangup")
	stop()
	await(t, said, "ending")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheNextWorkerAnswersOnTheSameListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said, _, _ := run(t, "answers", l)
	first := await(t, said, "started")
	if got := ask(t, l); got != "worker "+first {
		t.Errorf("%q answers, want worker %s", got, first)
	}
	var pid int
	if _, err := fmt.Sscan(first, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := await(t, said, "started")
	if got := ask(t, l); got != "worker "+second {
		t.Errorf("%q answers, want worker %s", got, second)
	}
}

func ask(t *testing.T, l net.Listener) string {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestASocketThatNobodyServesIsReplacedAndOneThatAnswersIsNot(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/s"
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := listenUnix(path); err == nil || !strings.Contains(err.Error(), "another ipublish answers there") {
		t.Errorf("%v", err)
	}
}
