package proxy

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// conn is a connection to a backend that knows when nothing of a request was
// sent, so that the request may go elsewhere.
//
// Before the first byte of each request after an answer it looks whether the
// backend has closed it: the kernel knows before the transport does. Such a write
// fails with nothing sent, and the transport uses another connection, for a POST
// too. What fails before the first request was sent at all is a *dialError: a
// backend that died may leave connections that nobody has accepted.
type conn struct {
	net.Conn
	control  func(func(fd uintptr)) error
	look     func(fd uintptr) // into closed
	closed   bool             // as the writer saw it last
	answered atomic.Bool      // something was read since the last write
	tunnel   atomic.Bool      // switched protocols: the backend may end its half alone

	sent  atomic.Bool // something was written; never again false
	first sync.Mutex  // guards what comes before
	dead  bool        // nothing was written, and nothing will be
}

// dialBackend connects; its error is a *dialError, or a *shortageError.
func dialBackend(ctx context.Context, dialer *net.Dialer, network, addr string) (net.Conn, error) {
	opened, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, undialed(err)
	}
	raw, err := opened.(*net.TCPConn).SyscallConn()
	if err != nil {
		_ = opened.Close()
		return nil, &dialError{err}
	}
	c := &conn{Conn: opened, control: raw.Control}
	c.look = c.peek // once: it is asked before every request
	return c, nil
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
	if err != nil && c.unused() {
		err = &dialError{err}
	}
	return n, err
}

// Write writes a request; nothing of it when the backend has closed the connection.
func (c *conn) Write(p []byte) (int, error) {
	if !c.sent.Load() {
		return c.begin(p)
	}
	if c.answered.Swap(false) && c.mustLook(p) && c.closedByPeer() {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

// begin writes what is the first, unless a read has failed already.
func (c *conn) begin(p []byte) (int, error) {
	c.first.Lock()
	defer c.first.Unlock()
	if c.dead {
		return 0, &dialError{net.ErrClosed}
	}
	n, err := c.Conn.Write(p)
	if n == 0 && err != nil {
		c.dead = true
		return 0, &dialError{err}
	}
	c.sent.Store(true)
	return n, err
}

// unused reports whether nothing was ever written, and keeps it so.
func (c *conn) unused() bool {
	if c.sent.Load() {
		return false
	}
	c.first.Lock()
	defer c.first.Unlock()
	c.dead = !c.sent.Load()
	return c.dead
}

func (c *conn) mustLook(p []byte) bool {
	return !bytes.HasPrefix(p, get) && !bytes.HasPrefix(p, head) && !c.tunnel.Load()
}

// closedByPeer asks the kernel without waiting and without taking anything.
func (c *conn) closedByPeer() bool {
	c.closed = false
	err := c.control(c.look)
	return c.closed || err != nil
}

func (c *conn) peek(fd uintptr) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	again := err == syscall.EAGAIN || err == syscall.EINTR
	c.closed = n == 0 && err == nil || err != nil && !again
}
