package ssh

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"ipublish/deploy"
	"ipublish/deployer/host/posix"
)

// settings is the section of a host in the configuration.
type settings struct {
	Address        string          `json:"address"`         // "user@host:port"; user and port may be absent
	URL            string          `json:"url"`             // or "ssh://user@host:port"
	Identity       string          `json:"identity"`        // a private key itself, PEM
	IdentityFile   string          `json:"identity_file"`   // or the path of one
	KnownHosts     string          `json:"known_hosts"`     // path; default: the bot user's and the system's
	SSHConfig      string          `json:"ssh_config"`      // path; default ~/.ssh/config; "none": ignore it
	Become         []string        `json:"become"`          // argv prefix of every command and write
	ProxyJump      string          `json:"proxy_jump"`      // "user@host:port,…", passed in that order; "none": go directly
	ConnectTimeout deploy.Duration `json:"connect_timeout"` // bounds the whole way to an open connection; default 10s

	signer gossh.Signer // of Identity
}

func parseSettings(raw json.RawMessage) (settings, error) {
	s := settings{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, invalid("ssh", err, "the settings of an ssh host are address or url, and optionally identity or "+
			"identity_file, known_hosts, ssh_config, become, proxy_jump and connect_timeout")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, invalid("ssh", err, "the settings of an ssh host are followed by something else")
	}
	s.ConnectTimeout = cmp.Or(s.ConnectTimeout, deploy.Duration(10*time.Second))
	return s, s.check()
}

func (s *settings) check() error {
	switch {
	case (s.Address == "") == (s.URL == ""):
		return invalid("ssh", nil, "an ssh host needs exactly one of address and url")
	case s.Identity != "" && s.IdentityFile != "":
		return invalid(s.target(), nil, "identity and identity_file exclude each other")
	}
	if len(s.Become) > 0 {
		if err := posix.CheckArgv(s.Become); err != nil {
			return invalid(s.target(), err, "become is not a command: %s", deploy.MessageOf(err))
		}
	}
	if s.Identity == "" {
		return nil
	}
	signer, err := gossh.ParsePrivateKey([]byte(s.Identity))
	if err != nil {
		return invalid(s.target(), err, "identity is not a private key without passphrase in PEM form")
	}
	s.signer, s.Identity = signer, ""
	return nil
}

func (s *settings) target() string { return cmp.Or(s.Address, s.URL) }
