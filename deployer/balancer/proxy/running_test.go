package proxy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pid is the process in charge.
func pid(t *testing.T, socket string) int {
	t.Helper()
	p, err := newClient(socket).ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.PID
}

// startNext starts a process that takes over, and waits until it is in charge.
func startNext(t *testing.T, socket, state string) int {
	t.Helper()
	before := pid(t, socket)
	process, err := startDetached(command(socket, state, "replace"), filepath.Join(filepath.Dir(socket), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killAndWait(t, process.Pid) })
	eventually(t, "the successor is in charge", func() bool { return pid(t, socket) != before })
	return process.Pid
}

// hangUp has the process in charge start its own successor, which is no child
// of this one.
func hangUp(t *testing.T, socket string) int {
	t.Helper()
	before := pid(t, socket)
	endAtLast(t, socket)
	if err := syscall.Kill(before, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var after int
	eventually(t, "its successor is in charge", func() bool { after = pid(t, socket); return after != before })
	t.Cleanup(func() { killAndAwaitEnd(t, after) })
	return after
}

// endAtLast ends whatever process is in charge when the test has ended.
func endAtLast(t *testing.T, socket string) {
	t.Cleanup(func() {
		if p, err := newClient(socket).ping(context.Background()); err == nil && p.PID != os.Getpid() {
			killAndAwaitEnd(t, p.PID)
		}
	})
}

// killAndAwaitEnd ends a process that is no child of the test's.
func killAndAwaitEnd(t *testing.T, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the killed process is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
