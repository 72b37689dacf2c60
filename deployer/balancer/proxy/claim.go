package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ipublish/deploy"
)

// claimed is the right to be the proxy of a socket and of a state file. The kernel
// holds it, so that it ends with the process, however that ends.
type claimed struct {
	once  sync.Once
	files []*os.File
}

// errTaken is the cause when another proxy has the right.
var errTaken = errors.New("another proxy has it")

// claim takes the right or says who has it: deploy.CodeRefused and errTaken.
func claim(o Options) (*claimed, error) {
	c := &claimed{}
	for _, path := range []string{o.Socket, o.StateFile} {
		if err := c.lock(path); err != nil {
			c.release()
			return nil, err
		}
	}
	if err := checkFree(o.Socket); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

func (c *claimed) lock(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return lockError(path, err)
	}
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return lockError(path, err)
	}
	c.files = append(c.files, f)
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return taken(path)
	}
	if err != nil {
		return lockError(path, err)
	}
	return nil
}

// conns are the files that hold it, to be passed on.
func (c *claimed) conns() []syscall.Conn {
	var out []syscall.Conn
	for _, f := range c.files {
		out = append(out, f)
	}
	return out
}

// release gives the right back, or leaves it to the process that it was passed to,
// whose lock it is as well: so it closes and never unlocks. A second call does nothing.
func (c *claimed) release() {
	c.once.Do(func() {
		for _, f := range c.files {
			_ = f.Close() // nothing was written
		}
	})
}

// checkFree refuses a socket that answers, and a path that is no socket.
func checkFree(socket string) error {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return lockError(socket, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "open control socket", Subject: socket,
			Message: socket + " is there and is no socket: move it away, or give the proxy another socket path"}
	}
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return nil
	}
	_ = conn.Close()
	return taken(socket)
}

func taken(path string) error {
	who := "another proxy"
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if p, err := newClient(path).ping(ctx); err == nil {
		who = fmt.Sprintf("another proxy (process %d)", p.PID)
	}
	return &deploy.Error{Code: deploy.CodeRefused, Op: "claim", Subject: path, Err: errTaken,
		Message: who + " holds " + path + ": one machine needs one proxy only; `ipublish proxy --replace` takes over from it without losing a request"}
}

func lockError(path string, err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "claim", Subject: path, Err: err,
		Message: "the proxy cannot lock " + path + ": its folder must exist and be writable"}
}
