package drivertest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// hostPrompt is how soon a call has to return after its context's end.
const hostPrompt = time.Second

// hostContext ends with the test, or when something hangs.
func hostContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func hostWant(t *testing.T, h deployer.Host, want string, in io.Reader, argv ...string) {
	t.Helper()
	out, err := h.Run(hostContext(t), argv, in)
	if err != nil {
		t.Fatalf("%s: %v", argv[0], err)
	}
	if string(out) != want {
		t.Fatalf("%s: %d bytes of output, want %d: %.300q, want %.300q", argv[0], len(out), len(want), out, want)
	}
}

func hostOK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hostCode(t *testing.T, err error, want deploy.Code) {
	t.Helper()
	var coded *deploy.Error
	if !errors.As(err, &coded) || coded.Code != want {
		t.Fatalf("error %v with code %q, want %q", err, deploy.CodeOf(err), want)
	}
	if coded.Message == "" || coded.Op == "" && want != deploy.CodeNotFound {
		t.Errorf("%v says too little: op %q, message %q", err, coded.Op, coded.Message)
	}
}

func hostExit(t *testing.T, err error) *deployer.ExitError {
	t.Helper()
	hostCode(t, err, deploy.CodeFailed)
	var exit *deployer.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v holds no exit status", err)
	}
	return exit
}

func hostFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	hostOK(t, err)
	info, err := os.Stat(path)
	hostOK(t, err)
	if string(b) != content || info.Mode().Perm() != mode {
		t.Fatalf("%q holds %.100q with mode %v, want %.100q with %v", path, b, info.Mode(), content, mode)
	}
}

func hostOnly(t *testing.T, dir string, want int) {
	t.Helper()
	if n := hostCount(t, dir); n != want {
		t.Fatalf("%s holds %d files, want %d", dir, n, want)
	}
}

func hostCount(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	hostOK(t, err)
	return len(entries)
}

func hostExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func hostEventually(t *testing.T, what string, so func() bool) {
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

// hostPromptly returns what arrives within hostPrompt.
func hostPromptly(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(hostPrompt):
		t.Fatalf("the call did not return within %s", hostPrompt)
		return nil
	}
}

// hostFailing is a source that breaks.
type hostFailing struct{ err error }

func (f hostFailing) Read([]byte) (int, error) { return 0, f.err }

// hostEcho serves connections until the test ends.
func hostEcho(t *testing.T, network, addr string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
	hostOK(t, err)
	var served sync.WaitGroup
	over := make(chan struct{})
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			ended := make(chan struct{})
			served.Go(func() {
				defer close(ended)
				_, _ = io.Copy(conn, conn)
			})
			served.Go(func() {
				select {
				case <-ended:
				case <-over:
				}
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = l.Close()
		served.Wait()
	})
	return l.Addr()
}

// hostSocket is a path that is short enough for a socket.
func hostSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	hostOK(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}
