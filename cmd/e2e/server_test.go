package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/bot/bottest"
)

// startLimit is how long the server may take until it answers.
const startLimit = 20 * time.Second

// server is one run of `ipublish serve`.
type server struct {
	rig  *rig
	cmd  *exec.Cmd
	done chan struct{}
}

// serve starts the server and waits until it takes work.
func (r *rig) serve() *server {
	r.t.Helper()
	s := r.launch()
	s.awaitReady()
	return s
}

// launch starts the server without waiting for it.
func (r *rig) launch() *server {
	r.t.Helper()
	out, err := os.OpenFile(r.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	s := &server{rig: r, cmd: exec.Command(binary, "serve", "--config", r.configFile()), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Env = append(os.Environ(), r.mark())
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is the test's business, by what it sees
	}()
	r.server = s
	return s
}

// awaitReady waits until the server answers that it takes work.
func (s *server) awaitReady() {
	s.rig.t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(s.rig.t, startLimit, "the server takes work", func() bool {
		select {
		case <-s.done:
			s.rig.t.Fatalf("the server ended: %s", tail(s.rig.log()))
		default:
		}
		res, err := client.Get(s.rig.hookless("/readyz"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// stop ends the server as an operator does.
func (s *server) stop() {
	s.rig.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that ended already is as good
	select {
	case <-s.done:
	case <-time.After(startLimit):
		s.rig.t.Errorf("the server does not end at SIGTERM: %s", tail(s.rig.log()))
		s.kill()
	}
}

// kill is kill -9 of the supervisor and of its worker.
func (s *server) kill() {
	worker, ok := s.worker()
	_ = s.cmd.Process.Kill()
	if ok {
		_ = syscall.Kill(worker, syscall.SIGKILL)
	}
	<-s.done
	eventually(s.rig.t, startLimit, "the worker is gone", func() bool { return !ok || !alive(worker) })
}

// killWorker is kill -9 of the worker; the supervisor starts the next one. It
// reports whether there was one.
func (s *server) killWorker() bool {
	pid, ok := s.worker()
	return ok && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// reload is SIGHUP, and waits until the log says how it went.
func (s *server) reload() {
	s.rig.t.Helper()
	before := strings.Count(read(s.rig.t, s.rig.log()), "configuration")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.rig.t.Fatal(err)
	}
	eventually(s.rig.t, startLimit, "the configuration is read again", func() bool {
		return strings.Count(read(s.rig.t, s.rig.log()), "configuration") > before
	})
}

// worker finds the child that the supervisor keeps.
func (s *server) worker() (pid int, ok bool) {
	for _, p := range processes() {
		if p.parent == s.cmd.Process.Pid && p.has("worker") {
			return p.pid, true
		}
	}
	return 0, false
}

// process is one process of the machine.
type process struct {
	pid, parent int
	argv        []string
}

func (p process) has(word string) bool {
	for _, a := range p.argv {
		if a == word {
			return true
		}
	}
	return false
}

// processes lists what lives.
func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		stat, serr := os.ReadFile(dir + "/stat")
		_, after, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after)
		if err != nil || serr != nil || !ok || len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		out = append(out, process{pid, parent, strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")})
	}
	return out
}

// alive reports whether any thread of a process is left: the first one may be
// gone while another still holds its files.
func alive(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		_, after, ok := strings.Cut(string(stat), ") ")
		if err == nil && ok && !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X") {
			return true
		}
	}
	return false
}

// sweep ends what was started on the rig's behalf: apps carry its mark in their
// environment, the proxy its socket among its arguments.
func (r *rig) sweep() {
	ours := func(p process) bool {
		if p.pid == os.Getpid() {
			return false
		}
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		for _, v := range bytes.Split(environ, []byte{0}) {
			if string(v) == r.mark() {
				return true
			}
		}
		return p.has(r.state("proxy.sock"))
	}
	eventually(r.t, startLimit, "every process of the test is gone", func() bool {
		left := false
		for _, p := range processes() {
			if ours(p) {
				left = true
				_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may just have ended
			}
		}
		return !left
	})
}

// eventually waits until ok is true and fails the test after the limit.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("within %s it did not happen that %s", limit, what)
		}
	}
}

// tail is the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-8000):])
}

// cli runs a command of the program against the rig's server.
func (r *rig) cli(args ...string) (stdout, stderr string, exit int) {
	r.t.Helper()
	cmd := exec.Command(binary, append(args, "--config", r.configFile())...)
	var out, bad strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &bad
	cmd.Env = append(os.Environ(), r.mark())
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

// mustCLI is cli for a command that has to succeed.
func (r *rig) mustCLI(args ...string) string {
	r.t.Helper()
	out, bad, exit := r.cli(args...)
	if exit != 0 {
		r.t.Fatalf("ipublish %s: exit %d\n%s%s", strings.Join(args, " "), exit, out, bad)
	}
	return out
}

// hookless is a URL of the server's HTTP listener.
func (r *rig) hookless(path string) string { return "http://" + r.listen + path }

// deliver sends GitHub's delivery of a push and returns the answer's status.
func (r *rig) deliver(p bottest.Push) (int, error) {
	res, err := http.DefaultClient.Do(bottest.GitHubPush(r.hookless("/hooks/github"), hookSecret, p))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, nil
}
