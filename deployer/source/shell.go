package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"ipublish/deploy"
)

// dialShell connects over ssh and starts git-upload-pack there. The connection
// ends with ctx, whatever it waits for: go-git's own ssh client cannot be
// interrupted in its handshake.
func (w *Workshop) dialShell(ctx context.Context, a address, cred credential) (remote, error) {
	addr := net.JoinHostPort(strings.Trim(a.host, "[]"), strconv.Itoa(portOr(a.port, 22)))
	config, done, err := shellConfig(ctx, a, cred, addr)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &shell{release: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	c, channels, requests, err := ssh.NewClientConn(conn, addr, config)
	if err != nil {
		s.release()
		_ = conn.Close()
		return nil, distrust(a, addr, err)
	}
	s.client = ssh.NewClient(c, channels, requests)
	if err := s.start(a.path); err != nil {
		_ = s.Close()
		return nil, err
	}
	return &wire{session: s}, nil
}

func portOr(port, otherwise int) int {
	if port == 0 {
		return otherwise
	}
	return port
}

// shellConfig decides who we are and which host key is believed. done releases
// the agent's connection after the handshake.
func shellConfig(ctx context.Context, a address, cred credential, addr string) (config *ssh.ClientConfig, done func(), err error) {
	auth, done, err := shellAuth(ctx, cred)
	if err != nil {
		return nil, nil, err
	}
	known, err := knownHosts(cred.knownHosts)
	if err != nil {
		done()
		return nil, nil, err
	}
	config = &ssh.ClientConfig{
		User:              shellUser(a, cred),
		Auth:              []ssh.AuthMethod{auth},
		HostKeyCallback:   known.HostKeyCallback(),
		HostKeyAlgorithms: known.HostKeyAlgorithms(addr),
	}
	return config, done, nil
}

func shellUser(a address, cred credential) string {
	for _, u := range []string{a.user, cred.user} {
		if u != "" {
			return u
		}
	}
	return "git"
}

func shellAuth(ctx context.Context, cred credential) (ssh.AuthMethod, func(), error) {
	if cred.sshKey != "" {
		signer, err := ssh.ParsePrivateKey([]byte(cred.sshKey))
		if err != nil {
			return nil, nil, fault(deploy.CodeInvalid, "", "credentials.ssh_key",
				"credentials.ssh_key is not a private key without passphrase: write ${file:/path/of/the/key}", errors.New("no private key in it"))
		}
		return ssh.PublicKeys(signer), func() {}, nil
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, fault(deploy.CodeRefused, "", "credentials",
			"there is neither credentials.ssh_key nor an ssh agent: configure credentials.ssh_key", nil)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, fault(deploy.CodeRefused, "", "credentials", "the ssh agent does not answer: configure credentials.ssh_key", err)
	}
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return ssh.PublicKeysCallback(agent.NewClient(conn).Signers), func() { release(); _ = conn.Close() }, nil
}

// knownHosts reads the host keys that an operator trusts.
func knownHosts(configured string) (*knownhosts.HostKeyDB, error) {
	files := []string{configured}
	if configured == "" {
		files = usualKnownHosts()
	}
	if len(files) == 0 {
		return nil, fault(deploy.CodeRefused, "", "known_hosts",
			"no known_hosts file exists: add the host's key to ~/.ssh/known_hosts (ssh-keyscan, then compare the fingerprint) or configure credentials.known_hosts", nil)
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fault(deploy.CodeInvalid, "", "known_hosts", "credentials.known_hosts is not the path of a readable known_hosts file", err)
	}
	return db, nil
}

func usualKnownHosts() []string {
	candidates := []string{"/etc/ssh/ssh_known_hosts"}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, ".ssh", "known_hosts"))
	}
	var out []string
	for _, f := range candidates {
		if _, err := os.Stat(f); err == nil {
			out = append(out, f)
		}
	}
	return out
}

// distrust gives a refused host key its sentence.
func distrust(a address, addr string, err error) error {
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return fault(deploy.CodeRefused, "connect", addr,
			"the host key of "+a.host+" is not the one in known_hosts: find out why it changed before you replace it", err)
	case knownhosts.IsHostUnknown(err):
		return fault(deploy.CodeRefused, "connect", addr, fmt.Sprintf(
			"the host key of %s is not known: run ssh-keyscan -p %d %s, compare the fingerprint, and add it to known_hosts",
			a.host, portOr(a.port, 22), a.host), err)
	}
	return err
}

// shell is a transport.UploadPackSession over one ssh session.
type shell struct {
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	said    tail
	ar      *packp.AdvRefs
	release func() bool
}

func (s *shell) start(path string) (err error) {
	if s.session, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.in, err = s.session.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.session.StdoutPipe(); err != nil {
		return err
	}
	s.session.Stderr = &s.said
	return s.session.Start("git-upload-pack " + quoted(path))
}

// quoted is path for the remote shell, as git itself quotes it.
func quoted(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// AdvertisedReferences implements transport.Session.
func (s *shell) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext implements transport.Session.
func (s *shell) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.ar != nil {
		return s.ar, nil
	}
	ar := packp.NewAdvRefs()
	err := ar.Decode(s.out)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && ar.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil:
		return nil, s.why(err)
	}
	transport.FilterUnsupportedCapabilities(ar.Capabilities)
	s.ar = ar
	return ar, nil
}

// why prefers what the remote command said to how its output was cut.
func (s *shell) why(err error) error {
	_ = s.session.Wait()
	text := strings.TrimSpace(s.said.String())
	for _, missing := range []string{"does not appear to be a git repository", "not found", "does not exist", "could not be found", "no such"} {
		if strings.Contains(strings.ToLower(text), missing) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, text)
		}
	}
	if strings.Contains(strings.ToLower(text), "denied") {
		return fmt.Errorf("%w: %s", transport.ErrAuthorizationFailed, text)
	}
	if text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// UploadPack implements transport.UploadPackSession.
func (s *shell) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if req.IsEmpty() {
		return nil, transport.ErrEmptyUploadPackRequest
	}
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if err := s.ask(req); err != nil {
		return nil, err
	}
	res := packp.NewUploadPackResponse(req)
	return res, res.Decode(io.NopCloser(s.out))
}

func (s *shell) ask(req *packp.UploadPackRequest) error {
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return err
	}
	if err := req.UploadHaves.Encode(s.in, true); err != nil {
		return err
	}
	if _, err := io.WriteString(s.in, "0009done\n"); err != nil {
		return err
	}
	return s.in.Close()
}

// Close ends the session and its connection.
func (s *shell) Close() error {
	s.release()
	return s.client.Close()
}
