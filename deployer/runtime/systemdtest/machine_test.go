package systemdtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deployer/runtime/systemdtest"
)

func TestAMachineRunsUnitsOfItsOwnAndNoneOfThisOne(t *testing.T) {
	m := systemdtest.Boot(t)
	unit := "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo $$$$ >" + m.Dir + "/tmp/pid; echo hello'\n[Install]\nWantedBy=multi-user.target\n"
	if err := os.WriteFile(filepath.Join(m.Dir, "etc/system/once.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Run(t, "systemctl", "daemon-reload")
	m.Run(t, "systemctl", "enable", "--now", "once.service")
	if got := m.Run(t, "systemctl", "is-active", "once.service"); got != "active" {
		t.Errorf("the unit is %s", got)
	}
	m.Reboot(t)
	if got := m.Run(t, "systemctl", "is-active", "once.service"); got != "active" {
		t.Errorf("after a reboot the enabled unit is %s", got)
	}
	if got := m.Run(t, "journalctl", "-u", "once.service", "-o", "cat", "--no-pager"); !strings.Contains(got, "hello") {
		t.Errorf("the journal says %q", got)
	}
	if got := m.Run(t, "systemctl", "list-units", "--type=service", "--all", "--no-legend", "--plain"); strings.Count(got, "\n") != 1 {
		t.Errorf("these services are known:\n%s", got)
	}
}

func TestNothingOfThisMachineCanBeChangedInside(t *testing.T) {
	m := systemdtest.Boot(t)
	keep := filepath.Join(t.TempDir(), "keep")
	if err := os.WriteFile(keep, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{keep, "/tmp/x", "/etc/x", "/var/x", "/usr/x", "/root/x", "/proc/sys/kernel/panic"} {
		if got := m.Run(t, "sh", "-c", `(: >"$1" || rm "$1") 2>/dev/null && echo changed || echo kept`, "sh", path); got != "kept" {
			t.Errorf("%s can be changed inside", path)
		}
	}
	m.Run(t, "sh", "-c", ": >/dev/x; : >/run/x")
	for _, path := range []string{"/dev/x", "/run/x"} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is here: %v", path, err)
		}
	}
}

func TestATestRunsInside(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	comm, err := os.ReadFile("/proc/1/comm")
	if err != nil || string(comm) != "systemd\n" {
		t.Errorf("pid 1 is %q, %v", comm, err)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o644); err != nil {
		t.Error(err)
	}
}
