package e2e

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deployer/balancer/nginxtest"
)

// backend is the name of the SLB's backend.
const backend = "shop"

// slb is a real HAProxy in front of a fleet, which knows a machine to be in
// service by its status file, like a cloud's load balancer.
type slb struct {
	URL    string
	Socket string // of the Runtime API, level admin
	State  string // the file from which a reload takes the servers' states

	t     *testing.T
	fleet *fleet
	dir   string
	cmd   *exec.Cmd
}

// newSLB starts HAProxy until the test ends.
func newSLB(f *fleet) *slb {
	f.t.Helper()
	dir := filepath.Join(f.dir, "slb")
	if err := os.Mkdir(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	front := nginxtest.FreeAddr(f.t)
	s := &slb{
		URL: "http://" + front, Socket: filepath.Join(dir, "admin.sock"), State: filepath.Join(dir, "state"),
		t: f.t, fleet: f, dir: dir,
	}
	write(s.t, s.State, "")
	write(s.t, filepath.Join(dir, "haproxy.cfg"), s.config(front))
	s.start()
	return s
}

func (s *slb) start() {
	s.t.Helper()
	program := sbin("haproxy")
	if _, err := os.Stat(program); err != nil {
		missing(s.t, "HAProxy is not installed")
	}
	out, err := os.Create(filepath.Join(s.dir, "haproxy.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(program, "-db", "-f", filepath.Join(s.dir, "haproxy.cfg"))
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	eventually(s.t, bootLimit, "HAProxy answers", func() bool {
		_, err := s.servers()
		return err == nil && dials(strings.TrimPrefix(s.URL, "http://"))
	})
}

func (s *slb) config(front string) string {
	var servers, choices, others strings.Builder
	for _, m := range s.fleet.Hosts {
		fmt.Fprintf(&servers, "    server %s %s:80 check\n", m.Name, m.Addr)
	}
	for _, name := range s.fleet.options.Beside {
		fmt.Fprintf(&choices, "    use_backend %s if { path_beg /%s/ }\n", name, name)
		others.WriteString(s.backend(name, "/nginx-status-"+name+".html", servers.String()))
	}
	return fmt.Sprintf(`global
    maxconn 4000
    nbthread 1
    stats socket %s mode 600 level admin
    server-state-file %s
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout check 5s
    load-server-state-from-file global
frontend front
    bind %s
%s    default_backend %s
%s%s`, s.Socket, s.State, front, choices.String(), backend, s.backend(backend, "/nginx-status.html", servers.String()), others.String())
}

func (s *slb) backend(name, check, servers string) string {
	return fmt.Sprintf(`backend %s
    balance roundrobin
    option httpchk GET %s
    http-check expect status 200
    default-server inter %dms fall 2 rise 2
%s`, name, check, s.fleet.options.Interval.Milliseconds(), servers)
}

// ask sends one command to the Runtime API.
func (s *slb) ask(command string) (string, error) {
	c, err := net.DialTimeout("unix", s.Socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// servers are the states of the machines as HAProxy sees them: UP, DOWN, DRAIN.
func (s *slb) servers() (map[string]string, error) { return s.serversOf(backend) }

// serversOf are those of one backend.
func (s *slb) serversOf(backend string) (map[string]string, error) {
	text, err := s.ask("show stat")
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(text), "# "))).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, errors.Join(err, fmt.Errorf("show stat: %.80q", text))
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	out := map[string]string{}
	for _, row := range rows[1:] {
		if name := row[column("svname")]; row[column("pxname")] == backend && name != "BACKEND" {
			out[name], _, _ = strings.Cut(row[column("status")], " ") // "UP 1/2" is up
		}
	}
	return out, nil
}

// up are the machines that receive new requests, sorted.
func (s *slb) up() []string {
	s.t.Helper()
	all, err := s.servers()
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for name, state := range all {
		if state == "UP" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// awaitUp waits until n machines receive requests.
func (s *slb) awaitUp(n int) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, fmt.Sprintf("%d machines are in service", n), func() bool { return len(s.up()) == n })
}
