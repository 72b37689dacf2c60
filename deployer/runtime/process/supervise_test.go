package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
	"ipublish/deployer/runtime/process"
	"ipublish/deployer/runtime/systemdtest"
	"ipublish/deployer/runtime/unit"
)

const systemUnits = "/etc/systemd/system"

// united is the program under the host's systemd.
func united(p process.Program) process.Program {
	p.Under = process.Systemd
	return p
}

// systemctl asks the machine's systemd for one property of the slot's unit.
func systemctl(t *testing.T, s deploy.Step, property string) string {
	t.Helper()
	out, err := exec.Command("systemctl", "show", "--value", "-p", property, unit.Name(s.Home)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestAUnitsProgramThatCrashesComesBackByItselfAsTheSameRelease(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	start(t, s, united(app(t, s, "exec ", "")))
	first := shows(t, s, listening)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := shows(t, s, func(i deploy.Instance) bool { return i.PID != first.PID && listening(i) })
	if !second.Owned || second.Key != s.Release.Key() || second.Release != s.Release.SHA256 || second.Started == first.Started {
		t.Errorf("what systemd started again shows as %+v", second)
	}
	if got := systemctl(t, s, "MainPID"); got != strconv.Itoa(second.PID) {
		t.Errorf("systemd's main process is %s, observed is %d", got, second.PID)
	}
	stop(t, s)
	if alive(second.PID) || systemctl(t, s, "ActiveState") != "inactive" || exists(filepath.Join(systemUnits, unit.Name(s.Home))) {
		t.Errorf("after the stop %d lives, or the unit is %s or still there", second.PID, systemctl(t, s, "ActiveState"))
	}
}

func TestAUnitThatWaitsForItsRestartIsStoppedAndStartedAtOnce(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	s.Stop = deploy.Duration(time.Minute)
	for _, then := range []string{"stop", "start"} {
		start(t, s, united(script("trap 'exit 1' USR1; echo up; while :; do sleep 0.02; done")))
		up := shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "up\n") })
		if err := syscall.Kill(up.PID, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if sub := systemctl(t, s, "SubState"); sub != "auto-restart" {
				return fmt.Errorf("the unit is %s", sub)
			}
			return nil
		})
		if then == "start" {
			start(t, s, united(script("sleep 600")))
			if i := observe(t, s); !i.Running() || i.PID == up.PID {
				t.Errorf("after a start the slot shows %+v", i)
			}
		}
		stop(t, s)
		if i := observe(t, s); i.Running() || systemctl(t, s, "ActiveState") != "inactive" {
			t.Errorf("after the stop the slot shows %+v and the unit is %s", i, systemctl(t, s, "ActiveState"))
		}
	}
}

func TestAUnitThatIgnoresSIGTERMIsAskedOnceAndKilledAfterTheStopsOwnTime(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	s.Stop = 0
	start(t, s, united(script(counting)))
	up := shows(t, s, func(i deploy.Instance) bool { return i.Log == "up\n" })
	s.Stop = deploy.Duration(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cut := make(chan error, 1)
	go func() { cut <- process.Stop(ctx, host(t), s) }()
	shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "got TERM") })
	if got := systemctl(t, s, "TimeoutStopUSec"); got != "1min 6s" {
		t.Errorf("systemd kills after %s", got)
	}
	refused(t, process.Start(t.Context(), host(t), s, united(script(counting))), deploy.CodeUnavailable, "still being stopped")
	cancel()
	refused(t, <-cut, deploy.CodeCancelled)
	s.Stop = deploy.Duration(200 * time.Millisecond)
	stop(t, s)
	if log := read(t, filepath.Join(s.Home, "log")); strings.Count(log, "got TERM") != 1 || alive(up.PID) {
		t.Errorf("the log says %q", log)
	}
	if state := systemctl(t, s, "ActiveState"); state != "inactive" {
		t.Errorf("the unit is %s", state)
	}
}

