package local

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"syscall"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/posix"
)

// New returns this machine as a host. settings may be empty, or hold
// {"become": [argv prefix]}, which is put before every command and before what
// writes files, for example ["sudo", "-n"]. deploy.CodeInvalid for anything else.
func New(settings json.RawMessage) (deployer.Host, error) {
	var s struct {
		Become []string `json:"become"`
	}
	if err := decode(settings, &s); err != nil {
		return nil, invalid("the settings of host local take only become, a list such as [sudo, -n]", err)
	}
	if len(s.Become) > 0 {
		if err := posix.CheckArgv(s.Become); err != nil {
			return nil, invalid("become is not a command: "+deploy.MessageOf(err), err)
		}
	}
	return &host{become: s.Become}, nil
}

type host struct{ become []string }

// Run implements deployer.Host. Commands start in the user's home. Output beyond 8 MiB is dropped. A program that
// does not exist ends with exit status 127, as in a shell. When ctx ends, the
// command's process group is killed. A reader that blocks may still be read
// from once after Run returned.
func (h *host) Run(ctx context.Context, argv []string, in io.Reader) ([]byte, error) {
	if err := posix.CheckArgv(argv); err != nil {
		return nil, err
	}
	return h.run(ctx, posix.Task{Op: "run", Host: "local", What: argv[0]}, process{
		argv: h.prefixed(argv), stop: syscall.SIGKILL, in: posix.NewInput(ctx, in),
	})
}

// Put implements deployer.Host.
func (h *host) Put(ctx context.Context, path string, mode uint32, r io.Reader) error {
	argv, in, err := posix.Put(path, mode, r)
	if err != nil {
		return err
	}
	_, err = h.run(ctx, posix.Task{Op: "put", Host: "local", What: path}, process{
		argv: h.prefixed(argv), stop: syscall.SIGTERM, in: posix.NewInput(ctx, in),
	})
	return err
}

// Dial implements deployer.Host.
func (h *host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	task := posix.Task{Op: "dial", Host: "local", What: addr}
	if network != "tcp" && network != "unix" {
		return nil, task.Fail(deploy.CodeInvalid, nil, "%q is not a network: use tcp or unix", network)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, task.Ended(ctx)
	}
	return nil, task.Fail(deploy.CodeUnavailable, err, "nothing answers at %s on this host", addr)
}

func (h *host) run(ctx context.Context, task posix.Task, p process) ([]byte, error) {
	err := p.run(ctx)
	if err == nil {
		if cause := p.in.Err(); cause != nil {
			return nil, task.Source(cause)
		}
		return p.capture.Output(), nil
	}
	return nil, p.judge(ctx, task, err)
}

func (h *host) prefixed(argv []string) []string {
	return slices.Concat(h.become, argv)
}

func decode(settings json.RawMessage, into any) error {
	if len(settings) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(settings))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func invalid(message string, cause error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open", Subject: "local", Message: message, Err: cause}
}
