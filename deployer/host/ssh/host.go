package ssh

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"ipublish/deploy"
	"ipublish/deployer/host/posix"
)

// maxSessions is how many commands run at the same time on one connection: sshd
// allows 10 by default, and a cancelled one counts until its process is gone.
const maxSessions = 8

// Options are what the process gives to all its ssh hosts. The zero value is
// what a bot needs.
type Options struct {
	Home      string        // folder whose .ssh holds config, keys and known_hosts; empty: the user's home
	Agent     string        // socket of an ssh-agent; empty: $SSH_AUTH_SOCK
	KeepAlive time.Duration // between two questions whether the peer is there; 0: 5s; three unanswered end a connection
}

// Host is a machine reached over SSH; it implements deployer.Host. It may be
// used by many goroutines. Close it when it is not needed any more.
type Host struct {
	name   string // for people
	become []string
	slots  chan struct{} // one element a running command
	link   *link
}

// New reads the settings of a host, which the package comment lists, and
// ~/.ssh/config; it does not connect. deploy.CodeInvalid with what to correct.
func New(settings json.RawMessage, o Options) (*Host, error) {
	s, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	r, err := newRouter(s, o)
	if err != nil {
		return nil, err
	}
	hops, err := r.route()
	if err != nil {
		return nil, err
	}
	d := &dialer{
		hops: hops, timeout: s.ConnectTimeout.D(), keepAlive: cmp.Or(o.KeepAlive, 5*time.Second),
	}
	h := &Host{
		name: hops[len(hops)-1].addr, become: s.Become, slots: make(chan struct{}, maxSessions),
	}
	h.link = &link{name: h.name, dial: d.connect}
	return h, nil
}

// Run implements deployer.Host. Commands start in the remote user's home. Output beyond 8 MiB is dropped. At most eight
// commands of one Host run at the same time, others wait. A reader that blocks
// may still be read from once after Run returned.
func (h *Host) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if err := posix.CheckArgv(argv); err != nil {
		return nil, err
	}
	return h.run(ctx, posix.Task{Op: "run", Host: h.name, What: argv[0]}, command{
		argv: slices.Concat(h.become, argv), in: posix.NewInput(ctx, in), stop: gossh.SIGKILL,
	})
}

// Put implements deployer.Host, in one round trip on an open connection.
func (h *Host) Put(ctx context.Context, path string, mode uint32, r io.Reader) error {
	argv, in, err := posix.Put(path, mode, r)
	if err != nil {
		return err
	}
	_, err = h.run(ctx, posix.Task{Op: "put", Host: h.name, What: path}, command{
		argv: slices.Concat(h.become, argv), in: posix.NewInput(ctx, in), stop: gossh.SIGTERM,
	})
	return err
}

// Dial implements deployer.Host. The connection knows deadlines; its end by the
// peer ends both directions. deploy.CodeRefused if sshd forbids forwarding.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	task := posix.Task{Op: "dial", Host: h.name, What: addr}
	if network != "tcp" && network != "unix" {
		return nil, task.Fail(deploy.CodeInvalid, nil, "%q is not a network: use tcp or unix", network)
	}
	if _, _, err := net.SplitHostPort(addr); network == "tcp" && err != nil {
		return nil, task.Fail(deploy.CodeInvalid, err, "%q is not host:port", addr)
	}
	far, c, err := open(ctx, h.link, request[net.Conn]{
		ask:    func(client *gossh.Client) (net.Conn, error) { return client.Dial(network, addr) },
		doubts: func(err error) bool { return !speaksOfTarget(err) },
	})
	if err != nil {
		return nil, judgeDial(ctx, task, err)
	}
	return newTunnel(far, c, h.link), nil
}

// Close ends the connection and everything on it, and waits for that.
// Calls after it are deploy.CodeUnavailable.
func (h *Host) Close() error {
	h.link.close()
	return nil
}
