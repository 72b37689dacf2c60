package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"ipublish/deploy"
)

const (
	// DefaultDrain is how long requests in flight may take at the process's end.
	DefaultDrain = 30 * time.Second

	reopenInterval = time.Second
	controlTimeout = 10 * time.Second
)

// Options say where a proxy process is found and where it remembers.
type Options struct {
	Socket    string        // control socket, mode 0600
	StateFile string        // its folder is made if it is absent
	Log       *slog.Logger  // nil: silent
	Drain     time.Duration // for requests in flight at the end; 0: DefaultDrain
}

// Serve runs the proxy until ctx ends, then lets running requests end for at
// most o.Drain and returns nil. As soon as it drains, its listen addresses, its
// socket and its state are free for a successor.
//
// deploy.CodeRefused when another proxy has the socket or the state file,
// deploy.CodeDamaged when the state file is there and cannot be read,
// deploy.CodeFailed when the socket cannot be opened.
func Serve(ctx context.Context, o Options) error {
	o = o.filled()
	held, err := claim(o)
	if err != nil {
		return err
	}
	defer held.release()
	g, err := restoreRegistry(stateFile(o.StateFile), o.Drain, o.Log)
	if err != nil {
		return err
	}
	listener, err := listenControl(o.Socket)
	if err == nil {
		o.Log.Info("proxy serves", "socket", o.Socket, "state", o.StateFile, "routes", len(g.list()))
		err = runControl(ctx, g, listener)
		_ = os.Remove(o.Socket) // a stale one is replaced
	}
	g.close()
	held.release()
	o.Log.Info("proxy ends: requests in flight may end", "limit", o.Drain)
	g.wait()
	return err
}

func (o Options) filled() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Drain == 0 {
		o.Drain = DefaultDrain
	}
	return o
}

// runControl answers on the control socket until ctx ends, and meanwhile tries
// again to open what could not be opened.
func runControl(ctx context.Context, g *registry, listener net.Listener) error {
	server := &http.Server{Handler: control(g), ReadHeaderTimeout: controlTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	retry := time.NewTicker(reopenInterval)
	defer retry.Stop()
	open := false
	for {
		select {
		case <-ctx.Done():
			stopControl(server)
			<-ended
			return nil
		case err := <-ended:
			return &deploy.Error{Code: deploy.CodeFailed, Op: "serve control socket", Err: err}
		case <-retry.C:
			open = open || g.reopen()
		}
	}
}

// stopControl lets a change that is being made be answered.
func stopControl(server *http.Server) {
	limit, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	if server.Shutdown(limit) != nil {
		_ = server.Close() // the process ends anyway
	}
}

// listenControl opens the socket with mode 0600 from its first moment, in the
// place of a stale one. The caller holds the claim.
func listenControl(path string) (net.Listener, error) {
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

func listenUnix(path string) (net.Listener, error) {
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
