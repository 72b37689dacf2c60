package systemd_test

import (
	"context"
	"encoding/json"
	"fmt"
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
	"ipublish/deployer/runtime/systemd"
	"ipublish/deployer/runtime/systemdtest"
)

func TestMain(m *testing.M) {
	drivertest.RuntimeApp()
	os.Exit(m.Run())
}

// section has units whose names differ by port, so that every slot of a test has one.
const section = `{"unit": "shop-{port}@{slot}.service"}`

func open(t *testing.T, section string) deployer.Runtime {
	t.Helper()
	r, err := systemd.New(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func host(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func template(s deploy.Step) string { return fmt.Sprintf("shop-%d@.service", s.Port) }

func name(s deploy.Step) string { return fmt.Sprintf("shop-%d@%s.service", s.Port, s.Slot) }

// stage puts the app, this test binary, into the release's folder, and the
// template of the slot's unit into dir.
func stage(t *testing.T, dir string, s deploy.Step, more string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(s.Dir, "app")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[Service]\nEnvironmentFile=%s/env\nWorkingDirectory=%s/current\nExecStart=/usr/bin/env ./app --port=${PORT} \"%%i ${DIR}\"\n%s\n[Install]\nWantedBy=multi-user.target\n",
		s.Home, s.Home, more)
	if err := os.WriteFile(filepath.Join(dir, template(s)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func reload(t *testing.T) { systemctl(t, "daemon-reload") }

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// slot is a fresh slot with its unit, which is stopped at the test's end.
func slot(t *testing.T, r deployer.Runtime, more string) deploy.Step {
	t.Helper()
	s := drivertest.RuntimeStep(t)
	stage(t, "/etc/systemd/system", s, more)
	reload(t)
	t.Cleanup(func() {
		s.Stop = 0
		if err := r.Stop(context.Background(), host(t), s); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

func start(t *testing.T, r deployer.Runtime, s deploy.Step) {
	t.Helper()
	if err := r.Start(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, r deployer.Runtime, s deploy.Step) {
	t.Helper()
	if err := r.Stop(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
}

func observe(t *testing.T, r deployer.Runtime, s deploy.Step) deploy.Instance {
	t.Helper()
	seen, err := r.Observe(t.Context(), host(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return seen.Instances[0]
}

func shows(t *testing.T, r deployer.Runtime, s deploy.Step, want func(deploy.Instance) bool) deploy.Instance {
	t.Helper()
	var i deploy.Instance
	eventually(t, func() error {
		if i = observe(t, r, s); !want(i) {
			return fmt.Errorf("the slot shows %+v", i)
		}
		return nil
	})
	return i
}

func owns(i deploy.Instance) bool { return i.Running() && i.Owned }

func eventually(t *testing.T, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func refused(t *testing.T, err error, code deploy.Code, words ...string) {
	t.Helper()
	if deploy.CodeOf(err) != code {
		t.Fatalf("%v: the code is %q, want %q", err, deploy.CodeOf(err), code)
	}
	for _, word := range words {
		if !strings.Contains(deploy.MessageOf(err), word) {
			t.Errorf("%q does not tell %q", deploy.MessageOf(err), word)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAUnitOfTheUsersKeepsTheContractOfARuntime(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, section), Host: host(t), Ready: "/", Slow: "/slow", Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 5,
		Stage: func(t *testing.T, s deploy.Step) { stage(t, "/etc/systemd/system", s, ""); reload(t) },
		Extra: told,
	})
}

func told(t *testing.T, s deploy.Step) {
	got := drivertest.RuntimeEnviron(t, host(t), s)
	for _, want := range []string{
		"PORT=" + strconv.Itoa(s.Port), "RELEASE=" + s.Release.Commit.SHA, "SLOT=green", "DIR=" + s.Dir, "CWD=" + s.Dir,
		"RUNTIME_SECRET=" + s.Env["RUNTIME_SECRET"], "ARGV=--port=" + strconv.Itoa(s.Port) + "|green " + s.Dir,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the app was not given %q, but %q", want, got)
		}
	}
	info, err := os.Stat(filepath.Join(s.Home, "env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the env file: %v, %v, want mode 0600", info, err)
	}
}

func TestWhatSystemdStartsAgainIsAnotherProcessOfTheSameRelease(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "Restart=on-failure\nRestartSec=300ms")
	start(t, r, s)
	first := shows(t, r, s, owns)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := shows(t, r, s, func(i deploy.Instance) bool { return owns(i) && i.PID != first.PID })
	if second.Key != s.Release.Key() || second.Release != s.Release.SHA256 || second.Started == first.Started {
		t.Errorf("what systemd started again shows as %+v", second)
	}
	systemctl(t, "restart", name(s))
	third := shows(t, r, s, func(i deploy.Instance) bool { return owns(i) && i.PID != second.PID })
	if third.Key != s.Release.Key() {
		t.Errorf("what a person started again shows as %+v", third)
	}
	start(t, r, s)
	if i := observe(t, r, s); i.PID != third.PID {
		t.Errorf("a start of what runs made %+v of %+v", i, third)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Rename(filepath.Join(s.Home, "current"), filepath.Join(s.Home, "was")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(s.Home, "current")); err != nil {
		t.Fatal(err)
	}
	if i := observe(t, r, s); i.Key != "" || i.Running() || !i.Foreign() || i.PortPID != third.PID {
		t.Errorf("a folder that leads elsewhere proves %+v", i)
	}
	if err := os.Rename(filepath.Join(s.Home, "was"), filepath.Join(s.Home, "current")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.Dir, ".ipublish-sha256")); err != nil {
		t.Fatal(err)
	}
	if i := observe(t, r, s); i.Release != "" || i.Key != s.Release.Key() {
		t.Errorf("a folder without its mark proves %+v", i)
	}
}

func TestSIGKILLComesAfterTheStopTimeAndNotBefore(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "TimeoutStopSec=infinity")
	drivertest.RuntimeStubborn(t, &s)
	start(t, r, s)
	i := shows(t, r, s, owns)
	s.Stop = deploy.Duration(time.Second)
	began := time.Now()
	stop(t, r, s)
	if took := time.Since(began); took < time.Second || alive(i.PID) {
		t.Errorf("after %s the process lives: %t", took, alive(i.PID))
	}
	if state := systemctl(t, "show", "--value", "-p", "ActiveState", name(s)); state != "inactive" {
		t.Errorf("the unit is %s", state)
	}
}

func TestOfTwoSlotsAUnitThatSomebodyElseStartedIsLeftAlone(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "")
	start(t, r, s)
	own := shows(t, r, s, owns)
	stop(t, r, s)
	if err := os.Remove(filepath.Join(s.Home, "unit")); err != nil {
		t.Fatal(err)
	}
	systemctl(t, "start", name(s))
	theirs := shows(t, r, s, func(i deploy.Instance) bool { return i.PortPID > 0 })
	if theirs.Running() || !theirs.Foreign() || theirs.Key != "" || theirs.PortPID == own.PID || theirs.PortStarted == "" {
		t.Errorf("it shows as %+v", theirs)
	}
	refused(t, r.Start(t.Context(), host(t), s), deploy.CodeForeign, strconv.Itoa(theirs.PortPID))
	stop(t, r, s)
	if !alive(theirs.PortPID) {
		t.Error("it was stopped")
	}
	systemctl(t, "stop", name(s))
}

func TestInARollingEnvironmentTheUnitIsTheApplicationWhoeverStartedIt(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := drivertest.RuntimeStep(t)
	s.Slot = deploy.Main
	env := filepath.Join(s.Home, "env")
	stage(t, "/etc/systemd/system", s, "EnvironmentFile=-"+env)
	reload(t)
	before := s
	start(t, r, before)
	shows(t, r, s, owns)
	if err := os.Remove(filepath.Join(s.Home, "unit")); err != nil {
		t.Fatal(err)
	}
	old := observe(t, r, s)
	if !owns(old) || old.Foreign() || old.Key != "" || old.Release != "" {
		t.Errorf("what ran before shows as %+v", old)
	}
	refused(t, r.Start(t.Context(), host(t), s), deploy.CodeConflict, "ipublish did not start", strconv.Itoa(old.PID))
	stop(t, r, s)
	if alive(old.PID) {
		t.Errorf("%d is left", old.PID)
	}
	start(t, r, s)
	if i := shows(t, r, s, owns); i.Key != s.Release.Key() {
		t.Errorf("the release shows as %+v", i)
	}
	stop(t, r, s)
}

func TestAProgramOfAnotherRuntimeIsStillTheSlotsToStop(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "")
	if err := process.Start(t.Context(), host(t), s, process.Program{Argv: []string{"sleep", "600"}}); err != nil {
		t.Fatal(err)
	}
	i := observe(t, r, s)
	if !i.Running() || i.Key != s.Release.Key() {
		t.Errorf("it shows as %+v", i)
	}
	refused(t, r.Start(t.Context(), host(t), s), deploy.CodeConflict, strconv.Itoa(i.PID))
	stop(t, r, s)
	if alive(i.PID) {
		t.Errorf("%d is left", i.PID)
	}
	start(t, r, s)
	shows(t, r, s, owns)
}

func TestAUnitThatWillNotDoIsNamed(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := drivertest.RuntimeStep(t)
	err := r.Start(t.Context(), host(t), s)
	refused(t, err, deploy.CodeInvalid, name(s), "not-found", "daemon-reload")
	refused(t, open(t, `{"unit": "shop.service"}`).Start(t.Context(), host(t), s), deploy.CodeInvalid, "both slots", "{slot}")
	s = slot(t, r, "Type=oneshot\nExecStart=\nExecStart=/bin/true")
	refused(t, r.Start(t.Context(), host(t), s), deploy.CodeFailed, name(s), "no main process")
	stop(t, r, s)
	s = slot(t, r, "Type=notify\nTimeoutStartSec=500ms")
	err = r.Start(t.Context(), host(t), s)
	refused(t, err, deploy.CodeFailed, name(s), "systemd did not start")
	var failed *deploy.Error
	if failed, _ = err.(*deploy.Error); !strings.Contains(failed.Log, "listening as") {
		t.Errorf("the log is %q", failed.Log)
	}
}

func TestAStartThatWaitsForItsUnitIsCutShortByAStop(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "Type=notify\nTimeoutStartSec=infinity")
	began := make(chan error, 1)
	go func() { began <- r.Start(t.Context(), host(t), s) }()
	i := shows(t, r, s, owns)
	stop(t, r, s)
	refused(t, <-began, deploy.CodeFailed, "systemd did not start")
	if alive(i.PID) {
		t.Errorf("%d is left", i.PID)
	}
}

func TestAnEnvironmentThatSystemdCannotReadIsRefusedWithoutItsValue(t *testing.T) {
	r := open(t, section)
	for variable, value := range map[string]string{"A-B": "s3cret", "NUL": "s3cret\x00", "BELL": "s3cret\a", "BROKEN": "s3cret\xff"} {
		s := drivertest.RuntimeStep(t)
		s.Env[variable] = value
		err := r.Start(t.Context(), host(t), s)
		refused(t, err, deploy.CodeInvalid, variable)
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v tells the value", err)
		}
	}
}

func TestTheEnvironmentArrivesByteForByte(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "")
	want := map[string]string{
		"QUOTES": `it's "so" \ $HOME ${x} $(id) %n ` + "`id`" + ` # !`, "LINES": "a\nb\n\n'c'\n", "EMPTY": "", "UNICODE": "发布 ✓", "TAB": "\tx ", "BACKSLASH": `\`, "CONTINUED": "a\\\nb",
	}
	for k, v := range want {
		s.Env[k] = v
	}
	start(t, r, s)
	shows(t, r, s, owns)
	got := drivertest.RuntimeEnviron(t, host(t), s)
	for k, v := range want {
		if !slices.Contains(got, k+"="+v) {
			t.Errorf("%s=%q did not arrive in %q", k, v, got)
		}
	}
}

func TestASectionThatIsWrongNamesItsKey(t *testing.T) {
	for section, want := range map[string]string{
		``:                              "runtime.systemd.unit: it has to name",
		`{"unit": 7}`:                   "runtime.systemd.unit: it is a number, but has to be text",
		`{"unit": "a", "user": "x"}`:    "runtime.systemd.user: it is a string, but has to be true or false",
		`{"unti": "a"}`:                 "did you mean unit?",
		`{"unit": "shop@.service"}`:     "template without an instance",
		`{"unit": "-H evil"}`:           "runtime.systemd.unit: it has to be the name of a service",
		`{"unit": "--now"}`:             "name of a service",
		`{"unit": "shop*.service"}`:     "name of a service",
		`{"unit": "../shop.service"}`:   "name of a service",
		`{"unit": "/etc/x.service"}`:    "name of a service",
		`{"unit": "a b.service"}`:       "name of a service",
		`{"unit": "a;id.service"}`:      "name of a service",
		`{"unit": "a\nb.service"}`:      "name of a service",
		`{"unit": "{release}"}`:         "name of a service",
		`{"unit": "multi-user.target"}`: "",
	} {
		_, err := systemd.New(json.RawMessage(section))
		if want == "" && err == nil {
			continue
		}
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%s: %v, want %q", section, err, want)
		}
	}
}

func TestCheckNamesWhatTheUnitLacks(t *testing.T) {
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, section)
	s := slot(t, r, "")
	advise := func() string { return strings.Join(r.(deployer.Adviser).Advise(t.Context(), host(t), s), "\n") }
	if got := advise(); got != "" {
		t.Errorf("a unit in order gets %q", got)
	}
	start(t, r, s)
	if got := advise(); got != "" {
		t.Errorf("a unit that runs in order gets %q", got)
	}
	file := filepath.Join("/etc/systemd/system", template(s))
	if err := os.WriteFile(file, []byte("[Service]\nExecStart=/opt/shop/server\nTimeoutStopSec=2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := advise(); !strings.Contains(got, "changed since systemd read it") {
		t.Errorf("a changed unit gets %q", got)
	}
	reload(t)
	for _, want := range []string{"EnvironmentFile=" + s.Home + "/env", "same files whatever is deployed", "killed 2s after", "(5s)", "[Install]"} {
		if got := advise(); !strings.Contains(got, want) {
			t.Errorf("%q does not tell %q", got, want)
		}
	}
	stop(t, r, s)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	reload(t)
	if got := advise(); !strings.Contains(got, "is not on the host") {
		t.Errorf("without a unit the advice is %q", got)
	}
}

func TestAfterARebootTheEnabledSlotAloneIsBack(t *testing.T) {
	m := systemdtest.Boot(t)
	t.Setenv("TMPDIR", filepath.Join(m.Dir, "tmp"))
	t.Run("inside", func(t *testing.T) { rebooting(t, m) })
}

func rebooting(t *testing.T, m *systemdtest.Machine) {
	r := open(t, section)
	root := t.TempDir()
	slots := map[deploy.Slot]deploy.Step{}
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green} {
		s := drivertest.RuntimeStep(t)
		s.Slot, s.Home = slot, filepath.Join(root, string(slot))
		stage(t, filepath.Join(m.Dir, "etc/system"), s, "")
		slots[slot] = s
	}
	m.Run(t, "systemctl", "daemon-reload")
	inside := func() deployer.Host {
		h, err := local.New(m.Settings())
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, live := range []deploy.Slot{deploy.Blue, deploy.Green, deploy.Blue} {
		for _, s := range slots {
			if err := r.Start(t.Context(), inside(), s); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := r.(deployer.Enabler).Enable(t.Context(), inside(), slots[live]); err != nil {
				t.Fatal(err)
			}
		}
		m.Reboot(t)
		for slot, s := range slots {
			eventually(t, func() error {
				seen, err := r.Observe(t.Context(), inside(), s)
				if err != nil {
					return err
				}
				if i := seen.Instances[0]; owns(i) != (slot == live) || slot == live && (i.Key != s.Release.Key() || i.Release != s.Release.SHA256) {
					return fmt.Errorf("with %s enabled, %s shows %+v after the reboot", live, slot, i)
				}
				return nil
			})
		}
	}
}
