package e2e

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

const envFileSecret = "hunter2-of-the-env-file"

// hookScript is a program of the team's that writes down where it runs, and
// complains if another run of it is under way.
const hookScript = `#!/bin/sh
name=$1
running=$E2E_DIR/$name.running
[ ! -e "$running" ] || ! kill -0 "$(cat "$running")" 2>/dev/null || echo "OVERLAP $name" >>"$E2E_DIR/hooks"
echo $$ >"$running"
echo "$name $SLOT $PORT $(cat VERSION 2>/dev/null || echo nowhere)" >>"$E2E_DIR/hooks"
while [ -e "$E2E_DIR/$name.hold" ]; do sleep 0.05; done
rm -f "$running"
if [ -e "$E2E_DIR/$name.fail" ]; then echo "no such column, the password is $DB_PASSWORD"; exit 4; fi
`

// surroundings is an installation whose app has hooks, an env_file and shared
// files and folders.
func surroundings(t *testing.T) *rig {
	r := newRig(t, func(r *rig) {
		envFile, uploads, settings := filepath.Join(r.dir, "shop.env"), filepath.Join(r.dir, "uploads"), filepath.Join(r.dir, "settings.ini")
		write(r.t, envFile, "# of the operators\nexport DB_PASSWORD=\""+envFileSecret+"\"\nMODE=from-the-file\n")
		write(r.t, settings, "colour = blue\n")
		if err := os.Mkdir(uploads, 0o755); err != nil {
			r.t.Fatal(err)
		}
		hook := func(name, on string) object {
			return object{"run": []string{"./hook.sh", name}, "on": on, "timeout": "20s"}
		}
		app := r.app()
		app["env_file"] = envFile
		maps.Copy(app["env"].(object), object{"MODE": "configured", "E2E_DIR": r.dir})
		app["shared"] = []object{{"path": uploads, "to": "{dir}/public/uploads"}, {"path": settings, "to": "{dir}/settings.ini"}}
		app["hooks"] = object{
			"migrate": hook("migrate", "first_host"), "on_live": hook("on_live", "hosts"), "on_idle": hook("on_idle", "hosts"), "idle": hook("idle", "hosts"),
			"smoke_test": object{"run": []string{filepath.Join(r.dir, "beside.sh"), "smoke_test"}, "on": "bot"},
		}
		write(r.t, filepath.Join(r.dir, "beside.sh"), hookScript)
	})
	if err := os.Chmod(filepath.Join(r.dir, "beside.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.serve()
	return r
}

// release pushes a version with the team's hook program in its tree.
func (r *rig) release(version string) deploy.ID {
	r.t.Helper()
	files := behaviour{Version: version}.files()
	files["hook.sh"], files["VERSION"] = gittest.Program(hookScript), gittest.Text(version)
	files["public/uploads/.keep"] = gittest.Text("")
	return r.pushed(r.repo.Commit("Release "+version+"\n", files))
}

// hooks are the lines that the hooks wrote since the last time.
func (r *rig) hooks() []string {
	r.t.Helper()
	path := filepath.Join(r.dir, "hooks")
	text := read(r.t, path)
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(text), "\n")
}

func (r *rig) touch(name string) { write(r.t, filepath.Join(r.dir, name), "") }

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

func TestAnAppFindsItsSurroundingsAndEveryHookRunsInItsPlace(t *testing.T) {
	t.Parallel()
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	blue, green := strconv.Itoa(r.blue), strconv.Itoa(r.green)
	first := []string{"migrate blue " + blue + " v1", "smoke_test blue " + blue + " nowhere", "on_live blue " + blue + " v1"}
	if got := r.hooks(); !slices.Equal(got, first) {
		t.Errorf("the first deploy ran %q, want %q", got, first)
	}
	r.mustBeSurrounded()

	l := startLoad(t, r.frontURL(), everybody(100))
	r.api.ends(r.release("v2"), deploy.Succeeded)
	l.mustBeSilent(t)
	second := []string{
		"migrate green " + green + " v2", "smoke_test green " + green + " nowhere", "on_live green " + green + " v2",
		"on_idle blue " + blue + " v1", "idle blue " + blue + " v1",
	}
	if got := r.hooks(); !slices.Equal(got, second) {
		t.Errorf("the second deploy ran %q, want %q", got, second)
	}
	r.mustBeSurrounded()
}

// mustBeSurrounded wants the live process to have its environment and its links.
func (r *rig) mustBeSurrounded() {
	r.t.Helper()
	live := r.api.live()
	in := live.Slots[live.Slot].Instances[0]
	dir := filepath.Join(r.dir, "releases", "shop", "production", "releases", in.Key)
	environ := "\x00" + read(r.t, filepath.Join("/proc", strconv.Itoa(in.PID), "environ"))
	for _, want := range []string{"\x00DB_PASSWORD=" + envFileSecret + "\x00", "\x00MODE=configured\x00", "\x00SLOT=" + string(live.Slot) + "\x00"} {
		if !strings.Contains(environ, want) {
			r.t.Errorf("the app's environment lacks %q", want)
		}
	}
	for link, target := range map[string]string{"public/uploads": "uploads", "settings.ini": "settings.ini"} {
		if got, err := os.Readlink(filepath.Join(dir, link)); err != nil || got != filepath.Join(r.dir, target) {
			r.t.Errorf("%s leads to %q, %v", link, got, err)
		}
	}
}

func TestAMigrationThatFailsSwitchesNothingAndTellsWhatRan(t *testing.T) {
	t.Parallel()
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	r.touch("migrate.fail")
	id := r.release("v2")
	st := r.api.ends(id, deploy.Failed)
	mustServe(t, r.frontURL(), "v1")
	r.told(id, "failed", "the hook migrate (./hook.sh) ended with exit status 4", "no such column, the password is ***", "traffic never moved", "what it did is not undone", "serving now")
	if st.Err == nil || strings.Contains(st.Err.Log, envFileSecret) {
		t.Errorf("the journal has %+v", st.Err)
	}
	r.remove("migrate.fail")
	r.mustCLI("deploy", "shop", "main") // the very same release may be tried again: it was not to blame
	mustServe(t, r.frontURL(), "v2")
}

func TestAMigrationThatIsKilledHalfWayWithTheBotRunsAgainAndNeverTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	r.hooks()
	r.touch("migrate.hold")
	id := r.release("v2")
	began := func(times int) func() bool {
		return func() bool {
			text, _ := os.ReadFile(filepath.Join(r.dir, "hooks")) // not there yet
			return strings.Count(string(text), "migrate green") == times
		}
	}
	eventually(t, 30*time.Second, "the migration runs", began(1))
	r.server.kill()
	r.serve()
	eventually(t, 30*time.Second, "the step is started again", func() bool {
		st, ok := r.api.state(id)
		return ok && st.Open && st.Outcomes.At(st.Next).Attempts == 2
	})
	r.remove("migrate.hold")
	r.api.ends(id, deploy.Succeeded)
	if got := r.hooks(); strings.Contains(strings.Join(got, "\n"), "OVERLAP") || !slices.Equal(got[:2], []string{got[0], got[0]}) {
		t.Errorf("the hooks ran %q", got)
	}
	mustServe(t, r.frontURL(), "v2")
}

