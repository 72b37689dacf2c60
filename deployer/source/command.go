package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is one run of a build.
type command struct {
	argv    []string
	dir     string
	env     []string
	limit   time.Duration // of the whole
	silence time.Duration // without output
	out     *output
}

// The reasons why a build is ended before it ends.
var (
	errTooLong = errors.New("it took longer")
	errSilent  = errors.New("it printed nothing")
)

// run runs the command in a process group of its own, which is gone when it
// returns: also what the command left in the background. It returns the
// context's error, errTooLong, errSilent, or the command's own failure.
func (c *command) run(ctx context.Context) error {
	cmd, err := c.prepare()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		awaitExit(cmd.Process.Pid)
	}()
	why := c.watch(ctx, exited)
	// The leader is not reaped yet, so that its number still is this group's.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	<-exited
	err = cmd.Wait()
	c.out.flush()
	if why != nil {
		return why
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// pipeDelay bounds the wait for output of a process that left the group.
const pipeDelay = 2 * time.Second

func (c *command) prepare() (*exec.Cmd, error) {
	program, err := c.program()
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: program, Args: c.argv, Dir: c.dir, Env: c.env,
		Stdout: c.out, Stderr: c.out,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   pipeDelay,
	}, nil
}

// program finds argv[0] as the build itself would: a path from its folder, a
// bare name by its own PATH.
func (c *command) program() (string, error) {
	name := c.argv[0]
	if strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(c.variable("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w in PATH", name, exec.ErrNotFound)
}

func (c *command) variable(name string) string {
	for _, e := range c.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// watch waits for the exit or for a reason to end the build.
func (c *command) watch(ctx context.Context, exited <-chan struct{}) error {
	limit := time.NewTimer(c.limit)
	defer limit.Stop()
	quiet := time.NewTimer(c.silence)
	defer quiet.Stop()
	for {
		select {
		case <-exited:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("%w than %s", errTooLong, c.limit)
		case <-quiet.C:
			left := c.silence - c.out.silence()
			if left <= 0 {
				return fmt.Errorf("%w for %s", errSilent, c.silence)
			}
			quiet.Reset(left)
		}
	}
}

// awaitExit waits until a child has ended, without reaping it.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// outcome says how a build ended, for people.
func outcome(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ProcessState.String()
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "the program was not found"
	}
	return err.Error()
}
