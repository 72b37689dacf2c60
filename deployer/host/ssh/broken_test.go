package ssh_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

func TestAConnectionCutDuringRunIsUnavailableAndTheNextCallReconnects(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), []string{"sh", "-c", `: > "$1"; sleep 60`, "sh", started}, nil)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { return exists(started) })
	server.Cut()
	wantCode(t, soon(t, ended), deploy.CodeUnavailable)
	wantRun(t, h, "echo", "reconnected")
}

func TestAConnectionCutDuringPutIsUnavailableAndLeavesTheOldFile(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	ok(t, h.Put(t.Context(), path, 0o644, strings.NewReader("old")))
	slow, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- h.Put(t.Context(), path, 0o644, slow) }()
	_, err := feed.Write(bytes.Repeat([]byte("x"), 100_000))
	ok(t, err)
	eventually(t, "the write began", func() bool { return len(list(t, dir)) == 2 })
	server.Cut()
	wantCode(t, soon(t, ended), deploy.CodeUnavailable)
	ok(t, feed.Close())
	eventually(t, "the temporary file is gone", func() bool { return len(list(t, dir)) == 1 })
	if got := read(t, path); string(got) != "old" {
		t.Fatalf("the file holds %d bytes that are not the old ones", len(got))
	}
	ok(t, h.Put(t.Context(), path, 0o644, strings.NewReader("new")))
	if got := read(t, path); string(got) != "new" {
		t.Fatalf("the file holds %q", got)
	}
}

func TestAConnectionCutUnderADialledOneIsNotItsEnd(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer func() { _ = l.Close() }()
	conn, err := h.Dial(t.Context(), "tcp", l.Addr().String())
	ok(t, err)
	defer func() { _ = conn.Close() }()
	server.Cut()
	_, err = conn.Read(make([]byte, 1))
	wantCode(t, err, deploy.CodeUnavailable)
}

func TestAnIdleConnectionThatBrokeIsReplacedWithoutAnError(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	for range 5 {
		wantRun(t, h, "echo", "there")
		server.Restart()
	}
	wantRun(t, h, "echo", "there")
}

func TestAStoppedHostIsUnavailableUntilItIsBack(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	server.Stop()
	_, err := h.Run(t.Context(), []string{"true"}, nil)
	wantCode(t, err, deploy.CodeUnavailable)
	server.Restart()
	wantRun(t, h, "echo", "back")
}

func TestAPeerThatAcceptsAndSaysNothingEndsAtTheTimeLimit(t *testing.T) {
	server := sshtest.Start(t)
	addr := impostor(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	settings := server.Settings(map[string]any{"address": "deploy@" + addr, "connect_timeout": "300ms"})
	h := open(t, settings, ssh.Options{})
	began := time.Now()
	_, err := h.Run(t.Context(), []string{"true"}, nil)
	wantCode(t, err, deploy.CodeUnavailable)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	slow := open(t, server.Settings(map[string]any{"address": "deploy@" + addr}), ssh.Options{})
	_, err = slow.Run(ctx, []string{"true"}, nil)
	wantCode(t, err, deploy.CodeTimeout)
}

func TestAPeerThatFloodsOrSpeaksSomethingElseIsUnavailable(t *testing.T) {
	server := sshtest.Start(t)
	floods := map[string]string{"no line end": "A", "endless lines": "hello\r\n", "another protocol": "HTTP/1.1 400 Bad Request\r\n\r\n", "endless packets": "SSH-2.0-x\r\n\xff\xff\xff\xff"}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			addr := impostor(t, func(conn net.Conn) {
				for {
					if _, err := conn.Write([]byte(flood)); err != nil {
						return
					}
				}
			})
			settings := server.Settings(map[string]any{"address": "deploy@" + addr, "connect_timeout": "1s"})
			_, err := open(t, settings, ssh.Options{}).Run(t.Context(), []string{"true"}, nil)
			wantCode(t, err, deploy.CodeUnavailable)
		})
	}
}

func TestAPeerThatFallsSilentIsGivenUpByKeepAlives(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{KeepAlive: 250 * time.Millisecond})
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), []string{"sh", "-c", `: > "$1"; sleep 60`, "sh", started}, nil)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { return exists(started) })
	server.Pause()
	wantCode(t, soon(t, ended), deploy.CodeUnavailable)
	wantRun(t, h, "echo", "on a new connection")
}