func TestASlotMovesFromASessionToAUnitAndBackBetweenTwoStarts(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	file := filepath.Join(systemUnits, unit.Name(s.Home))
	start(t, s, script("sleep 600"))
	old := observe(t, s)
	start(t, s, united(script("sleep 600")))
	if i := observe(t, s); i.PID != old.PID || exists(file) {
		t.Fatalf("a start of what runs made %+v of %+v", i, old)
	}
	stop(t, s)
	if alive(old.PID) {
		t.Fatalf("%d is left", old.PID)
	}
	start(t, s, united(script("sleep 600")))
	if i := observe(t, s); systemctl(t, s, "MainPID") != strconv.Itoa(i.PID) || !i.Running() {
		t.Fatalf("systemd's main process is %s, observed is %+v", systemctl(t, s, "MainPID"), i)
	}
	if err := process.Enable(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if !exists(file) {
		t.Error("the unit that starts with the host is gone after a stop")
	}
	start(t, s, script("sleep 600"))
	if i := observe(t, s); !i.Running() || exists(file) || exists(filepath.Join(systemUnits, "multi-user.target.wants", filepath.Base(file))) {
		t.Errorf("in a session again the slot shows %+v, or its unit is left", i)
	}
}

func TestAUnitsStartWhoseShellAloneIsKilledLeavesOneProcess(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	p := united(app(t, s, "exec ", ""))
	for range 4 {
		_ = process.Start(t.Context(), abrupt{host(t), time.Duration(rand.Int64N(int64(150 * time.Millisecond)))}, s, p)
		start(t, s, p)
		i := shows(t, s, listening)
		if !i.Owned {
			t.Fatalf("the slot shows %+v", i)
		}
		if all := carriers(t, "PORT="+strconv.Itoa(s.Port)); !slices.Equal(all, []int{i.PID}) {
			t.Fatalf("processes %v run, want %d alone", all, i.PID)
		}
		_ = process.Stop(t.Context(), abrupt{host(t), time.Duration(rand.Int64N(int64(100 * time.Millisecond)))}, s)
		stop(t, s)
		if all := carriers(t, "PORT="+strconv.Itoa(s.Port)); len(all) > 0 {
			t.Fatalf("processes %v are left", all)
		}
	}
}

func TestAUnitsProgramGetsWhatASessionsProgramGets(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	const asked = `ulimit -Sn; ulimit -Hn; umask; env | grep -v '^IPUBLISH_INSTANCE=' | sort; echo end; sleep 600`
	said := map[process.Supervisor]string{}
	s := slot(t)
	s.Env["QUOTES"], s.Env["LINES"] = `it's "so" \ $HOME %n ${x} `, "a\nb\n\n"
	for _, by := range []process.Supervisor{process.Session, process.Auto} {
		p := script(asked)
		p.Env, p.Under = process.Env(s), by
		start(t, s, p)
		said[by] = shows(t, s, func(i deploy.Instance) bool { return strings.HasSuffix(i.Log, "end\n") }).Log
		if (systemctl(t, s, "MainPID") != "0") != (by == process.Auto) {
			t.Errorf("with supervisor %s the unit's main process is %s", by, systemctl(t, s, "MainPID"))
		}
		stop(t, s)
	}
	if said[process.Session] != said[process.Auto] {
		t.Errorf("in a session it is told\n%s\nin a unit\n%s", said[process.Session], said[process.Auto])
	}
	for _, name := range []string{"run", "env"} {
		if exists(filepath.Join(s.Home, name)) {
			t.Errorf("%s is left after the stop", name)
		}
	}
}

func TestAUnitsProgramThatCannotBeginIsNotTriedForEver(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	err := process.Start(t.Context(), host(t), s, united(process.Program{Argv: []string{"./absent"}}))
	refused(t, err, deploy.CodeFailed, "./absent", "not a program")
	if state := systemctl(t, s, "ActiveState") + "/" + systemctl(t, s, "SubState"); state != "inactive/dead" && state != "failed/failed" {
		t.Errorf("the unit is %s", state)
	}
}

func TestAUnitOfSomebodyElseIsLeftAlone(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	s := slot(t)
	file := filepath.Join(systemUnits, unit.Name(s.Home))
	own := "[Service]\nExecStart=/bin/sleep 600\n"
	write(t, file, own)
	refused(t, process.Start(t.Context(), host(t), s, united(script("sleep 600"))), deploy.CodeDrift, file, "remove it")
	stop(t, s)
	if got := read(t, file); got != own {
		t.Errorf("the unit is %q now", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", file); err != nil {
		t.Fatal(err)
	}
	refused(t, process.Start(t.Context(), host(t), s, united(script("sleep 600"))), deploy.CodeDrift, file)
}

func TestAUserWithoutALingeringSystemdGetsASessionOrIsTold(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	become := systemdtest.Account(t, "deploy")
	h := hostAs(t, become)
	s := owned(t, h)
	p := script("sleep 600")
	p.Under = process.Systemd
	refused(t, process.Start(t.Context(), h, s, p), deploy.CodeInvalid, "loginctl enable-linger deploy", "become: [sudo, -n]")
	if advice := process.Advise(t.Context(), h, s, process.Auto); len(advice) != 1 || !strings.Contains(advice[0], "enable-linger deploy") {
		t.Errorf("the advice is %q", advice)
	}
	if advice := process.Advise(t.Context(), host(t), s, process.Auto); len(advice) != 0 {
		t.Errorf("root is advised %q", advice)
	}
	p.Under = process.Auto
	if err := process.Start(t.Context(), h, s, p); err != nil {
		t.Fatal(err)
	}
	if err := process.Enable(t.Context(), h, s); err != nil {
		t.Error(err)
	}
	if err := process.Stop(t.Context(), h, s); err != nil {
		t.Error(err)
	}
}

func TestAUserWithALingeringSystemdHasUnitsOfItsOwn(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	become := systemdtest.Account(t, "deploy")
	systemdtest.Linger(t, "deploy")
	h := hostAs(t, become)
	s := owned(t, h)
	p := script("sleep 600")
	p.Under = process.Auto
	if err := process.Start(t.Context(), h, s, p); err != nil {
		t.Fatal(err)
	}
	first := observe(t, s)
	cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", first.PID))
	if !strings.Contains(cgroup, "manager-of-deploy.service/") || !strings.Contains(cgroup, unit.Name(s.Home)) {
		t.Errorf("it runs in %s", cgroup)
	}
	if err := process.Enable(t.Context(), h, s); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := shows(t, s, func(i deploy.Instance) bool { return i.Running() && i.PID != first.PID })
	if err := process.Stop(t.Context(), h, s); err != nil {
		t.Error(err)
	}
	if alive(second.PID) {
		t.Errorf("%d is left", second.PID)
	}
}

func hostAs(t *testing.T, become []string) deployer.Host {
	t.Helper()
	text, err := json.Marshal(map[string][]string{"become": become})
	if err != nil {
		t.Fatal(err)
	}
	return host(t, string(text))
}

// owned is a fresh slot whose folder is that of the host's user.
func owned(t *testing.T, h deployer.Host) deploy.Step {
	t.Helper()
	s := drivertest.RuntimeStep(t)
	enterable(t, s.Dir)
	uid, err := h.Run(t.Context(), []string{"id", "-u"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	enterable(t, parent)
	if out, err := exec.Command("chown", strings.TrimSpace(string(uid)), parent).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.Home = filepath.Join(parent, "green home's")
	t.Cleanup(func() {
		s.Stop = 0
		if err := process.Stop(context.Background(), h, s); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

// A host that is rebooted starts exactly the slot that was enabled last, and that
// only if it was not stopped.
func TestAfterARebootTheLiveSlotAloneIsBack(t *testing.T) {
	m := systemdtest.Boot(t)
	t.Setenv("TMPDIR", filepath.Join(m.Dir, "tmp"))
	t.Run("inside", func(t *testing.T) { rebooting(t, m) })
}

func rebooting(t *testing.T, m *systemdtest.Machine) {
	root := t.TempDir()
	step := func(slot deploy.Slot) deploy.Step {
		s := drivertest.RuntimeStep(t)
		s.Slot, s.Home = slot, filepath.Join(root, "shop/production", string(slot))
		return s
	}
	blue, green := step(deploy.Blue), step(deploy.Green)
	inside := func() deployer.Host {
		h, err := local.New(m.Settings())
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	do := func(f func(context.Context, deployer.Host, deploy.Step) error, s deploy.Step) {
		t.Helper()
		if err := f(t.Context(), inside(), s); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(ctx context.Context, h deployer.Host, s deploy.Step) error {
		return process.Start(ctx, h, s, united(app(t, s, "exec ", "")))
	}
	serves := func(want ...deploy.Step) {
		t.Helper()
		m.Reboot(t)
		for _, s := range []deploy.Step{blue, green} {
			wanted := slices.ContainsFunc(want, func(w deploy.Step) bool { return w.Slot == s.Slot })
			eventually(t, func() error {
				seen, err := process.Observe(t.Context(), inside(), s)
				if err != nil {
					return err
				}
				i := seen.Instances[0]
				if i.Running() != wanted || i.Owned != wanted || wanted && (i.Key != s.Release.Key() || i.Release != s.Release.SHA256) {
					return fmt.Errorf("after the reboot %s shows %+v, wanted %t", s.Slot, i, wanted)
				}
				return nil
			})
		}
	}
	do(begin, blue)
	do(process.Enable, blue)
	do(process.Enable, blue)
	do(begin, green)
	serves(blue)
	do(begin, green)
	do(process.Enable, green)
	serves(green)
	do(process.Stop, green)
	serves()
	do(begin, green)
	do(process.Stop, blue)
	serves(green)
	do(process.Stop, green)
}
