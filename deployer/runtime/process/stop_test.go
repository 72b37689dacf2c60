package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

func TestAPidThatWasGivenToAStrangerIsLeftAlone(t *testing.T) {
	for name, forge := range map[string]string{"another start time": `start=\d+`, "another boot": `boot=\S+`} {
		t.Run(name, func(t *testing.T) {
			s := slot(t)
			stranger := exec.Command("sleep", "600")
			stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
			record(t, s, stranger.Process.Pid)
			if i := observe(t, s); i.PID != stranger.Process.Pid {
				t.Fatalf("the record is not read: %+v", i)
			}
			file := filepath.Join(s.Home, "instance")
			write(t, file, regexp.MustCompile(forge).ReplaceAllStringFunc(read(t, file), func(f string) string { return f[:6] + "1" }))
			if i := observe(t, s); i.Running() || i.Key != "" {
				t.Errorf("a stranger shows as %+v", i)
			}
			stop(t, s)
			if !alive(stranger.Process.Pid) {
				t.Error("the stranger was killed")
			}
			start(t, s, script("sleep 600"))
			if i := observe(t, s); !i.Running() || i.PID == stranger.Process.Pid {
				t.Errorf("after a start the slot shows %+v", i)
			}
		})
	}
}

// record makes pid the slot's instance on record.
func record(t *testing.T, s deploy.Step, pid int) {
	t.Helper()
	stat := strings.Fields(read(t, fmt.Sprintf("/proc/%d/stat", pid)))
	write(t, filepath.Join(s.Home, "instance"), fmt.Sprintf("ipublish-instance 1\npid=%d\nstart=%s\nboot=%skey=%s\nsha256=%s\nport=%d\ndir=%s\n",
		pid, stat[21], read(t, "/proc/sys/kernel/random/boot_id"), s.Release.Key(), s.Release.SHA256, s.Port, s.Dir))
}

func TestAZombieIsNotAlive(t *testing.T) {
	s := slot(t)
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = zombie.Wait() })
	eventually(t, func() error {
		if alive(zombie.Process.Pid) {
			return fmt.Errorf("%d still runs", zombie.Process.Pid)
		}
		return nil
	})
	record(t, s, zombie.Process.Pid)
	if i := observe(t, s); i.Running() {
		t.Errorf("a zombie shows as %+v", i)
	}
	s.Stop = deploy.Duration(time.Minute)
	stop(t, s)
}

func TestChildrenOfAProcessAreItsOwnAndEndWithIt(t *testing.T) {
	for name, before := range map[string]string{
		"in its group": "true; ", "in a group of their own": "set -m; ", "in a session of their own": "setsid ",
	} {
		t.Run(name, func(t *testing.T) {
			s := slot(t)
			start(t, s, app(t, s, before, " & wait"))
			i := shows(t, s, listening)
			if !i.Owned || i.PortPID == i.PID || i.Foreign() || i.Command != "" {
				t.Errorf("a child's port shows as %+v", i)
			}
			stop(t, s)
			if alive(i.PortPID) || alive(i.PID) {
				t.Errorf("%d or %d is left", i.PID, i.PortPID)
			}
		})
	}
}

func TestAChildThatOutlivesItsDeadParentIsStillOurs(t *testing.T) {
	s := slot(t)
	p := app(t, s, "", " & wait")
	start(t, s, p)
	i := shows(t, s, listening)
	if err := syscall.Kill(i.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	left := shows(t, s, func(i deploy.Instance) bool { return !i.Running() })
	if left.PortPID != i.PortPID || left.Foreign() {
		t.Errorf("the orphan shows as %+v", left)
	}
	refused(t, process.Start(t.Context(), host(t), s, p), deploy.CodeConflict, "stopped first")
	stop(t, s)
	if alive(i.PortPID) {
		t.Errorf("%d is left", i.PortPID)
	}
}

const counting = `trap 'echo got TERM' TERM; echo up; while :; do sleep 0.02; done`

func TestAStopThatIsCutAndRepeatedAsksOnceAndThenKills(t *testing.T) {
	s := slot(t)
	start(t, s, script(counting))
	up := shows(t, s, func(i deploy.Instance) bool { return i.Log == "up\n" })
	s.Stop = deploy.Duration(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cut := make(chan error, 1)
	go func() { cut <- process.Stop(ctx, host(t), s) }()
	shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "got TERM") })
	eventually(t, func() error { _, err := os.Stat(filepath.Join(s.Home, "stopping")); return err })
	cancel()
	refused(t, <-cut, deploy.CodeCancelled)
	refused(t, process.Start(t.Context(), host(t), s, script(counting)), deploy.CodeUnavailable, "still being stopped")
	s.Stop = deploy.Duration(200 * time.Millisecond)
	stop(t, s)
	if log := read(t, filepath.Join(s.Home, "log")); strings.Count(log, "got TERM") != 1 || alive(up.PID) {
		t.Errorf("the log says %q", log)
	}
}

func TestARecordThatCannotBeReadStopsEverything(t *testing.T) {
	for _, text := range []string{"ipublish-instance 2\n", "ipublish-instance 1\npid=-1\nstart=2\n", "ipublish-instance 1\npid=12\n", "pid=$(id)\n"} {
		s := slot(t)
		write(t, filepath.Join(s.Home, "instance"), text)
		_, err := process.Observe(t.Context(), host(t), s)
		refused(t, err, deploy.CodeDrift, "/instance", "delete the file")
		refused(t, process.Stop(t.Context(), host(t), s), deploy.CodeDrift)
		refused(t, process.Start(t.Context(), host(t), s, script("sleep 600")), deploy.CodeDrift)
	}
}
