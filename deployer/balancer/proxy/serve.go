package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"ipublish/deploy"
)

// DefaultDrain is how long requests in flight may take at the process's end.
const DefaultDrain = 30 * time.Second

// Options say where a proxy process is found and where it remembers.
type Options struct {
	Socket    string        // control socket, mode 0600
	StateFile string        // its folder is made if it is absent
	Log       *slog.Logger  // nil: silent
	Drain     time.Duration // for requests in flight at the end; 0: DefaultDrain

	// Replace: where another proxy has the socket, this one takes over from it.
	Replace bool
	// Successor is the command, with Replace, that takes over from this process
	// when it is asked to succeed itself; empty: it refuses.
	Successor []string
	// Guarded: a service manager follows this process. Only a successor that it
	// started itself may take over.
	Guarded bool
	// Hangups: at each of them the process has itself succeeded.
	Hangups <-chan os.Signal
	// Ready is called when the proxy serves, Succeeded with the process that took
	// over from it; nil: nobody is told.
	Ready     func()
	Succeeded func(pid int)

	limits  limits
	version string
}

// Serve runs the proxy until ctx ends, then lets running requests end for at
// most o.Drain and returns nil. As soon as it drains, its listen addresses, its
// socket and its state are free for a successor.
//
// A proxy that is started with o.Replace takes over from the one that runs, and
// no connection is refused or cut by it. That one answers those who are connected
// until they have gone, which every answer asks them to: tunnels and streams for
// o.Drain, all else for some minutes at most. It follows the changes of its
// routes, leaves its counts, and its Serve returns nil.
//
// deploy.CodeRefused when another proxy has the socket or the state file,
// deploy.CodeDamaged when the state file is there and cannot be read,
// deploy.CodeFailed when the socket cannot be opened.
func Serve(ctx context.Context, o Options) error {
	o = o.filled()
	p, err := open(ctx, o)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Drain == 0 {
		o.Drain = DefaultDrain
	}
	if o.limits == (limits{}) {
		o.limits = defaultLimits()
	}
	if o.version == "" {
		o.version = binaryVersion()
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Succeeded == nil {
		o.Succeeded = func(int) {}
	}
	return o
}

// open starts from the state file, or takes over.
func open(ctx context.Context, o Options) (*process, error) {
	held, err := claim(o)
	switch {
	case err == nil:
		return start(o, held)
	case !o.Replace || !errors.Is(err, errTaken):
		return nil, err
	}
	p, err := takeOver(ctx, o)
	if deploy.CodeOf(err) != deploy.CodeUnavailable {
		return p, err
	}
	if held, err = claim(o); err != nil { // it may have ended just now
		return nil, err
	}
	return start(o, held)
}

func start(o Options, held *claimed) (*process, error) {
	g, err := restoreRegistry(o, legacy{})
	if err != nil {
		held.release()
		return nil, err
	}
	listener, err := listenControl(o.Socket)
	if err != nil {
		g.close()
		g.wait()
		held.release()
		return nil, err
	}
	return &process{o: o, registry: g, held: held, listener: listener}, nil
}

// listenControl opens the socket with mode 0600 from its first moment, in the
// place of a stale one. The caller holds the claim.
func listenControl(path string) (*net.UnixListener, error) {
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	listener, err := listenUnix(tmp)
	if err != nil {
		return nil, socketError(path, err)
	}
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path)); err != nil {
		return nil, socketError(path, errors.Join(err, listener.Close(), os.Remove(tmp)))
	}
	return listener, nil
}

func listenUnix(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	return listener, nil
}

func socketError(path string, err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "open control socket", Subject: path, Err: err,
		Message: "the proxy's control socket " + path + " cannot be opened: its folder must be writable and the path shorter than 100 characters"}
}
