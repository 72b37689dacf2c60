package e2e

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ssh runs a command on a machine as a person does, and returns what it says.
func (m *machine) ssh(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", m.fleet.identity, "-o", "UserKnownHostsFile="+m.fleet.known,
		"-o", "BatchMode=yes", "-o", "ConnectTimeout=4", "root@"+m.Addr, command).CombinedOutput()
	return string(out), err
}

func TestAFleetsMachinesAreApartAndWhatGoesWrongWithThemIsReal(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{Hosts: 3})
	one, two, three := f.host(1), f.host(2), f.host(3)

	write(t, one.path("mine"), "of web-1")
	out, err := one.ssh("hostname; cat " + one.on("mine") + "; echo; echo $HOME; test -d /run/systemd/system || echo no init")
	if err != nil {
		t.Errorf("ssh: %v: %s", err, out)
	}
	mustHold(t, "web-1", out, "web-1\nof web-1\n", one.on("home"), "no init")
	if out, _ := two.ssh("cat " + two.on("mine")); strings.Contains(out, "of web-1") {
		t.Errorf("web-2 has the file of web-1: %s", out)
	}

	one.smallDisk("releases", "1m")
	out, _ = one.ssh("head -c 2000000 /dev/zero >" + one.on("releases/big"))
	mustHold(t, "a full disk", out, "No space left on device")
	one.protect("status")
	out, _ = one.ssh("touch " + one.on(statusFile))
	mustHold(t, "a read-only folder", out, "Read-only file system")

	one.refuseSSH()
	out, _ = one.ssh("true")
	mustHold(t, "no sshd", out, "Connection refused")
	one.admitSSH()
	if out, err := one.ssh("true"); err != nil {
		t.Errorf("sshd is back: %v: %s", err, out)
	}
	two.changeHostKey()
	out, _ = two.ssh("true")
	mustHold(t, "another host key", out, "REMOTE HOST IDENTIFICATION HAS CHANGED")

	three.silenceSSH()
	if _, err := three.ssh("true"); err == nil || !three.listens(22) {
		t.Errorf("a silent peer: %v, accepts connections: %v", err, three.listens(22))
	}
	three.signalSSH(syscall.SIGCONT)
	f.net.cut(three.index)
	if _, err := three.ssh("true"); err == nil || three.listens(22) {
		t.Errorf("without its link web-3 answers: %v", err)
	}
	f.net.mend(three.index)
	eventually(t, 10*time.Second, "web-3 is back", func() bool { _, err := three.ssh("true"); return err == nil })
}

func TestAFleetsMachineThatIsSwitchedOffLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{Hosts: 1})
	m := f.host(1)
	m.console("sh", "-c", "setsid nohup sleep 1000 >/dev/null 2>&1 &")
	var orphans []process
	eventually(t, 5*time.Second, "the orphan lives", func() bool {
		orphans = m.processes()
		return len(orphans) > 3 // its first process, sshd, nginx and what was started just now
	})
	m.off()
	for _, p := range orphans {
		if alive(p.pid) {
			t.Errorf("%d %v outlives its machine", p.pid, p.argv)
		}
	}
}
