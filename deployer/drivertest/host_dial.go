package drivertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

func hostDialsTCP(t *testing.T, h deployer.Host) {
	hostEchoes(t, h, hostEcho(t, "tcp", "127.0.0.1:0"))
}

func hostDialsUnix(t *testing.T, h deployer.Host) {
	hostEchoes(t, h, hostEcho(t, "unix", hostSocket(t)))
}

// hostEchoes also checks that the connection outlives the context it was made with.
func hostEchoes(t *testing.T, h deployer.Host, echo net.Addr) {
	ctx, cancel := context.WithCancel(hostContext(t))
	conn, err := h.Dial(ctx, echo.Network(), echo.String())
	hostOK(t, err)
	defer func() { _ = conn.Close() }()
	cancel()
	sent := bytes.Repeat([]byte("echo\x00"), 40_000)
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("the echo differs: %v", err)
	}
	if conn.LocalAddr() == nil || conn.RemoteAddr() == nil {
		t.Error("the connection has no addresses")
	}
}

func hostDialsDeadlines(t *testing.T, h deployer.Host) {
	echo := hostEcho(t, "tcp", "127.0.0.1:0")
	conn, err := h.Dial(hostContext(t), echo.Network(), echo.String())
	hostOK(t, err)
	hostOK(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read beyond the deadline: %v", err)
	}
	hostOK(t, conn.SetDeadline(time.Time{}))
	_, err = conn.Write([]byte("x"))
	hostOK(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	hostOK(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	hostOK(t, conn.Close())
	if err := hostPromptly(t, ended); err == nil {
		t.Error("a read on a closed connection succeeded")
	}
}

func hostDialsNobody(t *testing.T, h deployer.Host) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	hostOK(t, err)
	hostOK(t, l.Close())
	_, err = h.Dial(hostContext(t), "tcp", l.Addr().String())
	hostCode(t, err, deploy.CodeUnavailable)
	_, err = h.Dial(hostContext(t), "unix", filepath.Join(t.TempDir(), "nobody"))
	hostCode(t, err, deploy.CodeUnavailable)
	hostWant(t, h, "still there\n", nil, "echo", "still there")
}

func hostDialsInvalid(t *testing.T, h deployer.Host) {
	_, err := h.Dial(hostContext(t), "udp", "127.0.0.1:53")
	hostCode(t, err, deploy.CodeInvalid)
}
