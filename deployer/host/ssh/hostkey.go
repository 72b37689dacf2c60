package ssh

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	gossh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"ipublish/deploy"
)

// identity is what is known of a host's keys.
type identity struct {
	hop        hop
	algorithms []string // to ask for: those of the known keys; empty: the host is unknown
	check      gossh.HostKeyCallback
}

// identify reads the known_hosts files, as they are now.
func identify(h hop) (*identity, error) {
	files := slices.DeleteFunc(slices.Clone(h.known), func(f string) bool {
		_, err := os.Stat(f)
		return err != nil
	})
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, &deploy.Error{
			Code: deploy.CodeInvalid, Op: "connect", Subject: h.addr, Err: err,
			Message: "known_hosts cannot be used: make it readable, or correct the line that the cause names",
		}
	}
	id := &identity{hop: h, check: db.HostKeyCallback()}
	known := db.HostKeyAlgorithms(h.addr)
	id.algorithms = slices.DeleteFunc(slices.Clone(known), func(a string) bool {
		return !slices.Contains(gossh.SupportedAlgorithms().HostKeys, a)
	})
	if len(known) > 0 && len(id.algorithms) == 0 {
		return nil, id.refuse(nil, "known_hosts holds only keys of outdated types for %s (%s): add a newer key of the host, after checking it",
			h.addr, strings.Join(known, ", "))
	}
	return id, nil
}

// verify is the gossh.HostKeyCallback: nil for a known key, else deploy.CodeRefused.
func (id *identity) verify(addr string, remote net.Addr, key gossh.PublicKey) error {
	err := id.check(addr, remote, key)
	if err == nil {
		return nil
	}
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		return id.refuse(err, "the key of %s is marked as revoked at %s:%d: do not go on before the host has a new one",
			addr, revoked.Revoked.Filename, revoked.Revoked.Line)
	case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
		return id.refuse(err, "%s", id.changed(key, mismatch.Want))
	case errors.As(err, &mismatch):
		return id.refuse(err, "%s", id.unknown(key))
	}
	return id.refuse(err, "the key of %s (%s) was not accepted: %v", addr, gossh.FingerprintSHA256(key), err)
}

// mismatched is the error of a host that has none of the key types that are known for it.
func (id *identity) mismatched(cause *gossh.AlgorithmNegotiationError) error {
	return id.refuse(cause, "the key of %s changed: known_hosts holds %s for it, and it offers only %s. "+
		"If the host was set up anew, check its keys on its console, then remove the old lines with: %s",
		id.hop.addr, strings.Join(id.algorithms, ", "), strings.Join(cause.RequestedAlgorithms, ", "), id.forget(id.hop.known[0]))
}

func (id *identity) changed(key gossh.PublicKey, want []xknownhosts.KnownKey) string {
	line := want[0]
	for _, w := range want {
		if w.Key.Type() == key.Type() {
			line = w
			break
		}
	}
	return fmt.Sprintf("the key of %s changed: %s line %d has %s, and the host offers %s. Somebody may sit in between. "+
		"If the host was set up anew, compare the new fingerprint on its console (%s); then remove the old line with: %s; and add the new key with: %s",
		id.hop.addr, line.Filename, line.Line, describe(line.Key), describe(key), onConsole(key), id.forget(line.Filename), id.scan(key, line.Filename))
}

func (id *identity) unknown(key gossh.PublicKey) string {
	return fmt.Sprintf("%s is not in %s; it offers %s. Compare the fingerprint on the host's console (%s); if it is the same, run: %s",
		id.hop.addr, strings.Join(id.hop.known, " or "), describe(key), onConsole(key), id.scan(key, id.hop.known[0]))
}

func (id *identity) scan(key gossh.PublicKey, file string) string {
	host, port, _ := net.SplitHostPort(id.hop.addr)
	return fmt.Sprintf("ssh-keyscan -p %s -t %s %s >> %s", port, shortType(key), host, file)
}

func (id *identity) forget(file string) string {
	return fmt.Sprintf("ssh-keygen -R '%s' -f %s", knownhosts.Normalize(id.hop.addr), file)
}

func (id *identity) refuse(cause error, format string, args ...any) error {
	return &deploy.Error{
		Code: deploy.CodeRefused, Op: "connect", Subject: id.hop.addr, Message: fmt.Sprintf(format, args...), Err: cause,
	}
}

func describe(key gossh.PublicKey) string {
	return key.Type() + " " + gossh.FingerprintSHA256(key)
}

func onConsole(key gossh.PublicKey) string {
	return "ssh-keygen -lf /etc/ssh/ssh_host_" + shortType(key) + "_key.pub"
}

// shortType is the name of a key's type as ssh-keyscan and sshd's files have it.
func shortType(key gossh.PublicKey) string {
	t := key.Type()
	switch {
	case strings.HasPrefix(t, "ecdsa-"):
		return "ecdsa"
	case strings.Contains(t, "rsa"):
		return "rsa"
	}
	return strings.TrimPrefix(t, "ssh-")
}
