package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"ipublish/deploy"
)

// takeoverTimeout is shorter than the older one's patience: who gives up first
// must be the one that does not serve yet.
const takeoverTimeout = handoverTimeout / 2

// takeOver makes this process the proxy in the place of the one that runs: its
// locks, its control socket, its listen addresses, its counts. Until this one
// serves, the other does, and whatever goes wrong here leaves it as it was.
//
// deploy.CodeDamaged when the state cannot be read or is not what is served,
// deploy.CodeRefused when the other does not hand over, deploy.CodeUnavailable
// when it does not answer.
func takeOver(ctx context.Context, o Options) (*process, error) {
	if _, _, err := stateFile(o.StateFile).load(); err != nil {
		return nil, err
	}
	conn, err := askForAll(ctx, o.Socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	from, err := receiveLegacy(conn)
	if err != nil {
		from.drop()
		return nil, notTaken(o.Socket, err)
	}
	p, err := from.begin(o)
	if err != nil {
		from.drop()
		return nil, err
	}
	if err := sendFrame(conn, word{PID: os.Getpid()}); err != nil {
		p.withdraw()
		return nil, notTaken(o.Socket, err)
	}
	o.Log.Info("proxy took over", "from", from.PID)
	return p, nil
}

// begin serves what was passed, beside the process that passed it.
func (l legacy) begin(o Options) (*process, error) {
	if err := l.checkPlaces(o); err != nil {
		return nil, err
	}
	g, err := restoreRegistry(o, l)
	if err != nil {
		return nil, err
	}
	o.Guarded = o.Guarded || l.Guarded
	return &process{o: o, registry: g, held: l.held, listener: l.control}, nil
}

// withdraw leaves the other process as it is.
func (p *process) withdraw() {
	p.registry.forsake()
	p.registry.close()
	p.registry.wait()
	_ = p.listener.Close() // the other has it too
	p.held.release()
}

// askForAll asks the proxy behind the socket to hand over. The connection ends
// by itself when that takes too long.
func askForAll(ctx context.Context, socket string) (*net.UnixConn, error) {
	c := newClient(socket)
	dialed, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	conn := dialed.(*net.UnixConn)
	if err := ask(c, conn); err != nil {
		_ = conn.Close() // it is not used
		return nil, err
	}
	return conn, nil
}

func ask(c client, conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(takeoverTimeout)); err != nil {
		return notTaken(c.socket, err)
	}
	if _, err := io.WriteString(conn, "POST /v1/handover HTTP/1.1\r\nHost: proxy\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return notTaken(c.socket, err)
	}
	// The other waits for a byte before it goes on: nothing of it is read ahead.
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return notTaken(c.socket, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusSwitchingProtocols:
		_, err := conn.Write([]byte{'\n'})
		return err
	case http.StatusNotFound:
		return notTaken(c.socket, fmt.Errorf("it is too old to hand over"))
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxCallAnswer))
	if err != nil {
		return notTaken(c.socket, err)
	}
	return c.decode(res.StatusCode, data, nil)
}

func notTaken(socket string, err error) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "take over", Subject: socket, Err: err,
		Message: "the proxy that runs did not hand over and serves on: " + err.Error() + "; see its log, or stop it to replace it, which loses requests"}
}
