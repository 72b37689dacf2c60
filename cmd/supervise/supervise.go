package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// countVariable tells the worker how many listeners it inherits, from file
// descriptor 3 on.
const countVariable = "IPUBLISH_LISTENERS"

// ExitRefused is the exit code of a worker that a person must help: it is not
// started again. It is EX_CONFIG of sysexits.h; Go itself exits with 2 at a
// panic, a fatal error and SIGQUIT, which all are no refusals.
const ExitRefused = 78

// Options say what to supervise.
type Options struct {
	Argv      []string // of the worker
	Listeners []net.Listener
	Output    io.Writer // of the worker; nil: the supervisor's own
	Log       *slog.Logger
}

// Listen opens the TCP address and the unix socket (mode 0600), or takes the
// listeners that systemd passes. A stale unix socket is replaced; one that
// answers is an error.
func Listen(tcp, unix string) ([]net.Listener, error) {
	given, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	if len(given) > 0 {
		return given, nil
	}
	t, err := net.Listen("tcp", tcp)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: stop what listens there, or set another server.listen", tcp, err)
	}
	u, err := listenUnix(unix)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return []net.Listener{t, u}, nil
}

func listenUnix(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close() // it was only to see whether somebody answers
		return nil, fmt.Errorf("listen on %s: another ipublish answers there: stop it, or use another server.state_dir", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// Inherited returns the listeners that a supervisor passed to this process;
// none when it was not started by one.
func Inherited() ([]net.Listener, error) {
	var n int
	if _, err := fmt.Sscan(os.Getenv(countVariable), &n); err != nil {
		return nil, nil
	}
	var out []net.Listener
	for i := range n {
		f := os.NewFile(uintptr(3+i), fmt.Sprintf("listener-%d", i))
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("inherit listener %d: %w", i, err)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, os.Unsetenv(countVariable)
}

// Run starts the worker and keeps one running until ctx ends; then it ends the
// worker and waits for it. A worker that ends with ExitRefused ends Run with an
// error; any other end has it started again, after a pause of at most 30 s.
func Run(ctx context.Context, o Options) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	files, err := duplicate(o.Listeners)
	if err != nil {
		return err
	}
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		began := time.Now()
		err := o.runWorker(ctx, files, hangups)
		if ctx.Err() != nil {
			return nil
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == ExitRefused {
			return errors.New("the worker refuses to start")
		}
		if time.Since(began) > time.Minute {
			pause = time.Second
		}
		o.Log.Error("worker ended, starting it again", "err", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func duplicate(listeners []net.Listener) ([]*os.File, error) {
	var files []*os.File
	for _, l := range listeners {
		f, ok := l.(interface{ File() (*os.File, error) })
		if !ok {
			return nil, fmt.Errorf("listener %s cannot be passed on", l.Addr())
		}
		file, err := f.File()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// drain forgets a hangup from before a worker's start: it reads the
// configuration anyway.
func drain(hangups <-chan os.Signal) {
	select {
	case <-hangups:
	default:
	}
}

// runWorker runs one worker to its end.
func (o Options) runWorker(ctx context.Context, files []*os.File, hangups <-chan os.Signal) error {
	cmd := exec.Command(o.Argv[0], o.Argv[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", countVariable, len(files)))
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if o.Output != nil {
		cmd.Stdout, cmd.Stderr = o.Output, o.Output
	}
	// A supervisor that is killed must not leave a worker behind that nobody ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	drain(hangups)
	if err := startLocked(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	done := ctx.Done()
	for {
		select {
		case err := <-ended:
			return err
		case <-hangups:
			_ = cmd.Process.Signal(syscall.SIGHUP) // it may just have ended; Wait tells
		case <-done:
			_ = cmd.Process.Signal(syscall.SIGTERM) // likewise
			done = nil
		}
	}
}
