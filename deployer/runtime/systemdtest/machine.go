package systemdtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Machine is a booted systemd.
type Machine struct {
	// Dir is the only folder that can be written inside, at the same path; the
	// units of the machine's administrator are in Dir/etc/system.
	Dir string

	power *exec.Cmd // unshare: it ends when pid 1 does
	pid   int       // of pid 1, as this machine counts
}

// patience is how long a boot may take.
const patience = 30 * time.Second

// Boot boots a machine for the test. It returns once systemd has started what it
// is to start.
func Boot(t *testing.T) *Machine {
	t.Helper()
	needed(t)
	m := &Machine{Dir: t.TempDir()}
	for _, dir := range []string{"empty", "dev", "tmp", "units", "etc/system", "etc/user"} {
		if err := os.MkdirAll(filepath.Join(m.Dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range furniture() {
		if err := os.WriteFile(filepath.Join(m.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	enterable(t, m.Dir)
	t.Cleanup(func() { m.off(t) })
	m.on(t)
	return m
}

// Reboot cuts the machine's power and boots it anew. Its files stay, its
// processes do not.
func (m *Machine) Reboot(t *testing.T) {
	t.Helper()
	m.off(t)
	m.on(t)
}

// Argv gives the command that runs argv inside, as root.
func (m *Machine) Argv(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(m.pid), "--all", "--"}, argv...)
}

// Settings are those of a local host whose commands run inside, behind the words
// of become. They hold until the next Reboot.
func (m *Machine) Settings(become ...string) json.RawMessage {
	text, err := json.Marshal(map[string][]string{"become": m.Argv(become...)})
	if err != nil {
		panic(err)
	}
	return text
}

// Run runs a command inside and gives what it said; the test fails if it fails.
func (m *Machine) Run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := m.command(t, argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (m *Machine) command(t *testing.T, argv ...string) *exec.Cmd {
	argv = m.Argv(argv...)
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}

func (m *Machine) on(t *testing.T) {
	t.Helper()
	said, err := os.Create(filepath.Join(m.Dir, "boot.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	m.power = exec.Command("unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc",
		"sh", "-c", enter, "sh", m.Dir, m.cgroup(), dress)
	m.power.Dir, m.power.Stdout, m.power.Stderr = "/", said, said
	m.power.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.power.Start(); err != nil {
		t.Fatal(err)
	}
	if err := m.booted(t); err != nil {
		text, _ := os.ReadFile(said.Name())
		t.Fatalf("systemd does not boot here: %v: %s", err, text)
	}
}

// booted waits until systemd says so.
func (m *Machine) booted(t *testing.T) error {
	state := ""
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); state != "running"; <-tick.C {
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s it is %q", patience, state)
		}
		if ended(m.power.Process.Pid) {
			return errors.New("it ended")
		}
		if m.pid = child(m.power.Process.Pid); m.pid > 0 {
			out, _ := m.command(t, "systemctl", "is-system-running").Output()
			state = strings.TrimSpace(string(out))
		}
	}
	return nil
}

// off ends pid 1, with which every process of the machine ends.
func (m *Machine) off(t *testing.T) {
	t.Helper()
	if m.power == nil || m.power.Process == nil {
		return
	}
	if m.pid > 0 {
		_ = syscall.Kill(m.pid, syscall.SIGKILL)
	} else {
		_ = m.power.Process.Kill()
	}
	_ = m.power.Wait()
	m.power, m.pid = nil, 0
	remove := exec.Command("unshare", "--mount", "sh", "-c", sweep, "sh", m.Dir, m.cgroup())
	if out, err := remove.CombinedOutput(); err != nil {
		t.Errorf("the machine's cgroup is left: %v: %s", err, out)
	}
}

// cgroup is the name of the machine's own.
func (m *Machine) cgroup() string {
	return "ipublish-test-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(filepath.Dir(m.Dir)) + "-" + filepath.Base(m.Dir)
}

func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// child is the only child of a process, 0 if it has none.
func child(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.Atoi(first)
	return n
}

// enterable lets every user of the machine enter the way to a folder.
func enterable(t *testing.T, dir string) {
	t.Helper()
	for ; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// needed skips the test where a systemd cannot be booted, and fails it in CI.
func needed(t *testing.T) {
	t.Helper()
	why := ""
	for _, name := range []string{"systemctl", "journalctl", "/lib/systemd/systemd", "unshare", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			why = name + " is not installed (packages systemd and util-linux)"
		}
	}
	if os.Getuid() != 0 {
		why = "a systemd of one's own takes root"
	}
	if why == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
