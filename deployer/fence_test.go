package deployer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// withoutFlock is the PATH of a host that lacks it.
func withoutFlock(t *testing.T) string {
	return pathOf(t, "sh", "cat", "mkdir", "mv", "rm", "ln", "sleep", "touch", "setsid", "echo", "test", "true")
}

// onEveryHost runs a test on this machine with and without flock, and over sshd.
func onEveryHost(t *testing.T, test func(t *testing.T, h deployer.Host)) {
	t.Run("local", func(t *testing.T) { test(t, localHost(t, "")) })
	t.Run("without flock", func(t *testing.T) { test(t, localHost(t, withoutFlock(t))) })
	t.Run("ssh", func(t *testing.T) { test(t, sshHost(t, sshtest.Start(t), nil)) })
}

func sshHost(t *testing.T, server *sshtest.Server, with map[string]any) deployer.Host {
	t.Helper()
	h, err := ssh.New(server.Settings(with), ssh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestACommandOfAnOlderEpochIsRefusedAndTheSameOrANewerOneRuns(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		file, effect := epochFile(t), filepath.Join(t.TempDir(), "effect")
		for _, epoch := range []uint64{7, 7, 10, 1 << 62} {
			out, err := deployer.Fence(h, file, epoch).Run(t.Context(), []string{"echo", "it's", "$HOME"}, nil)
			if err != nil || string(out) != "it's $HOME\n" {
				t.Fatalf("epoch %d: %q, %v", epoch, out, err)
			}
		}
		_, err := deployer.Fence(h, file, 9).Run(t.Context(), []string{"touch", effect}, nil)
		mustFail(t, err, deploy.CodeConflict, "a newer command of ipublish")
		if _, err := os.Stat(effect); err == nil {
			t.Error("it ran all the same")
		}
		mustLeave(t, file)
	})
}

func TestAFencedCommandKeepsItsInputOutputComplaintAndStatus(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		f := deployer.Fence(h, epochFile(t), 1)
		data := make([]byte, 5<<20)
		_, _ = rand.Read(data)
		out, err := f.Run(t.Context(), []string{"cat"}, bytes.NewReader(data))
		if err != nil || !bytes.Equal(out, data) {
			t.Errorf("%d bytes came back, %v", len(out), err)
		}
		for _, status := range []int{1, 73, 74, 126, 127, 255} {
			_, err = f.Run(t.Context(), []string{"sh", "-c", `echo "no $1" >&2; exit "$2"`, "sh", "space", strconv.Itoa(status)}, nil)
			var exit *deployer.ExitError
			if !errors.As(err, &exit) || exit.Code != status || exit.Stderr != "no space\n" || deploy.CodeOf(err) != deploy.CodeFailed {
				t.Errorf("status %d: %v", status, err)
			}
		}
		if _, err = f.Run(t.Context(), []string{"exit"}, nil); deploy.CodeOf(err) != deploy.CodeFailed {
			t.Errorf("a builtin of the shell ran: %v", err)
		}
	})
}

func TestAFencedScriptRunsAsIfItHadAShellOfItsOwn(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		f := deployer.Fence(h, epochFile(t), 1)
		out, err := f.Run(t.Context(), deployer.Script(`set -eu
say() { echo "own $1"; }
trap 'say end' EXIT
say "$(cat)"
false
say never`, "it's", "$HOME"), strings.NewReader("input"))
		var exit *deployer.ExitError
		if !errors.As(err, &exit) || exit.Code != 1 || exit.Stderr != "" {
			t.Fatalf("%q, %v", out, err)
		}
		out, err = f.Run(t.Context(), deployer.Script(`trap 'echo "end $1"' EXIT
setsid sleep 60 </dev/null >/dev/null 2>&1 & echo "$(cat) $# $!"
exit 0`, "it's", "$HOME"), strings.NewReader("input"))
		var pid int
		if _, told := fmt.Sscanf(string(out), "input 2 %d\nend it's\n", &pid); told != nil || err != nil {
			t.Fatalf("%q, %v", out, err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := f.Run(ctx, []string{"true"}, nil); err != nil {
			t.Errorf("what it left behind holds the lock: %v", err)
		}
		_, err = deployer.Fence(h, epochFile(t), 1).Run(t.Context(), deployer.Script("take"), nil)
		if !errors.As(err, &exit) || exit.Code != 127 {
			t.Errorf("it knows the guard's functions: %v", err)
		}
	})
}

