package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"ipublish/deploy"
)

// handoverTimeout bounds how long nothing can be changed because a successor is
// taking over.
const handoverTimeout = 10 * time.Second

// handOver gives everything that this process has to the one that asks, and
// retires once that one serves. Both listen for a moment, so that no connection
// is refused. A successor that ends before it serves changes nothing.
func (p *process) handOver(w http.ResponseWriter, _ *http.Request) {
	p.tasks.Add(1)
	defer p.tasks.Done()
	conn, err := seize(w)
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer conn.Close()
	heir, err := p.mayHandTo(conn)
	if err == nil {
		err = p.registry.freeze()
	}
	if err != nil {
		_, _ = conn.Write(refusal(err)) // who asked went away
		return
	}
	if err := p.pass(conn); err != nil {
		p.registry.thaw()
		p.o.Log.Error("a successor did not take over, so this proxy serves on", "successor", heir, "error", err)
		return
	}
	p.o.Log.Info("proxy handed over: clients that are connected are served on", "successor", heir)
	p.heir.Store(int64(heir))
	p.registry.retire()
}

// pass blocks until the other process serves.
func (p *process) pass(conn *net.UnixConn) error {
	last, err := p.openLast()
	if err != nil {
		return err
	}
	if err := p.passAll(conn); err != nil {
		last.close()
		return errors.Join(err, os.Remove(p.lastSocket()))
	}
	p.last = last
	return nil
}

func (p *process) passAll(conn *net.UnixConn) error {
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ipublish-handover\r\n\r\n"); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return err
	}
	w, doors := p.registry.will()
	w.PID, w.Socket, w.Guarded, w.Doors = os.Getpid(), p.lastSocket(), p.o.Guarded, len(doors)
	if err := sendFrame(conn, w, append(p.held.conns(), p.listener)...); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		door, ok := doors[name].(syscall.Conn)
		if !ok {
			return fmt.Errorf("the door of %s cannot be passed on", name)
		}
		if err := sendFrame(conn, bequest{Route: name}, door); err != nil {
			return err
		}
	}
	files, err := receiveFrame(conn, new(word))
	closeFiles(files)
	return err
}

// seize takes the connection of a request for itself.
func seize(w http.ResponseWriter) (*net.UnixConn, error) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close() // it is not used
		return nil, fmt.Errorf("the control connection is of %s", c.LocalAddr().Network())
	}
	return conn, conn.SetDeadline(time.Now().Add(handoverTimeout))
}

// mayHandTo returns the process that asks. Where a service manager follows this
// process, it would end a stranger's service and start a second proxy.
func (p *process) mayHandTo(conn *net.UnixConn) (pid int, err error) {
	var cred *syscall.Ucred
	err = withDescriptors([]syscall.Conn{conn}, func(fds []int) (err error) {
		cred, err = syscall.GetsockoptUcred(fds[0], syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := p.sameUser(int(cred.Uid)); err != nil {
		return 0, err
	}
	if p.o.Guarded && !p.ours(int(cred.Pid)) {
		return 0, &deploy.Error{Code: deploy.CodeRefused, Op: "take over", Subject: p.o.Socket,
			Message: "systemd runs this proxy as a unit: `systemctl reload` the unit, ipublish-proxy as it is packaged, which replaces it without losing a request"}
	}
	return int(cred.Pid), nil
}

// sameUser refuses a process of another user: it could not open the files that this
// one wrote, or would leave some that its successor cannot open.
func (p *process) sameUser(uid int) error {
	if own := os.Geteuid(); uid != own {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "take over", Subject: p.o.Socket,
			Message: fmt.Sprintf("the proxy was not replaced: run the new one as the user of the proxy that runs (uid %d)", own)}
	}
	return nil
}

// refusal is an error as an answer on a connection that was seized.
func refusal(err error) []byte {
	e := deploy.AsError(err)
	body, _ := json.Marshal(e) // it has no value that could fail
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		statusOf(e.Code), http.StatusText(statusOf(e.Code)), len(body), body)
	return b.Bytes()
}

// lastSocket is where an elder answers its successor.
func (p *process) lastSocket() string { return fmt.Sprintf("%s.%d", p.o.Socket, os.Getpid()) }

func (p *process) openLast() (*desk, error) {
	path := p.lastSocket()
	listener, err := listenUnix(path)
	if err != nil {
		return nil, socketError(path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close() // it is not used
		return nil, socketError(path, err)
	}
	return openDesk(listener, p.lastControl()), nil
}
