package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

func hostRunsOutput(t *testing.T, h deployer.Host) {
	hostWant(t, h, "hello\n", nil, "echo", "hello")
}

func hostRunsArguments(t *testing.T, h deployer.Host) {
	argv := append([]string{"env", "printf", `[%s]\n`}, hostHostileArguments()...)
	want := "[" + strings.Join(hostHostileArguments(), "]\n[") + "]\n"
	hostWant(t, h, want, nil, argv...)
}

// hostHostileArguments are legal arguments that a shell, an option parser or a
// template would take for something else.
func hostHostileArguments() []string {
	return []string{
		"", " ", "a b", "'", "''", `"`, `\`, `\\`, `\'`, `'\''`, "$HOME", "${IFS}", "$(id)", "`id`", "a;id", "a|id", "a&id", "&&", "||",
		"> /dev/null", "< /etc/passwd", "*", "?", "[a-z]", "~", "!", "!!", "#", "{a,b}", "a=b", "-n", "--", "--upload-pack=touch${IFS}x",
		"-oProxyCommand=id", "line\nbreak", "\n", "\r\n", "\t", "%s", "%n", "%0d%0aX", `\n`, `\x41`, "é", "中文", "\u202e", "\x01\x7f", "\xff\xfe",
		"\x81\x88", strings.Repeat("long ", 2000),
	}
}

func hostRunsInput(t *testing.T, h deployer.Host) {
	in := strings.Repeat("0123456789abcdef\x00\n", 50_000)
	hostWant(t, h, in, strings.NewReader(in), "cat")
}

func hostRunsNoInput(t *testing.T, h deployer.Host) {
	hostWant(t, h, "", nil, "cat")
}

func hostRunsUnreadInput(t *testing.T, h deployer.Host) {
	hostWant(t, h, "done\n", bytes.NewReader(make([]byte, 4<<20)), "echo", "done")
}

func hostRunsFailure(t *testing.T, h deployer.Host) {
	_, err := h.Run(hostContext(t), []string{"sh", "-c", "seq 1 5000 >&2; echo the end >&2; exit 7"}, nil)
	exit := hostExit(t, err)
	if exit.Code != 7 {
		t.Errorf("exit status %d, want 7", exit.Code)
	}
	if n := len(exit.Stderr); n != 4<<10 || !strings.HasSuffix(exit.Stderr, "5000\nthe end\n") {
		t.Errorf("%d bytes of standard error ending with %q, want the last 4096", n, exit.Stderr[max(0, n-20):])
	}
	if m := deploy.MessageOf(err); !strings.Contains(m, "7") || !strings.Contains(m, "the end") {
		t.Errorf("message %q names neither the status nor what the command said last", m)
	}
}

func hostRunsSignalled(t *testing.T, h deployer.Host) {
	_, err := h.Run(hostContext(t), []string{"sh", "-c", "kill -9 $$"}, nil)
	if exit := hostExit(t, err); exit.Code != -1 {
		t.Errorf("exit status %d, want -1", exit.Code)
	}
}

func hostRunsMissing(t *testing.T, h deployer.Host) {
	for _, program := range []string{"no-such-program-here", "/no/such/program"} {
		_, err := h.Run(hostContext(t), []string{program, "x"}, nil)
		if exit := hostExit(t, err); exit.Code != 127 {
			t.Errorf("%s: exit status %d, want 127", program, exit.Code)
		}
	}
}

func hostRunsMuch(t *testing.T, h deployer.Host) {
	out, err := h.Run(hostContext(t), []string{"sh", "-c", "head -c 10000000 /dev/zero; echo over >&2"}, nil)
	if err != nil || len(out) != 8<<20 {
		t.Fatalf("%d bytes and %v, want the first 8 MiB", len(out), err)
	}
}

func hostRunsInvalid(t *testing.T, h deployer.Host) {
	for _, argv := range [][]string{nil, {}, {""}, {"-c", "id"}, {"LD_PRELOAD=x", "id"}, {"echo", "a\x00b"}} {
		_, err := h.Run(hostContext(t), argv, nil)
		hostCode(t, err, deploy.CodeInvalid)
	}
}

func hostRunsBrokenInput(t *testing.T, h deployer.Host) {
	broken := errors.New("the disk is gone")
	_, err := h.Run(hostContext(t), []string{"cat"}, io.MultiReader(strings.NewReader("half"), hostFailing{broken}))
	hostCode(t, err, deploy.CodeFailed)
	if !errors.Is(err, broken) {
		t.Errorf("%v does not carry its cause", err)
	}
}

func hostRunsParallel(t *testing.T, h deployer.Host) {
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			want := fmt.Sprint(i)
			out, err := h.Run(hostContext(t), []string{"cat"}, strings.NewReader(want))
			if err != nil || string(out) != want {
				t.Errorf("run %d: %q, %v", i, out, err)
			}
		})
	}
	all.Wait()
}

func hostRunsCancelled(t *testing.T, h deployer.Host) {
	ctx, cancel := context.WithCancel(hostContext(t))
	defer cancel()
	started := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, []string{"sh", "-c", `: > "$1"; sleep 60 & sleep 60`, "sh", started}, nil)
		ended <- err
	}()
	hostEventually(t, "the command runs", func() bool { return hostExists(started) })
	cancel()
	hostCode(t, hostPromptly(t, ended), deploy.CodeCancelled)
}

func hostRunsTooLong(t *testing.T, h deployer.Host) {
	hostWant(t, h, "", nil, "true")
	ctx, cancel := context.WithTimeout(hostContext(t), 200*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, []string{"sleep", "60"}, nil)
		ended <- err
	}()
	<-ctx.Done()
	hostCode(t, hostPromptly(t, ended), deploy.CodeTimeout)
}

func hostEndedContext(t *testing.T, h deployer.Host) {
	ctx, cancel := context.WithCancel(hostContext(t))
	cancel()
	path := filepath.Join(t.TempDir(), "file")
	_, err := h.Run(ctx, []string{"touch", path}, nil)
	hostCode(t, err, deploy.CodeCancelled)
	hostCode(t, h.Put(ctx, path, 0o644, strings.NewReader("x")), deploy.CodeCancelled)
	_, err = h.Dial(ctx, "tcp", "127.0.0.1:1")
	hostCode(t, err, deploy.CodeCancelled)
	if hostExists(path) {
		t.Error("something was done all the same")
	}
}
