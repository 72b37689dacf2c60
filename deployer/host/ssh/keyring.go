package ssh

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"ipublish/deploy"
)

// keyring says where the keys of one host come from.
type keyring struct {
	signer gossh.Signer // given literally; then nothing else is offered
	files  []string
	must   string // the one file of the settings, which has to be usable
	agent  string // socket; empty: none
}

// offer is what is tried on a host, and what people are told when it failed.
type offer struct {
	signers []gossh.Signer
	left    []string // keys that could not be used, and why
}

// load reads the keys. The agent's sign through its socket until done is called.
func (k keyring) load(ctx context.Context) (o offer, done func(), err error) {
	if k.signer != nil {
		return offer{signers: []gossh.Signer{k.signer}}, func() {}, nil
	}
	done = o.addAgent(ctx, k.agent)
	for _, path := range k.files {
		if err := o.addFile(path); err != nil && k.must != "" {
			done()
			return o, nil, invalid(k.must, err, "the key %s cannot be used: it must exist, be readable by the bot and have no passphrase", path)
		}
	}
	return o, done, nil
}

func (o *offer) addAgent(ctx context.Context, socket string) (done func()) {
	nothing := func() {}
	if socket == "" {
		return nothing
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		o.left = append(o.left, "the ssh-agent at "+socket+" (does not answer)")
		return nothing
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close()
		o.left = append(o.left, "the ssh-agent at "+socket+" ("+err.Error()+")")
		return nothing
	}
	o.signers = append(o.signers, signers...)
	return func() { _ = conn.Close() }
}

// addFile returns why a file gives no key; one that is absent is no news.
func (o *offer) addFile(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			o.left = append(o.left, path+" (not readable)")
		}
		return err
	}
	signer, err := gossh.ParsePrivateKey(b)
	var locked *gossh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		o.left = append(o.left, path+" (has a passphrase: load it into an ssh-agent)")
	case err != nil:
		o.left = append(o.left, path+" (not a private key)")
	default:
		o.signers = append(o.signers, signer)
	}
	return err
}

// refusal is the error of a host that accepted none of the keys.
func (o *offer) refusal(h hop, cause error) error {
	var keys []string
	for _, s := range o.signers {
		keys = append(keys, gossh.FingerprintSHA256(s.PublicKey()))
	}
	message := h.addr + " does not accept user " + h.user
	if len(keys) == 0 {
		message += ": there is no key to offer, set identity_file"
	} else {
		message += " with the key " + strings.Join(keys, ", ") +
			": add its public half to ~/.ssh/authorized_keys of that user, or set another identity_file"
	}
	if len(o.left) > 0 {
		message += "; not usable: " + strings.Join(o.left, ", ")
	}
	return &deploy.Error{Code: deploy.CodeRefused, Op: "connect", Subject: h.addr, Message: message, Err: cause}
}
