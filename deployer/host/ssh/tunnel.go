package ssh

import (
	"context"
	"errors"
	"io"
	"net"

	gossh "golang.org/x/crypto/ssh"

	"ipublish/deploy"
	"ipublish/deployer/host/posix"
)

// tunnel is a connection that leaves from the host. A channel of an ssh
// connection knows no deadline, and its Close waits for the peer's: a pipe in
// between has both.
type tunnel struct {
	net.Conn // the caller's end of the pipe
	far      net.Conn
	through  *connection
}

// newTunnel takes over the use of c, and releases it when far ended.
func newTunnel(far net.Conn, c *connection, l *link) net.Conn {
	near, pipe := net.Pipe()
	back := make(chan struct{})
	l.work.Go(func() {
		defer close(back)
		_, _ = io.Copy(pipe, far)
		_ = pipe.Close()
	})
	l.work.Go(func() {
		_, _ = io.Copy(far, pipe)
		_ = far.Close()
		<-back
		l.release(c)
	})
	return &tunnel{Conn: near, far: far, through: c}
}

// Read implements net.Conn. A connection that broke is deploy.CodeUnavailable,
// never mistaken for the end of the data.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if errors.Is(err, io.EOF) && t.through.broken() {
		return n, &deploy.Error{
			Code: deploy.CodeUnavailable, Op: "read", Subject: t.far.RemoteAddr().String(),
			Message: "the ssh connection broke", Err: io.ErrUnexpectedEOF,
		}
	}
	return n, err
}

// LocalAddr implements net.Conn.
func (t *tunnel) LocalAddr() net.Addr { return t.far.LocalAddr() }

// RemoteAddr implements net.Conn.
func (t *tunnel) RemoteAddr() net.Addr { return t.far.RemoteAddr() }

// judgeDial says which error a Dial's end is.
func judgeDial(ctx context.Context, task posix.Task, err error) error {
	var refused *gossh.OpenChannelError
	switch {
	case !errors.As(err, &refused):
		return outcome(ctx, task, err)
	case refused.Reason == gossh.Prohibited:
		return task.Fail(deploy.CodeRefused, err, "sshd on %s forbids the connection to %s: allow it with AllowTcpForwarding, "+
			"AllowStreamLocalForwarding and PermitOpen", task.Host, task.What)
	}
	return task.Fail(deploy.CodeUnavailable, err, "nothing answers at %s on %s", task.What, task.Host)
}

// speaksOfTarget: the connection is well, only the target is not there.
func speaksOfTarget(err error) bool {
	var refused *gossh.OpenChannelError
	return errors.As(err, &refused)
}
