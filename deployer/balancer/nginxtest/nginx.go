package nginxtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options says what the front door looks like. The zero Options are a front
// door to the upstream "app" that answers 502 until the first route.
type Options struct {
	Upstream string   // name of the upstream; default "app"
	Initial  []string // host:port that the front door serves until the first route
	HTTP     string   // further lines of the http block
	// Own is a team's own http block: what stands within its braces, in place of
	// the front door and the include folder. {front} is the front door's address,
	// {dir} the folder of everything.
	Own   string
	Files map[string]string // further files of Own by their names below {dir}, with the same two words
}

// Server is a running nginx.
type Server struct {
	URL              string // of the front door, with a slash at its end
	Upstream         string
	Dir              string // prefix; everything of this nginx is below it
	Include          string // the file that the driver owns; absent after Start
	PIDFile          string
	GenerationListen string // free loopback address for the driver's generation answer

	t    testing.TB
	bin  string
	cmd  *exec.Cmd
	done chan struct{}
}

const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
)

// Start runs an nginx until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Upstream == "" {
		o.Upstream = "app"
	}
	dir := t.TempDir()
	front := FreeAddr(t)
	s := &Server{
		URL: "http://" + front + "/", Upstream: o.Upstream, Dir: dir,
		Include: filepath.Join(dir, "ipublish", o.Upstream+".conf"),
		PIDFile: filepath.Join(dir, "nginx.pid"), GenerationListen: FreeAddr(t),
		t: t, bin: binary(t), done: make(chan struct{}),
	}
	if o.Own != "" {
		s.own(front, o)
		s.run()
		return s
	}
	s.Write("nginx.conf", s.head()+s.front(front, o))
	s.Write("ipublish/"+o.Upstream+".conf", initial(o))
	s.run()
	if err := os.Remove(s.Include); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestArgv tests this nginx's configuration.
func (s *Server) TestArgv() []string { return s.argv("-t") }

// ReloadArgv reloads this nginx.
func (s *Server) ReloadArgv() []string { return s.argv("-s", "reload") }

// Settings is the section balancer.nginx for this server; over replaces keys or adds some.
func (s *Server) Settings(over map[string]any) json.RawMessage {
	section := map[string]any{
		"upstream": s.Upstream, "include": s.Include, "pid": s.PIDFile,
		"generation_listen": s.GenerationListen, "test": s.TestArgv(), "reload": s.ReloadArgv(),
	}
	maps.Copy(section, over)
	b, err := json.Marshal(section)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// Write puts a file below Dir. What ends in .conf below ipublish/ is read by
// nginx, within http, at its next reload.
func (s *Server) Write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// ErrorLog is what nginx logged so far.
func (s *Server) ErrorLog() string {
	b, _ := os.ReadFile(filepath.Join(s.Dir, "error.log"))
	return string(b)
}

// Reload reloads as somebody else would, and fails the test if nginx refuses.
func (s *Server) Reload() {
	s.t.Helper()
	argv := s.ReloadArgv()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		s.t.Fatalf("reload: %v: %s", err, out)
	}
}

// Kill ends master and workers at once, as a crash does, and leaves the pid file.
func (s *Server) Kill() {
	pid, err := os.ReadFile(s.PIDFile)
	if err != nil {
		s.t.Fatal(err)
	}
	s.kill()
	if err := os.WriteFile(s.PIDFile, pid, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// FreeAddr finds a loopback address that nobody listens on. Its port lies below
// the kernel's range for outgoing connections, so that it is still free when
// nginx binds it later.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("nginx is not installed")
	}
	t.Skip("nginx is not installed")
	return ""
}

func (s *Server) argv(more ...string) []string {
	return append([]string{s.bin, "-p", s.Dir, "-c", filepath.Join(s.Dir, "nginx.conf"), "-e", filepath.Join(s.Dir, "error.log")}, more...)
}

// head is the beginning of nginx.conf, up to what stands within http.
func (s *Server) head() string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "    %s_temp_path %s/temp_%s;\n", kind, s.Dir, kind)
	}
	return fmt.Sprintf(`%s
daemon off;
worker_processes 2;
pid %s;
error_log %s/error.log info;
events { worker_connections 1024; }
http {
    access_log off;
%s`, user, s.PIDFile, s.Dir, temp.String())
}

// own writes a team's own configuration.
func (s *Server) own(front string, o Options) {
	s.t.Helper()
	words := strings.NewReplacer("{front}", front, "{dir}", s.Dir)
	for name, text := range o.Files {
		s.Write(name, words.Replace(text))
	}
	s.Write("nginx.conf", s.head()+words.Replace(o.Own)+"}\n")
}

// front is the front door to the upstream of Options.
func (s *Server) front(addr string, o Options) string {
	return fmt.Sprintf(`%s
    include %s/ipublish/*.conf;
    server {
        listen %s;
        location / {
            proxy_pass http://%s;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header REMOTE-HOST $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
}
`, o.HTTP, s.Dir, addr, o.Upstream)
}

// initial is the upstream of the first start; without servers nobody answers there.
func initial(o Options) string {
	servers := "server 127.0.0.1:9 down;"
	if len(o.Initial) > 0 {
		servers = "server " + strings.Join(o.Initial, "; server ") + ";"
	}
	return fmt.Sprintf("upstream %s { %s }\n", o.Upstream, servers)
}

func (s *Server) run() {
	s.t.Helper()
	argv := s.argv()
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is the test's business, by what it sees
	}()
	s.t.Cleanup(s.stop)
	s.awaitFront()
}

// stop ends nginx as an operator does, so that the master reaps its workers,
// and kills what will not end.
func (s *Server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // an nginx that ended already is as good
	select {
	case <-s.done:
	case <-time.After(stopLimit):
		s.kill()
	}
}

// kill ends master and workers at once, and joins the goroutine that waits for the master.
func (s *Server) kill() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

func (s *Server) awaitFront() {
	s.t.Helper()
	addr := strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("nginx ended: %s", s.ErrorLog())
		case <-limit:
			s.t.Fatalf("nginx does not listen on %s: %s", addr, s.ErrorLog())
		case <-tick.C:
		}
	}
}