func TestAnOrphanThatWakesUpLateDoesNothing(t *testing.T) {
	server := sshtest.Start(t)
	dir, file := t.TempDir(), epochFile(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	// The host is slow: the old command comes to its guard when it may go.
	late := []string{"sh", "-c", `: >"$0/began"; while [ ! -e "$0/go" ]; do sleep 0.05; done; "$@"; echo $? >"$0/status"`, dir}
	ended := make(chan error, 1)
	go func() {
		_, err := deployer.Fence(sshHost(t, server, map[string]any{"become": late}), file, 1).Run(t.Context(), []string{"touch", path("old")}, nil)
		ended <- err
	}()
	eventually(t, "the old command is on the host", func() bool { return isThere(path("began")) })
	server.Cut()
	mustFail(t, <-ended, deploy.CodeUnavailable, "broke")
	if _, err := deployer.Fence(sshHost(t, server, nil), file, 2).Run(t.Context(), []string{"touch", path("new")}, nil); err != nil {
		t.Fatal(err)
	}
	touch(t, path("go"))
	eventually(t, "the old command ended", func() bool { return isThere(path("status")) })
	if isThere(path("old")) || !isThere(path("new")) {
		t.Error("the old command had its effect, or the new one had not")
	}
}

func TestANewerCommandWaitsForAnOrphanAndNamesItAtItsDeadline(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		dir, file := t.TempDir(), epochFile(t)
		pid, goOn := filepath.Join(dir, "pid"), filepath.Join(dir, "go")
		ended := make(chan error, 1)
		go func() {
			_, err := deployer.Fence(h, file, 1).Run(t.Context(), []string{"sh", "-c", `echo $PPID >"$1.new"; mv "$1.new" "$1"; while [ ! -e "$2" ]; do sleep 0.05; done`, "sh", pid, goOn}, nil)
			ended <- err
		}()
		eventually(t, "the old command runs", func() bool { return isThere(pid) })
		newer := deployer.Fence(h, file, 2)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := newer.Run(short, []string{"true"}, nil)
		mustFail(t, err, deploy.CodeTimeout, "still runs", "process ")
		if short.Err() != nil {
			t.Error("the error came only with the deadline")
		}
		waited := make(chan error, 1)
		go func() {
			_, err := newer.Run(t.Context(), []string{"test", "-e", goOn}, nil)
			waited <- err
		}()
		touch(t, goOn)
		if err := errors.Join(<-ended, <-waited); err != nil {
			t.Error(err)
		}
		mustLeave(t, file)
	})
}

func TestAWaitingCommandWhoseCallerIsLostNeverRuns(t *testing.T) {
	server := sshtest.Start(t)
	dir, file := t.TempDir(), epochFile(t)
	goOn, effect := filepath.Join(dir, "go"), filepath.Join(dir, "effect")
	holder := localHost(t, "")
	held := make(chan error, 1)
	go func() {
		_, err := deployer.Fence(holder, file, 1).Run(t.Context(), []string{"sh", "-c", `: >"$1.began"; while [ ! -e "$1" ]; do sleep 0.05; done`, "sh", goOn}, nil)
		held <- err
	}()
	eventually(t, "the lock is held", func() bool { return isThere(goOn + ".began") })
	// The prefix tells when the guard began and ended.
	traced := []string{"sh", "-c", `: >"$0/waits"; "$@"; : >"$0/gone"`, dir}
	lost := make(chan error, 1)
	go func() {
		_, err := deployer.Fence(sshHost(t, server, map[string]any{"become": traced}), file, 1).Run(t.Context(), []string{"touch", effect}, nil)
		lost <- err
	}()
	eventually(t, "a second command waits", func() bool { return isThere(filepath.Join(dir, "waits")) })
	server.Cut()
	mustFail(t, <-lost, deploy.CodeUnavailable, "broke")
	eventually(t, "it ends by itself", func() bool { return isThere(filepath.Join(dir, "gone")) })
	touch(t, goOn)
	if err := <-held; err != nil || isThere(effect) {
		t.Errorf("%v, or the lost command ran", err)
	}
}

func TestWhatAFencedCommandLeavesBehindDoesNotHoldTheLock(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		f := deployer.Fence(h, epochFile(t), 1)
		out, err := f.Run(t.Context(), []string{"sh", "-c", `setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!`}, nil)
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := f.Run(ctx, []string{"true"}, nil); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("the daemon ended with the command: %v", err)
		}
	})
}