func TestACallOnASilentPeerReturnsWithItsContext(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	wantRun(t, h, "echo", "there")
	server.Pause()
	calls := map[string]func(context.Context) error{
		"run":  func(ctx context.Context) error { _, err := h.Run(ctx, []string{"true"}, nil); return err },
		"put":  func(ctx context.Context) error { return h.Put(ctx, "/nonexistent/x", 0o644, strings.NewReader("x")) },
		"dial": func(ctx context.Context) error { _, err := h.Dial(ctx, "tcp", "127.0.0.1:1"); return err },
	}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		err := call(ctx)
		cancel()
		wantCode(t, err, deploy.CodeTimeout)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func TestCommandsThatOutliveTheirCallsDoNotUseUpTheConnection(t *testing.T) {
	server := sshtest.Start(t, "MaxSessions 3")
	h := open(t, server.Settings(nil), ssh.Options{})
	for i := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		started := filepath.Join(t.TempDir(), "started")
		ended := make(chan error, 1)
		go func() {
			_, err := h.Run(ctx, []string{"setsid", "-w", "sh", "-c", `: > "$1"; trap "" TERM; sleep 60`, "sh", started}, nil)
			ended <- err
		}()
		eventually(t, "the command runs", func() bool { return exists(started) })
		cancel()
		wantCode(t, soon(t, ended), deploy.CodeCancelled)
		wantRun(t, h, "echo", strings.Repeat("again ", i))
	}
}

func TestCloseEndsRunningCallsAndRefusesLaterOnes(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), []string{"sh", "-c", `: > "$1"; sleep 60`, "sh", started}, nil)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { return exists(started) })
	ok(t, h.Close())
	wantCode(t, soon(t, ended), deploy.CodeUnavailable)
	_, err := h.Run(t.Context(), []string{"true"}, nil)
	wantCode(t, err, deploy.CodeUnavailable)
	ok(t, h.Close())
}

func TestForwardingThatSSHDForbidsIsRefusedByName(t *testing.T) {
	server := sshtest.Start(t, "AllowTcpForwarding no")
	_, err := open(t, server.Settings(nil), ssh.Options{}).Dial(t.Context(), "tcp", "127.0.0.1:1")
	wantCode(t, err, deploy.CodeRefused)
	if !strings.Contains(deploy.MessageOf(err), "AllowTcpForwarding") {
		t.Errorf("message %q", deploy.MessageOf(err))
	}
}

func TestManyCallsShareOneConnection(t *testing.T) {
	server := sshtest.Start(t)
	h := open(t, server.Settings(nil), ssh.Options{})
	ports := map[string]bool{}
	for range 5 {
		out, err := h.Run(t.Context(), []string{"sh", "-c", `echo "$SSH_CONNECTION"`}, nil)
		ok(t, err)
		ports[string(out)] = true
	}
	if len(ports) != 1 {
		t.Errorf("%d connections: %v", len(ports), ports)
	}
}

func TestOfTwentyCallsAtOnceEightRunAndTheOthersWait(t *testing.T) {
	server := sshtest.Start(t) // allows ten sessions a connection, as by default
	h := open(t, server.Settings(nil), ssh.Options{})
	dir := t.TempDir()
	const n = 20
	counts, ended := make(chan string, n), make(chan error, n)
	for range n {
		go func() {
			out, err := h.Run(t.Context(), []string{"sh", "-c", `mkdir "$1/$$"; ls "$1" | wc -l; sleep 0.2; rmdir "$1/$$"`, "sh", dir}, nil)
			counts <- strings.TrimSpace(string(out))
			ended <- err
		}()
	}
	for range n {
		ok(t, soon(t, ended))
		if at, err := strconv.Atoi(<-counts); err != nil || at > 8 {
			t.Errorf("%d ran at once, %v", at, err)
		}
	}
}

// impostor accepts connections and hands them to serve until the test ends.
func impostor(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
	})
	return l.Addr().String()
}

func list(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ok(t, err)
	return entries
}
