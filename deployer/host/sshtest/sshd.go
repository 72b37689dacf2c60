package sshtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Address is the loopback address that servers listen on.
const Address = "127.0.0.2"

// privilegeSeparation is the folder that sshd wants to exist when it runs as root.
const privilegeSeparation = "/run/sshd"

// Server is a running sshd.
type Server struct {
	Addr         string   // host:port
	User         string   // who may log in: the user of the test
	KnownHosts   string   // file with the keys that the server had at its start
	IdentityFile string   // private key that it accepts
	Home         string   // the HOME of sessions: an empty folder, so that no shell start-up file interferes
	KeyTypes     []string // of its host keys

	t       testing.TB
	dir     string
	sshd    string
	marker  string // in the environment of every session
	config  []string
	process *exec.Cmd
	ended   chan struct{} // closed when process ended and its log is read
}

// Start runs a server until the test ends, with host keys of the types ed25519,
// ecdsa and rsa. Each config is a line of sshd_config, put before the server's
// own, so that it wins. Without sshd the test is skipped, with CI=true it fails.
func Start(t testing.TB, config ...string) *Server {
	t.Helper()
	s := &Server{
		t: t, dir: t.TempDir(), config: config, KeyTypes: []string{"ed25519", "ecdsa", "rsa"},
		sshd: find(t, "sshd"), marker: fmt.Sprintf("SSHTEST=%d-%d", os.Getpid(), time.Now().UnixNano()),
	}
	u, err := user.Current()
	s.must(err)
	s.User = u.Username
	s.KnownHosts, s.IdentityFile = s.path("known_hosts"), s.path("id_ed25519")
	s.Home = s.path("home")
	s.must(os.Mkdir(s.Home, 0o700))
	s.keygen(s.IdentityFile, "ed25519")
	s.copy(s.IdentityFile+".pub", s.path("authorized_keys"))
	for _, kind := range s.KeyTypes {
		s.keygen(s.hostKey(kind), kind)
	}
	if os.Geteuid() == 0 {
		s.must(os.MkdirAll(privilegeSeparation, 0o755))
	}
	t.Cleanup(s.cleanUp)
	s.startOnFreePort()
	s.WriteKnownHosts(s.KnownHosts, s.KeyTypes...)
	return s
}

// Settings are the settings of an ssh host that reach the server, with more
// keys, or others, from with.
func (s *Server) Settings(with map[string]any) json.RawMessage {
	settings := map[string]any{
		"address": s.User + "@" + s.Addr, "identity_file": s.IdentityFile, "known_hosts": s.KnownHosts, "ssh_config": "none",
	}
	for key, value := range with {
		settings[key] = value
	}
	b, err := json.Marshal(settings)
	s.must(err)
	return b
}

// WriteKnownHosts makes file hold the server's present keys of the given types.
func (s *Server) WriteKnownHosts(file string, types ...string) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	s.must(err)
	var b strings.Builder
	for _, kind := range types {
		public, err := os.ReadFile(s.hostKey(kind) + ".pub")
		s.must(err)
		fmt.Fprintf(&b, "[%s]:%s %s", host, port, public)
	}
	s.must(os.WriteFile(file, []byte(b.String()), 0o600))
}

