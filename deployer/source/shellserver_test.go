package source

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"ipublish/deploy"
)

// shellServer is an ssh server that runs git-upload-pack and nothing else.
type shellServer struct {
	addr   string
	key    string // PEM of the only accepted client key
	known  string // path of a known_hosts file with the server's key
	config *ssh.ServerConfig
	work   sync.WaitGroup
}

func newKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func newShellServer(t testing.TB) *shellServer {
	t.Helper()
	host, _ := newKey(t)
	client, key := newKey(t)
	s := &shellServer{key: key}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	s.config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.known = s.trust(t, host.PublicKey())
	s.work.Go(func() { s.serve(l) })
	t.Cleanup(func() { _ = l.Close(); s.work.Wait() })
	return s
}

// trust writes a known_hosts file that holds key for the server.
func (s *shellServer) trust(t testing.TB, key ssh.PublicKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(knownhosts.Line([]string{s.addr}, key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *shellServer) settings(path string) deploy.Settings {
	p := from("ssh://git@" + s.addr + path)
	p.Credential = deploy.Credential{SSHKey: s.key, KnownHosts: s.known}
	return p
}

func (s *shellServer) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.connection(conn) })
	}
}

func (s *shellServer) connection(conn net.Conn) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		for r := range reqs {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			s.exec(ch, string(r.Payload[4:]))
			break
		}
	}
}

func (s *shellServer) exec(ch ssh.Channel, line string) {
	defer ch.Close()
	path, ok := strings.CutPrefix(line, "git-upload-pack ")
	if !ok {
		return
	}
	cmd := exec.Command("git", "-c", "safe.directory=*", "upload-pack", strings.Trim(path, "'"))
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	go func() { _, _ = io.Copy(in, ch); _ = in.Close() }()
	status := []byte{0, 0, 0, 0}
	if cmd.Wait() != nil {
		status[3] = 128
	}
	_, _ = ch.SendRequest("exit-status", false, status)
}
