package deployer

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// line is one connection that is kept from request to request. Unlike
// http.Transport it never sends a request a second time, which would hide from
// a watcher what users lose. One request at a time; its answer's body has to be
// read or closed before the next.
type line struct {
	dial dialer
	conn net.Conn // what is read and written: raw, or TLS over it
	raw  net.Conn
	in   *bufio.Reader
	host string // that conn leads to, with its scheme

	trust *x509.CertPool // nil: what the machine trusts
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := l.ready(req); err != nil {
		return nil, err
	}
	conn := l.conn
	stop := context.AfterFunc(req.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	res, err := l.exchange(req)
	if err != nil {
		stop()
		_ = l.close()
		if req.Context().Err() != nil {
			err = req.Context().Err()
		}
		return nil, err
	}
	res.Body = &lineBody{ReadCloser: res.Body, line: l, stop: stop, last: res.Close}
	return res, nil
}

func (l *line) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(l.conn); err != nil {
		return nil, err
	}
	for {
		res, err := http.ReadResponse(l.in, req)
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("it wants to speak another protocol")
		case res.StatusCode >= http.StatusOK:
			return res, nil
		}
		// A hint that goes before the answer (RFC 9110 §15.2).
	}
}

// ready leaves an open connection to the request's host.
func (l *line) ready(req *http.Request) error {
	host := req.URL.Scheme + " " + req.URL.Host
	if l.conn != nil && (l.host != host || !l.alive()) {
		_ = l.close()
	}
	if l.conn != nil {
		return nil
	}
	raw, err := l.dial(req.Context(), "tcp", withPort(req))
	if err != nil {
		return err
	}
	conn := raw
	if req.URL.Scheme == "https" {
		secure := tls.Client(raw, &tls.Config{ServerName: req.URL.Hostname(), RootCAs: l.trust, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(req.Context()); err != nil {
			_ = raw.Close()
			return err
		}
		conn = secure
	}
	l.conn, l.raw, l.in, l.host = conn, raw, bufio.NewReader(conn), host
	return nil
}

// alive reports whether the other side has not closed the connection meanwhile.
// Nothing is waited for. What cannot be looked at so is taken as alive.
func (l *line) alive() bool {
	c, ok := l.raw.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = errors.Is(err, syscall.EAGAIN) || n > 0 && l.conn != l.raw // TLS has more to say than answers
	})
	return err == nil && alive
}

func (l *line) close() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn, l.in = nil, nil
	return err
}

func withPort(req *http.Request) string {
	port := req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	return net.JoinHostPort(req.URL.Hostname(), port)
}

// lineBody gives the connection back when the answer was read to its end.
type lineBody struct {
	io.ReadCloser
	line  *line
	stop  func() bool
	last  bool // the other side closes after this answer
	whole bool
}

func (b *lineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.whole = b.whole || errors.Is(err, io.EOF)
	return n, err
}

func (b *lineBody) Close() error {
	err := b.ReadCloser.Close()
	if early := !b.stop(); early || b.last || !b.whole {
		return errors.Join(err, b.line.close())
	}
	return err
}
