package command_test

import (
	"encoding/json"
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
	"ipublish/deployer/runtime/command"
)

func TestMain(m *testing.M) {
	drivertest.RuntimeApp()
	os.Exit(m.Run())
}

func TestCommandKeepsTheContractOfARuntime(t *testing.T) {
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, `{"run": ["./app", "--port={port}", "{slot} {short}", "$(id)"], "supervisor": "session"}`), Host: host(t),
		Stage: stage, Ready: "/", Slow: "/slow", Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 25,
		Extra: told,
	})
}

func TestCommandKeepsTheContractAsAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, to start programs as another user")
		}
		t.Skip("this test needs root, to start programs as another user")
	}
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, `{"run": ["./app", "--port={port}", "{slot} {short}", "$(id)"], "run_as": "nobody", "supervisor": "session"}`), Host: host(t),
		Stage: copied, Ready: "/", Slow: "/slow", Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 10,
		Extra: func(t *testing.T, s deploy.Step) { told(t, s); isNobody(t, s) },
	})
}

// copied puts the app where every user may run it.
func copied(t *testing.T, s deploy.Step) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(filepath.Dir(s.Home)), filepath.Dir(s.Dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("cp", self, filepath.Join(s.Dir, "app")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func isNobody(t *testing.T, s deploy.Step) {
	seen, err := open(t, `{"run": ["./app"]}`).Observe(t.Context(), host(t), s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat("/proc/" + strconv.Itoa(seen.Instances[0].PID))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 65534 {
		t.Errorf("the app runs as user %d", uid)
	}
}

// stage puts the app, this test binary, into the release's folder.
func stage(t *testing.T, s deploy.Step) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(s.Dir, "app")); err != nil {
		t.Fatal(err)
	}
}

// told checks what the running app was given.
func told(t *testing.T, s deploy.Step) {
	got := drivertest.RuntimeEnviron(t, host(t), s)
	for _, want := range []string{
		"PORT=" + strconv.Itoa(s.Port), "RELEASE=" + s.Release.Commit.SHA, "SLOT=green", "CWD=" + s.Dir,
		"RUNTIME_SECRET=" + s.Env["RUNTIME_SECRET"],
		"ARGV=--port=" + strconv.Itoa(s.Port) + "|green " + s.Release.Commit.Short() + "|$(id)",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the app was not given %q, but %q", want, got)
		}
	}
	for _, v := range got {
		if name, _, _ := strings.Cut(v, "="); slices.Contains([]string{"LC_ALL", "OLDPWD", "GOROOT", "GOPATH"}, name) {
			t.Errorf("the app inherited %s", name)
		}
	}
}

func TestASectionThatIsWrongNamesItsKey(t *testing.T) {
	for section, want := range map[string]string{
		`{"run": ["x"], "run_as": "0"}`: "runtime.command.run_as",
		``:                              "runtime.command.run:",
		`{}`:                            "runtime.command.run:",
		`{"run": []}`:                   "runtime.command.run:",
		`{"run": "./server"}`:           "runtime.command.run: it is a string, but has to be a list of texts",
		`{"run": ["x", "a\u0000"]}`:     "NUL",
		`{"rnu": ["./server"]}`:         "runtime.command.rnu: there is no such key; did you mean run?",
		`["./server"]`:                  "runtime.command: the section",
		`{"run": ["./server"], "a":1}`:  "runtime.command.a:",

		`{"run": ["x"], "supervisor": "s6"}`: "runtime.command.supervisor: it has to be auto, systemd or session",
	} {
		_, err := command.New(json.RawMessage(section))
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%s: %v, want %q", section, err, want)
		}
	}
}

func open(t *testing.T, section string) deployer.Runtime {
	t.Helper()
	r, err := command.New(json.RawMessage(section))
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
