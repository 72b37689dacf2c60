package ssh

import (
	"context"
	"errors"
	"io"

	gossh "golang.org/x/crypto/ssh"

	"ipublish/deploy"
	"ipublish/deployer/host/posix"
)

// maxLine is what Linux takes as one argument, less some room: sshd hands the
// line to the login shell as one.
const maxLine = 128<<10 - 1024

// command is one command, run once.
type command struct {
	argv    []string
	in      *posix.Input
	stop    gossh.Signal // what its process group gets when the context ends
	capture posix.Capture
}

func (h *Host) run(ctx context.Context, task posix.Task, cmd command) ([]byte, error) {
	line := posix.Line(cmd.argv)
	if len(line) > maxLine {
		return nil, task.Fail(deploy.CodeInvalid, nil, "the arguments are too long for a remote shell: send data on standard input")
	}
	ended, err := h.start(ctx, line, &cmd)
	if err != nil {
		return nil, outcome(ctx, task, err)
	}
	select {
	case err := <-ended:
		return cmd.judge(ctx, task, err)
	case <-ctx.Done():
		return nil, task.Ended(ctx)
	}
}

// start begins a command when a slot is free; its end arrives on the channel.
// The slot and the connection are given back then, not when the call returns.
func (h *Host) start(ctx context.Context, line string, cmd *command) (<-chan error, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	session, c, err := open(ctx, h.link, request[*gossh.Session]{
		ask:    (*gossh.Client).NewSession,
		doubts: func(error) bool { return true },
	})
	if err != nil {
		<-h.slots
		return nil, err
	}
	ended := make(chan error, 1)
	h.link.work.Go(func() {
		err := cmd.attend(ctx, session, line)
		if c.broken() {
			err = errors.Join(errCut, err)
		}
		h.link.release(c)
		<-h.slots
		ended <- err
	})
	return ended, nil
}

// attend runs the line on a session and blocks until it ended, with ctx at the
// latest if the peer is there.
func (cmd *command) attend(ctx context.Context, session *gossh.Session, line string) error {
	defer func() { _ = session.Close() }()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = session.Signal(cmd.stop)
		_ = session.Close()
	})
	defer func() {
		if !stop() {
			<-stopped
		}
	}()
	session.Stdin, session.Stdout, session.Stderr = cmd.in, cmd.capture.Stdout(), cmd.capture.Stderr()
	if err := session.Start(line); err != nil {
		return errors.Join(errCut, err)
	}
	return session.Wait()
}

// errCut marks an end that says nothing about the command.
var errCut = errors.New("the connection broke while the command ran")

// judge says what the command's end is. io.EOF alone is a command that ended
// well without reading all of its input.
func (cmd *command) judge(ctx context.Context, task posix.Task, err error) ([]byte, error) {
	var exit *gossh.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, task.Ended(ctx)
	case errors.Is(err, errCut):
		return nil, outcome(ctx, task, err)
	case cmd.in.Err() != nil:
		return nil, task.Source(cmd.in.Err())
	case errors.As(err, &exit):
		return nil, task.Exit(status(exit), cmd.capture.Complaint())
	case err == nil, errors.Is(err, io.EOF):
		return cmd.capture.Output(), nil
	}
	return nil, outcome(ctx, task, err)
}

func status(exit *gossh.ExitError) int {
	if exit.Signal() != "" {
		return -1
	}
	return exit.ExitStatus()
}

// outcome is the error of a call that got no answer: one that has a code stays
// as it is, all else is a connection that broke.
func outcome(ctx context.Context, task posix.Task, err error) error {
	var known *deploy.Error
	switch {
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil:
		return task.Ended(ctx)
	}
	return task.Fail(deploy.CodeUnavailable, err, "the connection to %s broke during %s; whether it had its effect is not known", task.Host, task.Op)
}
