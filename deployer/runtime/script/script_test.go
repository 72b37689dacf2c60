package script_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/runtime/script"
)

func TestScriptKeepsTheContractOfARuntime(t *testing.T) {
	section := `{"start": ["{dir}/start.sh", "{home}/app.pid", "{slot} {short}", "$(id)"], "pid_file": "{home}/app.pid"}`
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, section), Host: host(t), Stage: stage, Ready: "/", Slow: "/slow",
		Stubborn: drivertest.RuntimeStubborn, Boot: 20 * time.Second, Cuts: 15, Extra: told,
	})
}

// stage puts the app with its start program into the release's folder.
func stage(t *testing.T, s deploy.Step) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(s.Dir, "app")); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(background, `app"`, `app" "$@"`, 1)
	if err := os.WriteFile(filepath.Join(s.Dir, "start.sh"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// told checks what the running app was given.
func told(t *testing.T, s deploy.Step) {
	got := drivertest.RuntimeEnviron(t, host(t), s)
	for _, want := range []string{
		"PORT=" + strconv.Itoa(s.Port), "RELEASE=" + s.Release.Commit.SHA, "SLOT=green", "CWD=" + s.Dir,
		"RUNTIME_SECRET=" + s.Env["RUNTIME_SECRET"],
		"ARGV=" + s.Home + "/app.pid|green " + s.Release.Commit.Short() + "|$(id)",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the app was not given %q, but %q", want, got)
		}
	}
	for _, v := range got {
		if name, _, _ := strings.Cut(v, "="); slices.Contains([]string{"LC_ALL", "GOROOT", "GOPATH"}, name) {
			t.Errorf("the app inherited %s", name)
		}
	}
	if info, err := os.Stat(filepath.Join(s.Home, "env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the environment's file is %v, %v", info, err)
	}
}

func TestASectionThatIsWrongNamesItsKey(t *testing.T) {
	const whole = `"start": ["/opt/app/bin/start.sh"], "pid_file": "/opt/app/app.pid"`
	for section, want := range map[string]string{
		`{}`:                               "runtime.script.start: it has to name the program",
		`{"start": []}`:                    "runtime.script.start:",
		`{"start": ["bin/start.sh"]}`:      "runtime.script.start:",
		`{"start": "x"}`:                   "runtime.script.start: it is a string, but has to be a list of texts",
		`{"strat": ["/x"]}`:                "runtime.script.strat: there is no such key; did you mean start?",
		`{"start": ["/opt/app/start.sh"]}`: "runtime.script.pid_file: it has to be the whole path",
		`{"start": ["s"], "pid_file": "app.pid"}`:                                             "runtime.script.pid_file:",
		`{` + whole + `, "stop": ["a/b"]}`:                                                    "runtime.script.stop:",
		`{` + whole + `, "log": "out"}`:                                                       "runtime.script.log:",
		`{` + whole + `, "dir": "/opt/../x"}`:                                                 "runtime.script.dir:",
		`{` + whole + `, "run_as": "0"}`:                                                      "runtime.script.run_as:",
		`{` + whole + `, "install": {}}`:                                                      "runtime.script.install: it has to be a list",
		`{` + whole + `, "install": [{"too": "/x"}]}`:                                         "runtime.script.install.too: there is no such key; did you mean to?",
		`{` + whole + `, "install": [{"to": "/ROOT.war"}]}`:                                   "runtime.script.install.to: it has to be a whole path at least two folders deep",
		`{` + whole + `, "install": [{}]}`:                                                    "runtime.script.install.to:",
		`{` + whole + `, "install": [{"to": "/opt/app/x/"}]}`:                                 "runtime.script.install.to:",
		`{` + whole + `, "install": [{"to": "/opt/app/x", "from": "../x"}]}`:                  "runtime.script.install.from:",
		`{` + whole + `, "install": [{"to": "/opt/app/x", "from": "/x"}]}`:                    "runtime.script.install.from:",
		`{` + whole + `, "install": [{"to": "/opt/app/x", "clear": ["/"]}]}`:                  "runtime.script.install.clear: it has to be a whole path",
		`{` + whole + `, "install": [{"to": "/opt/app/x", "clear": ["/opt"]}]}`:               "runtime.script.install.clear: it has to be a whole path",
		`{` + whole + `, "install": [{"to": "/opt/app/x", "clear": ["/opt/app/../.."]}]}`:     "runtime.script.install.clear: it has to be a whole path",
		`{` + whole + `, "install": [{"to": "/opt/app/webapps/x", "clear": ["/opt/app"]}]}`:   "runtime.script.install.clear: /opt/app holds /opt/app/bin/start.sh",
		`{` + whole + `, "install": [{"to": "/opt/web/x/y", "clear": ["/opt/web/x"]}]}`:       "runtime.script.install.clear: /opt/web/x holds /opt/web/x/y",
		`{` + whole + `, "install": [{"to": "/opt/web/x/y", "clear": ["/opt/web/x/y"]}]}`:     "runtime.script.install.clear: /opt/web/x/y holds",
		`{` + whole + `, "install": [{"to": "/opt/web/{slot}", "clear": ["/opt/web/main"]}]}`: "runtime.script.install.clear: /opt/web/main holds",
	} {
		_, err := script.New(json.RawMessage(section))
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%s: %v, want %q", section, err, want)
		}
	}
	open(t, `{`+whole+`, "stop": ["shutdown"], "log": "/opt/app/logs/out", "dir": "/opt/app", "run_as": "tomcat",
		"install": [{"to": "/opt/app/webapps/ROOT.war", "from": "a/b", "clear": ["/opt/app/webapps/ROOT", "/opt/app/work/{port}"]}]}`)
}

func TestTwoSlotsOfOneHostShareNothing(t *testing.T) {
	s := drivertest.RuntimeStep(t)
	for section, want := range map[string]string{
		`{"start": ["x"], "pid_file": "/opt/app.pid"}`:                                                                      "/opt/app.pid",
		`{"start": ["x"], "pid_file": "/opt/{slot}.pid", "install": [{"to": "/opt/app/x"}]}`:                                "/opt/app/x",
		`{"start": ["x"], "pid_file": "/opt/{port}.pid", "install": [{"to": "/opt/{slot}/x", "clear": ["/opt/app/work"]}]}`: "/opt/app/work",
	} {
		refused(t, open(t, section).Start(t.Context(), host(t), s), deploy.CodeInvalid, "both slots would share "+want)
	}
}
