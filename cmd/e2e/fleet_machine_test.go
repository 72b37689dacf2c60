package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bootLimit is how long a machine may take until it is up.
const bootLimit = 20 * time.Second

// machine is one host of a fleet: processes, network, mounts and name of its own,
// on the disk and the programs of the test's machine.
type machine struct {
	Name string
	Addr string
	Root string // its own folder as the test sees it; on the machine it is the fleet's Common

	t     *testing.T
	fleet *fleet
	index int // of its address
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *bufio.Reader
	done  chan struct{}
}

// newMachine starts a machine's first process, which waits for its cable.
func newMachine(f *fleet, number int) *machine {
	f.t.Helper()
	name := fmt.Sprintf("web-%d", number)
	m := &machine{
		Name: name, Addr: f.net.addr(10 + number), Root: filepath.Join(f.dir, name),
		t: f.t, fleet: f, index: 10 + number, done: make(chan struct{}),
	}
	m.furnish()
	m.start(boot{
		Name: name, Address: f.net.prefixed(m.index), Root: m.Root, Mount: f.Common,
		Start: [][]string{m.sshd(), m.nginx()},
	})
	return m
}

// start returns as soon as the process exists.
func (m *machine) start(b boot) {
	m.t.Helper()
	text, err := json.Marshal(b)
	m.must(err)
	self, err := os.Executable()
	m.must(err)
	m.cmd = exec.Command(self)
	m.cmd.Env = append(os.Environ(), hostVar+"="+string(text))
	m.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	m.cmd.Stderr, err = os.Create(filepath.Join(m.Root, "boot.log"))
	m.must(err)
	m.stdin, err = m.cmd.StdinPipe()
	m.must(err)
	out, err := m.cmd.StdoutPipe()
	m.must(err)
	m.said = bufio.NewReader(out)
	if err := m.cmd.Start(); err != nil {
		missing(m.t, fmt.Sprintf("machines of a fleet need root and namespaces: %v", err))
	}
	m.t.Cleanup(m.off)
}

// awaitBoot lets the machine boot, now that its cable is in, and waits for it.
func (m *machine) awaitBoot() {
	m.t.Helper()
	_, err := m.stdin.Write([]byte{'\n'})
	m.must(err)
	if line, err := m.said.ReadString('\n'); err != nil || line != "up\n" {
		m.t.Fatalf("%s does not boot: %q, %v: %s", m.Name, line, err, tail(filepath.Join(m.Root, "boot.log")))
	}
	m.awaitPort(22)
	m.awaitPort(80)
}

// off is the machine's power switch: every process there is gone when it returns.
func (m *machine) off() {
	_ = m.stdin.Close()
	_ = m.cmd.Process.Kill() // the kernel ends everything else of the namespace before this one
	_ = m.cmd.Wait()
}

func (m *machine) awaitPort(port int) {
	m.t.Helper()
	eventually(m.t, bootLimit, fmt.Sprintf("%s listens on port %d", m.Name, port), func() bool { return m.listens(port) })
}

// listens reports whether the machine accepts connections from outside.
func (m *machine) listens(port int) bool { return dials(m.Addr + ":" + strconv.Itoa(port)) }

// command is a program on the machine, as somebody at its console starts it.
func (m *machine) command(argv ...string) *exec.Cmd {
	pid := strconv.Itoa(m.cmd.Process.Pid)
	return exec.Command("nsenter", append([]string{"--target", pid, "--net", "--mount", "--pid", "--uts", "--"}, argv...)...)
}

// console runs a program on the machine and wants it to succeed.
func (m *machine) console(argv ...string) string {
	m.t.Helper()
	out, err := m.command(argv...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %s: %v: %s", m.Name, strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// path is a file of the machine's own folder as the test sees it.
func (m *machine) path(name string) string { return filepath.Join(m.Root, name) }

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// size is how many bytes the files of a folder have.
func (m *machine) size(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(m.path(dir), func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // it is being changed
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