// Authorize makes the server accept one more key: a line of authorized_keys.
func (s *Server) Authorize(publicKey string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path("authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	s.must(err)
	_, err = f.WriteString(publicKey + "\n")
	s.must(errors.Join(err, f.Close()))
}

// ChangeHostKeys gives the server new keys of all types and restarts it;
// KnownHosts stays as it is.
func (s *Server) ChangeHostKeys() {
	s.t.Helper()
	s.Stop()
	for _, kind := range s.KeyTypes {
		s.must(os.Remove(s.hostKey(kind)))
		s.must(os.Remove(s.hostKey(kind) + ".pub"))
		s.keygen(s.hostKey(kind), kind)
	}
	s.Restart()
}

// Fingerprint is the SHA256 fingerprint of the server's present key of a type.
func (s *Server) Fingerprint(kind string) string {
	s.t.Helper()
	out, err := exec.Command(find(s.t, "ssh-keygen"), "-lf", s.hostKey(kind)+".pub").Output()
	s.must(err)
	return strings.Fields(string(out))[1]
}

// Cut kills the processes that serve open connections; the server goes on.
func (s *Server) Cut() {
	s.t.Helper()
	for _, pid := range descendants(s.process.Process.Pid) {
		if serves(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Pause stops the processes that serve open connections without ending them: the
// peer falls silent. Resume lets them go on; so does the end of the test.
func (s *Server) Pause() {
	s.t.Helper()
	for _, pid := range descendants(s.process.Process.Pid) {
		if serves(pid) {
			s.must(syscall.Kill(pid, syscall.SIGSTOP))
		}
	}
}

// Stop ends the server and its open connections; what sessions started lives on
// until the test ends.
func (s *Server) Stop() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGSTOP) // takes no connection while those there are ended
	s.Cut()
	_ = s.process.Process.Kill()
	<-s.ended
	s.process = nil
}

// Restart starts the server again on its address; it blocks until it listens.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.must(s.start())
}

func (s *Server) startOnFreePort() {
	s.t.Helper()
	var err error
	for range 5 {
		s.Addr = freeAddress(s.t)
		if err = s.start(); err == nil {
			return
		}
	}
	s.must(err)
}

// start blocks until sshd says that it listens.
func (s *Server) start() error {
	s.writeConfig()
	cmd := exec.Command(s.sshd, "-D", "-e", "-f", s.path("sshd_config"))
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	listening, ended := make(chan struct{}), make(chan struct{})
	lines := &strings.Builder{}
	go func() {
		defer close(ended)
		for scan := bufio.NewScanner(log); scan.Scan(); {
			if lines.Len() < 4096 {
				lines.WriteString(scan.Text() + "\n")
			}
			if strings.HasPrefix(scan.Text(), "Server listening") {
				close(listening)
			}
		}
		_ = cmd.Wait()
	}()
	s.process, s.ended = cmd, ended
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	select {
	case <-listening:
		return nil
	case <-ended:
		s.process = nil
		return errors.New("sshd ended: " + lines.String())
	case <-ctx.Done():
		s.Stop()
		return errors.New("sshd did not listen: " + lines.String())
	}
}

func (s *Server) writeConfig() {
	host, port, err := net.SplitHostPort(s.Addr)
	s.must(err)
	lines := append([]string{}, s.config...)
	lines = append(lines,
		"ListenAddress "+host, "Port "+port, "PidFile none", "UsePAM no", "StrictModes no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
		"AuthorizedKeysFile "+s.path("authorized_keys"), "SetEnv "+s.marker+" HOME="+s.Home, "MaxStartups 100", "LogLevel INFO",
	)
	for _, kind := range s.KeyTypes {
		lines = append(lines, "HostKey "+s.hostKey(kind))
	}
	s.must(os.WriteFile(s.path("sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

func (s *Server) cleanUp() {
	s.Stop()
	for left := marked(s.marker); len(left) > 0; left = marked(s.marker) {
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (s *Server) keygen(file, kind string) {
	s.t.Helper()
	args := []string{"-q", "-N", "", "-t", kind, "-f", file}
	if kind == "rsa" {
		args = append(args, "-b", "2048")
	}
	if out, err := exec.Command(find(s.t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
}

func (s *Server) copy(from, to string) {
	s.t.Helper()
	b, err := os.ReadFile(from)
	s.must(err)
	s.must(os.WriteFile(to, b, 0o600))
}

func (s *Server) hostKey(kind string) string { return s.path("host_" + kind) }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// find returns the absolute path of a program, as sshd insists on for itself.
func find(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && filepath.IsAbs(path) {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(Address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
