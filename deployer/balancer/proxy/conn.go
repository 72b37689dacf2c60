package proxy

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"syscall"
)

// conn is a connection to a backend that looks, before the first byte of each
// request after an answer, whether the backend has closed it: the kernel knows
// before the transport does. Such a write fails with nothing sent, and the
// transport uses another connection, for a POST too.
type conn struct {
	net.Conn
	control  func(func(fd uintptr)) error
	answered atomic.Bool // something was read since the last write
	tunnel   atomic.Bool // switched protocols: the backend may end its half alone
}

// dialBackend connects; its error is a *dialError.
func dialBackend(ctx context.Context, dialer *net.Dialer, network, addr string) (net.Conn, error) {
	c, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	rc, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		_ = c.Close()
		return nil, &dialError{err}
	}
	return &conn{Conn: c, control: rc.Control}, nil
}

var (
	switching = []byte("HTTP/1.1 101")
	get, head = []byte("GET "), []byte("HEAD ") // the transport repeats these by itself
)

// Read reads an answer.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.answered.Swap(true) && bytes.HasPrefix(p[:n], switching) {
		c.tunnel.Store(true)
	}
	return n, err
}

// Write writes a request; nothing of it when the backend has closed the connection.
func (c *conn) Write(p []byte) (int, error) {
	if c.answered.Swap(false) && c.mustLook(p) && c.closedByPeer() {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func (c *conn) mustLook(p []byte) bool {
	return !bytes.HasPrefix(p, get) && !bytes.HasPrefix(p, head) && !c.tunnel.Load()
}

// closedByPeer asks the kernel without waiting and without taking anything.
func (c *conn) closedByPeer() bool {
	closed := false
	err := c.control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		again := err == syscall.EAGAIN || err == syscall.EINTR
		closed = n == 0 && err == nil || err != nil && !again
	})
	return closed || err != nil
}