func TestASharedFolderThatIsNotThereStopsTheDeployBeforeAnythingIsSwitched(t *testing.T) {
	t.Parallel()
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	r.remove("settings.ini")
	id := r.release("v2")
	r.api.ends(id, deploy.Failed)
	r.told(id, "settings.ini is not on the host: make it", "serving now")
	mustServe(t, r.frontURL(), "v1")
	write(t, filepath.Join(r.dir, "settings.ini"), "colour = red\n")
	r.mustCLI("deploy", "shop", "main") // it was not the release's fault
	mustServe(t, r.frontURL(), "v2")
}

func TestWhatAnAppPrintsOfItsEnvFileIsMaskedEverywhere(t *testing.T) {
	t.Parallel()
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	files := behaviour{Version: "v2", Tells: "DB_PASSWORD", Exit: true}.files()
	files["hook.sh"] = gittest.Program(hookScript)
	id := r.pushed(r.repo.Commit("Release v2\n", files))
	st := r.api.ends(id, deploy.Failed)
	if st.Err == nil || !strings.Contains(st.Err.Log, "DB_PASSWORD is ***") {
		t.Errorf("the journal has %+v", st.Err)
	}
	r.told(id, "failed", "DB_PASSWORD is ***")
	r.server.stop()
	database, err := os.ReadFile(r.state("ipublish.db"))
	if err != nil || bytes.Contains(database, []byte(envFileSecret)) {
		t.Errorf("the database holds the secret, %v", err)
	}
}

func TestAHookThatIsNewIsLeftOutForTheReleaseThatHasNoSuchProgram(t *testing.T) {
	r := newRig(t, func(r *rig) {
		hook := object{"run": []string{"./jobs.sh"}}
		r.app()["hooks"] = object{"on_idle": hook, "idle": hook}
	})
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	files := behaviour{Version: "v2"}.files()
	files["jobs.sh"] = gittest.Program("#!/bin/sh\n")
	id := r.pushed(r.repo.Commit("Release v2\n", files))
	r.api.ends(id, deploy.Succeeded)
	mustServe(t, r.frontURL(), "v2")
	r.api.ends(r.push(behaviour{Version: "v3"}), deploy.Succeeded)
}

func TestTwoCallsOfAHookNeverRunAtOnceAndOnlyTheNewestOfThoseThatWaitRuns(t *testing.T) {
	r := surroundings(t)
	r.api.ends(r.release("v1"), deploy.Succeeded)
	r.hooks()
	r.touch("migrate.hold")
	id := r.release("v2")
	for kills := 1; kills <= 3; kills++ {
		eventually(t, 30*time.Second, "the step is started again", func() bool {
			st, ok := r.api.state(id)
			step, has := st.StepAt(st.Next)
			return ok && has && step.Hook == "migrate" && st.Open && st.Outcomes.At(st.Next).Attempts == kills
		})
		if kills < 3 {
			r.server.kill()
			r.serve()
		}
	}
	r.remove("migrate.hold")
	r.api.ends(id, deploy.Succeeded)
	if got := strings.Join(r.hooks(), "\n"); strings.Contains(got, "OVERLAP") {
		t.Errorf("the hooks ran %q", got)
	}
}
