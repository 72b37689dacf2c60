package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"ipublish/cmd/client"
	"ipublish/deploy"
)

const (
	startPatience = 20 * time.Second
	endPatience   = 20 * time.Second
	askInterval   = 50 * time.Millisecond
	logTail       = 2 << 10 // bytes
)

// server is `ipublish serve` as a process of its own.
type server struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // after ended
}

// startServer starts argv with its output in the file log. The process has a
// process group of its own, so that a ^C at the terminal reaches only us, and
// ends when we are killed.
func startServer(argv []string, log string) (*server, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), log: log, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go s.run(started)
	return s, <-started
}

// run starts the process and waits for its end, on one thread all the time:
// Pdeathsig is sent when the thread that started it ends.
func (s *server) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.ended)
	err := s.cmd.Start()
	started <- err
	if err == nil {
		s.err = s.cmd.Wait()
	}
}

// ready blocks until the server answers. deploy.CodeFailed, with the end of its
// log, when it ended instead or does not answer in time.
func (s *server) ready(ctx context.Context, api *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		_, err := api.Status(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return s.unready("it ended", s.err)
		case <-ctx.Done():
			return s.unready(fmt.Sprintf("it did not answer within %s", startPatience), errors.Join(ctx.Err(), err))
		}
	}
}

func (s *server) unready(why string, err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "start", Subject: "ipublish serve", Err: err,
		Message: "ipublish serve could not be started: " + why + ". Its log says:\n" + tail(s.log)}
}

// close ends the process as a service manager would, and waits for it.
func (s *server) close() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	late := time.NewTimer(endPatience)
	defer late.Stop()
	select {
	case <-s.ended:
		return nil
	case <-late.C:
	}
	_ = s.cmd.Process.Kill() // likewise
	<-s.ended
	return fmt.Errorf("ipublish serve did not end within %s and was killed; its log is %s", endPatience, s.log)
}

// tail is the end of a log, as far as it can be read.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-logTail):])
}
