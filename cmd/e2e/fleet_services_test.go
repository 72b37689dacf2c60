package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Where a machine has its things, below its own folder.
const (
	statusFile = "status/nginx-status.html"
	sshdConfig = "ssh/sshd_config"
	hostKey    = "ssh/host_ed25519"
	nginxFile  = "nginx/nginx.conf"
)

// furnish writes what a machine's services need.
func (m *machine) furnish() {
	m.t.Helper()
	for _, dir := range []string{"ssh", "home", "nginx", "status", "app/bin", "app/logs"} {
		m.must(os.MkdirAll(m.path(dir), 0o755))
	}
	m.writeHostKey()
	write(m.t, m.path(sshdConfig), m.sshdLines())
	write(m.t, m.path(nginxFile), m.nginxConfig())
}

// writeHostKey gives the machine's sshd a new key.
func (m *machine) writeHostKey() {
	m.t.Helper()
	private, public := keyPair(m.t)
	write(m.t, m.path(hostKey), private)
	write(m.t, m.path(hostKey+".pub"), public)
	m.must(os.Chmod(m.path(hostKey), 0o600))
}

func (m *machine) sshd() []string {
	return []string{sbin("sshd"), "-f", m.on(sshdConfig), "-E", m.on("ssh/sshd.log")}
}

func (m *machine) nginx() []string {
	return []string{sbin("nginx"), "-p", m.on("nginx"), "-c", m.on(nginxFile), "-e", m.on("nginx/error.log")}
}

// on is a file of the machine's own folder as the machine sees it.
func (m *machine) on(name string) string { return filepath.Join(m.fleet.Common, name) }

func (m *machine) sshdLines() string {
	return strings.Join([]string{
		"ListenAddress " + m.Addr, "Port 22", "PidFile " + m.on("ssh/sshd.pid"), "HostKey " + m.on(hostKey),
		"UsePAM no", "StrictModes no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password",
		"AuthorizedKeysFile " + m.fleet.identity + ".pub", "SetEnv HOME=" + m.on("home"), "MaxStartups 100", "LogLevel INFO",
		"Subsystem sftp internal-sftp",
	}, "\n") + "\n"
}

// nginxConfig is the source's: the status files, and everything else to the app.
func (m *machine) nginxConfig() string {
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "    %s_temp_path %s;\n", kind, m.on("nginx/temp_"+kind))
	}
	upstream, locations := "", "location / { proxy_pass http://127.0.0.1:9001; }"
	if m.fleet.options.KeepIdle {
		upstream = `proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream app { server 127.0.0.1:9001; keepalive 64; keepalive_requests 1000000; keepalive_timeout 1h; }`
		locations = "location / { proxy_pass http://app; }"
	}
	if own := m.fleet.options.Locations; own != "" {
		locations = own
	}
	return fmt.Sprintf(`user root;
worker_processes 1;
pid %s;
events { worker_connections 1024; }
http {
    access_log off;
%s
    keepalive_requests 1000000;
    keepalive_timeout 1h;
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_read_timeout 30s;
    %s
    server {
        listen 80;
        location ~ ^/(nginx-status) { root %s; }
        %s
    }
}
`, m.on("nginx/nginx.pid"), temp.String(), upstream, m.on("status"), locations)
}

// refuseSSH ends the machine's sshd and its sessions; admitSSH starts it again.
func (m *machine) refuseSSH() {
	m.t.Helper()
	m.signalSSH(syscall.SIGKILL)
	eventually(m.t, bootLimit, m.Name+" refuses ssh", func() bool { return !m.listens(22) })
}

func (m *machine) admitSSH() {
	m.t.Helper()
	argv := m.sshd()
	m.console(argv...)
	m.awaitPort(22)
}

// silenceSSH lets the kernel go on accepting connections that nobody answers.
func (m *machine) silenceSSH() { m.signalSSH(syscall.SIGSTOP) }

// signalSSH sends a signal to the machine's sshd and to every session of it.
func (m *machine) signalSSH(sig syscall.Signal) {
	m.t.Helper()
	for _, p := range m.processes() {
		if len(p.argv) > 0 && (strings.HasPrefix(p.argv[0], "sshd:") || filepath.Base(p.argv[0]) == "sshd") {
			_ = syscall.Kill(p.pid, sig) // one that ended meanwhile is as good
		}
	}
}

// changeHostKey gives the machine another ssh key, as a new installation does.
func (m *machine) changeHostKey() {
	m.t.Helper()
	m.refuseSSH()
	m.writeHostKey()
	m.admitSSH()
}

// smallDisk makes a folder a disk of its own, such as of 1m.
func (m *machine) smallDisk(dir, size string) {
	m.t.Helper()
	m.console("mkdir", "-p", m.on(dir))
	m.console("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", m.on(dir))
}

// protect makes a folder read-only, also for root.
func (m *machine) protect(dir string) {
	m.t.Helper()
	m.console("mount", "--bind", m.on(dir), m.on(dir))
	m.console("mount", "-o", "remount,bind,ro", m.on(dir))
}

// processes are those of the machine, with the pids that the test sees.
func (m *machine) processes() []process {
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.cmd.Process.Pid))
	var out []process
	for _, p := range processes() {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.pid)); err == nil && ns == own {
			out = append(out, p)
		}
	}
	return out
}

// sbin is the path of a server's program: sshd wants it to be absolute.
func sbin(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	return "/usr/sbin/" + program
}
