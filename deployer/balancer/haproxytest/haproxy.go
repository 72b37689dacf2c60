package haproxytest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deployer/balancer/nginxtest"
)

// Options says what the front door looks like. The zero Options are a front
// door without servers.
type Options struct {
	Backend string   // name of the backend; default "app"
	Servers []string // host:port of its servers, which are called s1, s2, …
	Params  string   // of each server line, e.g. "check inter 2s fall 2 rise 2"
	Lines   []string // further lines of the backend, e.g. "option httpchk GET /"
	Sockets int      // stats sockets of level admin; default 1
	More    string   // further sections, whole
}

// Server is a running HAProxy.
type Server struct {
	URL       string   // of the front door, with a slash at its end
	Backend   string   // its only backend, but for Options.More
	Sockets   []string // stats sockets, level admin
	UserLevel string   // a stats socket of level user
	StateFile string   // server-state-file; absent after Start
	Config    string   // haproxy.cfg, for tests that edit it before a Reload
	Dir       string   // holds all of these; its path is short

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
}

const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
)

// Start runs an HAProxy until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Backend: o.Backend, t: t, done: make(chan struct{}), Dir: shortDir(t)}
	if s.Backend == "" {
		s.Backend = "app"
	}
	for i := range max(o.Sockets, 1) {
		s.Sockets = append(s.Sockets, filepath.Join(s.Dir, fmt.Sprintf("admin%d.sock", i+1)))
	}
	s.UserLevel = filepath.Join(s.Dir, "user.sock")
	s.StateFile = filepath.Join(s.Dir, "state")
	s.Config = filepath.Join(s.Dir, "haproxy.cfg")
	front := nginxtest.FreeAddr(t)
	s.URL = "http://" + front + "/"
	s.write(s.Config, s.text(front, o))
	s.run(binary(t))
	return s
}

// Settings is the section balancer.haproxy for this server, without a state
// file; over replaces keys or adds some.
func (s *Server) Settings(over map[string]any) json.RawMessage {
	section := map[string]any{"sockets": s.Sockets, "backend": s.Backend}
	maps.Copy(section, over)
	b, err := json.Marshal(section)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// Command sends one line to the first socket, as a person would, and gives the answer.
func (s *Server) Command(line string) string {
	s.t.Helper()
	answer, err := s.ask(s.Sockets[0], line)
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	return answer
}

// Reload has the master start a new worker on the configuration as it stands,
// and returns when the new one answers on every socket.
func (s *Server) Reload() {
	s.t.Helper()
	old := map[string]string{}
	for _, socket := range s.Sockets {
		old[socket] = s.worker(socket)
	}
	if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		s.t.Fatal(err)
	}
	s.await("a new worker answers", func() bool {
		for socket, pid := range old {
			if s.worker(socket) == pid {
				return false
			}
		}
		return s.answers()
	})
}

// Stop ends HAProxy as an operator does, and kills what will not end.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that ended already is as good
	select {
	case <-s.done:
	case <-time.After(stopLimit):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
}

// Log is what HAProxy said so far.
func (s *Server) Log() string {
	b, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(b)
}

// shortDir is a folder whose sockets fit the 107 bytes that the kernel allows.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "haproxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("haproxy is not installed")
	}
	t.Skip("haproxy is not installed")
	return ""
}

func (s *Server) text(front string, o Options) string {
	var b strings.Builder
	b.WriteString("global\n")
	for _, socket := range s.Sockets {
		fmt.Fprintf(&b, "    stats socket %s mode 600 level admin expose-fd listeners\n", socket)
	}
	fmt.Fprintf(&b, "    stats socket %s mode 600 level user\n    server-state-file %s\n", s.UserLevel, s.StateFile)
	b.WriteString(`defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    load-server-state-from-file global
`)
	fmt.Fprintf(&b, "frontend door\n    bind %s\n    default_backend %s\nbackend %s\n", front, s.Backend, s.Backend)
	for _, line := range o.Lines {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	for i, addr := range o.Servers {
		fmt.Fprintf(&b, "    server s%d %s %s\n", i+1, addr, o.Params)
	}
	return b.String() + o.More
}

func (s *Server) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) run(bin string) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(bin, "-W", "-S", s.master(), "-f", s.Config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is the test's business, by what it sees
	}()
	s.t.Cleanup(s.Stop)
	s.await("the front door and the sockets answer", s.answers)
}

func (s *Server) answers() bool {
	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(s.URL, "http:"), "/"))
	if err != nil {
		return false
	}
	conn.Close()
	if answer, err := s.ask(s.master(), "show proc"); err != nil || answer == "" {
		return false
	}
	for _, socket := range s.Sockets {
		if s.worker(socket) == "" {
			return false
		}
	}
	return true
}

// master is the socket of the master, which answers once it takes signals.
func (s *Server) master() string { return filepath.Join(s.Dir, "master.sock") }

// worker is the pid of the worker that answers on a socket; empty: none does.
func (s *Server) worker(socket string) string {
	answer, err := s.ask(socket, "show info")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(answer, "\nPid: ")
	pid, _, _ := strings.Cut(rest, "\n")
	return pid
}

func (s *Server) ask(socket, line string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, stopLimit)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(stopLimit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil { // else the master waits for more
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func (s *Server) await(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for !ok() {
		select {
		case <-s.done:
			s.t.Fatalf("%s: haproxy ended: %s", what, s.Log())
		case <-limit:
			s.t.Fatalf("%s: not so after %s: %s", what, startLimit, s.Log())
		case <-tick.C:
		}
	}
}
