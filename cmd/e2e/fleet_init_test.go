package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// hostVar turns the test binary into the first process of a machine of a fleet.
const hostVar = "E2E_HOST"

// boot is what a machine's first process is told.
type boot struct {
	Name    string
	Address string // with the length of the network's prefix
	Root    string // the machine's own folder, as the test sees it
	Mount   string // and as the machine does: the same path on every machine
	Start   [][]string
}

// hostMain makes the namespaces that it was started in a machine, says so, reaps
// what is orphaned there, and takes everything with it when its input ends.
func hostMain() int {
	var b boot
	err := json.Unmarshal([]byte(os.Getenv(hostVar)), &b)
	if err == nil {
		err = b.up()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		return 1
	}
	go reap()
	fmt.Println("up")
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is the machine's end
	return 0
}

func (b boot) up() error {
	if err := errors.Join(os.Unsetenv(hostVar), b.mounts(), syscall.Sethostname([]byte(b.Name))); err != nil {
		return err
	}
	if err := b.plug(); err != nil {
		return err
	}
	for _, argv := range b.Start {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return nil
}

// mounts gives the machine its own processes, its own /run, without any init
// system in it, and its own folder where every machine has one.
func (b boot) mounts() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir(filepath.Join("/run", "sshd"), 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(b.Root, b.Mount, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", b.Mount, err)
	}
	return nil
}

// plug waits for the cable, which the test puts in, and configures it.
func (b boot) plug() error {
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("the cable: %w", err)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader("link set lo up\naddress add " + b.Address + " dev eth0\nlink set eth0 up\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// reap waits for the machine's orphans, as an init does, until the machine ends.
func reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
		<-ended
	}
}