func TestAKilledGuardLeavesNoLockBehind(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		file, pids := epochFile(t), filepath.Join(t.TempDir(), "pids")
		ended := make(chan error, 1)
		go func() {
			_, err := deployer.Fence(h, file, 1).Run(t.Context(), []string{"sh", "-c", `echo $$ $PPID >"$1.new"; mv "$1.new" "$1"; exec sleep 60`, "sh", pids}, nil)
			ended <- err
		}()
		eventually(t, "the command runs", func() bool { return isThere(pids) })
		text, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(field)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-ended
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := deployer.Fence(h, file, 2).Run(ctx, []string{"true"}, nil); err != nil {
			t.Error(err)
		}
		mustLeave(t, file)
	})
}

func TestManyFencedCommandsTakeTurns(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		file, busy := epochFile(t), filepath.Join(t.TempDir(), "busy")
		const n = 6
		ended := make(chan error, n)
		for range n {
			go func() {
				_, err := deployer.Fence(h, file, 3).Run(t.Context(), []string{"sh", "-c", `mkdir "$1" && sleep 0.05 && rm -r "$1"`, "sh", busy}, nil)
				ended <- err
			}()
		}
		for range n {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAGuardThatCannotKeepItsFileRunsNothingAndSaysWhy(t *testing.T) {
	onEveryHost(t, func(t *testing.T, h deployer.Host) {
		dir, effect := t.TempDir(), filepath.Join(t.TempDir(), "effect")
		touch(t, filepath.Join(dir, "file"))
		write := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		for file, want := range map[string]string{
			filepath.Join(dir, "file", "below"): "file",
			write("damaged", "seven\n"):         "holds no number",
		} {
			_, err := deployer.Fence(h, file, 1).Run(t.Context(), []string{"touch", effect}, nil)
			mustFail(t, err, deploy.CodeFailed, file, want)
		}
		if isThere(effect) {
			t.Error("a command ran")
		}
		if _, err := deployer.Fence(h, write("empty", ""), 1).Run(t.Context(), []string{"true"}, nil); err != nil {
			t.Errorf("after a loss of power: %v", err)
		}
	})
}

func TestAnEpochIsWrittenWhereNothingNewCanBeMade(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "epoch")
	for name, text := range map[string]string{"epoch": "8\n", "epoch.lock": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for up := dir; len(up) > len(os.TempDir()); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(up, 0o700) })
	}
	h := localHost(t, "")
	if os.Getuid() == 0 {
		h = localHostWith(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
	}
	for _, epoch := range []uint64{9, 10, 1 << 62} {
		if _, err := deployer.Fence(h, file, epoch).Run(t.Context(), []string{"true"}, nil); err != nil {
			t.Fatalf("epoch %d: %v", epoch, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != fmt.Sprintf("%020d\n", epoch) {
			t.Errorf("epoch %d: the file holds %q, %v", epoch, text, err)
		}
	}
	_, err := deployer.Fence(h, file, 8).Run(t.Context(), []string{"true"}, nil)
	mustFail(t, err, deploy.CodeConflict, "holds 4611686018427387904, this one is 8")
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}
	_, err = deployer.Fence(h, file, 1<<62+1).Run(t.Context(), []string{"true"}, nil)
	mustFail(t, err, deploy.CodeFailed, "cannot be used", "ermission denied")
}

func TestFilesAndConnectionsPassTheFence(t *testing.T) {
	h := deployer.Fence(localHost(t, ""), epochFile(t), 1)
	path := filepath.Join(t.TempDir(), "file")
	if err := h.Put(t.Context(), path, 0o600, io.LimitReader(endless{}, 3)); err != nil || !isThere(path) {
		t.Error(err)
	}
	_, err := h.Dial(t.Context(), "tcp", "127.0.0.1:1")
	mustFail(t, err, deploy.CodeUnavailable)
}

// epochFile lies in a folder that is not there yet.
func epochFile(t *testing.T) string { return filepath.Join(t.TempDir(), "a b", "c", "epoch") }

// mustLeave wants nothing beside the epoch and the lock.
func mustLeave(t *testing.T, file string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "epoch" && e.Name() != "epoch.lock" {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func mustFail(t *testing.T, err error, code deploy.Code, parts ...string) {
	t.Helper()
	message := deploy.MessageOf(err)
	if deploy.CodeOf(err) != code || message == "" {
		t.Errorf("%v with code %q, want %q and a message", err, deploy.CodeOf(err), code)
	}
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not hold %q", message, part)
		}
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
