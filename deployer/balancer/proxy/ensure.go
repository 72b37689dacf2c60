package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"ipublish/deploy"
)

const (
	ensureTimeout  = 15 * time.Second
	ensureInterval = 5 * time.Millisecond
	logTail        = 4 << 10
)

// Ensure returns when a proxy answers on socket. Where none does it starts argv
// in a session of its own, with its output appended to logfile and without the
// caller's environment: the process outlives the caller. It blocks until that
// one answers, for 15 s at most. deploy.CodeFailed, with the end of its log,
// when it ended instead; deploy.CodeTimeout when it never answered, and then, as when ctx
// ends, it is left running.
//
// Where a proxy of another version than this program answers, it is asked to
// start its own program anew, which takes over without losing a request. One
// that cannot serves on, and its log and logfile say why.
func Ensure(ctx context.Context, socket string, argv []string, logfile string) error {
	return ensure(ctx, socket, argv, logfile, binaryVersion())
}

func ensure(ctx context.Context, socket string, argv []string, logfile, version string) error {
	c := newClient(socket)
	if p, err := c.ping(ctx); err == nil || ctx.Err() != nil {
		if err == nil && p.Version != "" && version != "" && p.Version != version {
			renew(ctx, c, version, logfile)
		}
		return err
	}
	process, err := startDetached(argv, logfile)
	if err != nil {
		return &deploy.Error{Code: deploy.CodeFailed, Op: "start proxy", Subject: socket, Err: err,
			Message: "the built-in proxy cannot be started: " + err.Error()}
	}
	limit, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	err = awaitAnswer(limit, c, process)
	if err == nil {
		return process.Release()
	}
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "start proxy", Subject: socket, Err: err, Log: tail(logfile),
		Message: fmt.Sprintf("the built-in proxy was started and does not answer on %s: its log is %s", socket, logfile)}
}

// renew has a proxy of another version succeed itself, and notes in the log what
// came of it where that is still another version: it serves on.
func renew(ctx context.Context, c client, version, logfile string) {
	cause := c.succeed(ctx)
	p, err := c.ping(ctx)
	if err != nil || p.Version == version {
		return
	}
	out, err := openLog(logfile)
	if err != nil {
		return // nowhere to tell it
	}
	defer out.Close()
	log := slog.New(slog.NewTextHandler(out, nil))
	log.Warn("the proxy that serves is of another version: reload its unit, or start it by the path of the new program",
		"process", p.PID, "version", p.Version, "want", version, "error", cause)
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
}

// awaitAnswer blocks until a proxy answers, ours or one that was quicker.
func awaitAnswer(ctx context.Context, c client, process *os.Process) error {
	tick := time.NewTicker(ensureInterval)
	defer tick.Stop()
	for {
		ended := reap(process)
		if _, err := c.ping(ctx); err == nil {
			return nil
		}
		if ended {
			return &deploy.Error{Code: deploy.CodeFailed, Op: "await proxy", Message: "it ended at once"}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), process.Release())
		}
	}
}

// reap reports whether the child has ended, without blocking.
func reap(process *os.Process) bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(process.Pid, &status, syscall.WNOHANG, nil)
	return pid == process.Pid || errors.Is(err, syscall.ECHILD)
}

func startDetached(argv []string, logfile string) (*os.Process, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command is given")
	}
	out, err := openLog(logfile)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = passedOn(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Process, nil
}

// passedOn keeps what any program needs. The rest is the bot's: its secrets, and
// its dealings with systemd.
func passedOn(environ []string) []string {
	kept := []string{}
	for _, v := range environ {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "GOGC", "GOMEMLIMIT", "GOMAXPROCS":
			kept = append(kept, v)
		}
	}
	return kept
}

// tail returns the end of a log for the error's reader; empty when it cannot be read.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, _ := io.ReadAll(io.LimitReader(f, logTail))
	return strings.TrimSpace(string(data))
}
