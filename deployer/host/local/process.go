package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/host/posix"
)

// pipeGrace is how long a pipe that somebody else holds open is read after the
// command ended or was told to end.
const pipeGrace = 250 * time.Millisecond

// process is one command, run once.
type process struct {
	argv    []string
	stop    syscall.Signal // what its group gets when the context ends
	in      *posix.Input
	capture posix.Capture
}

// run blocks until the command ended and its output is read, or shortly after
// ctx ended. A command that cannot be killed (it runs as another user) goes on;
// the goroutine that waits for it then ends with it.
func (p *process) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env = environment()
	cmd.Dir = home()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, p.stop) }
	cmd.WaitDelay = pipeGrace
	cmd.Stdout, cmd.Stderr = p.capture.Stdout(), p.capture.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go feed(stdin, p.in)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return await(ctx, ended)
}

// feed ends with the input, or when the command's end closes the pipe.
func feed(stdin io.WriteCloser, in io.Reader) {
	_, _ = io.Copy(stdin, in)
	_ = stdin.Close()
}

func await(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return whole(err)
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return whole(err)
	case <-time.After(2 * pipeGrace):
		return ctx.Err()
	}
}

// whole forgives a pipe that a grandchild holds: the command itself succeeded.
func whole(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// judge says which error the command's end is.
func (p *process) judge(ctx context.Context, task posix.Task, err error) error {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return task.Ended(ctx)
	case p.in.Err() != nil:
		return task.Source(p.in.Err())
	case errors.As(err, &exit):
		return task.Exit(exit.ExitCode(), p.capture.Complaint())
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return task.Exit(127, p.argv[0]+": not found")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return task.Exit(126, err.Error())
	case errors.Is(err, syscall.E2BIG):
		return task.Fail(deploy.CodeInvalid, err, "the arguments are too long: send data on standard input")
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.EMFILE):
		return task.Fail(deploy.CodeUnavailable, err, "this host is out of processes, memory or files")
	}
	return task.Fail(deploy.CodeFailed, err, "%s could not be run", p.argv[0])
}

// environment passes on what names no secret.
func environment() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "USER"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// home is where commands start, as over ssh.
func home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "/"
	}
	return dir
}
