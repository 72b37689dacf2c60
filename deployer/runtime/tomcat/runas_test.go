package tomcat_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
)

// user is that of the distribution's package.
const user = "tomcat"

func asAnother(t *testing.T) {
	t.Helper()
	installed(t)
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, to start Tomcat as another user")
	}
	t.Skip("this test needs root, to start Tomcat as another user")
}

func TestATreeOfAnotherUsersTomcatIsObservedAndEndsGracefully(t *testing.T) {
	asAnother(t)
	runtime := open(t, section(t, map[string]any{"run_as": user, "jvm_options": append([]string{"-Dgreeting=it's $(id) {slot}"}, small...)}))
	s := drivertest.RuntimeStep(t)
	s.Stop = deploy.Duration(20 * time.Second)
	tree(t, s)
	enterable(t, s)
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
	inside(t, s)
	confined(t, s)
	i := observe(t, runtime, s)
	if !i.Owned || i.PortPID != i.PID || i.Release != s.Release.SHA256 {
		t.Errorf("the slot shows %+v", i)
	}
	start(t, runtime, s)
	if again := observe(t, runtime, s); again.PID != i.PID || again.Started != i.Started {
		t.Errorf("a second start made %+v of %+v", again, i)
	}
	survives(t, runtime, s)
}

// enterable opens the way to the step's folders, as a release_dir has it.
func enterable(t *testing.T, s deploy.Step) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(s.Home), s.Dir} {
		for ; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// confined checks what the user of a running Tomcat may do.
func confined(t *testing.T, s deploy.Step) {
	t.Helper()
	base := filepath.Join(s.Home, "base")
	i := observe(t, open(t, `{}`), s)
	info, err := os.Stat("/proc/" + strconv.Itoa(i.PID))
	if err != nil {
		t.Fatal(err)
	}
	if uid := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)); uid != id(t, "-u") {
		t.Errorf("Tomcat runs as user %s, want %s", uid, id(t, "-u"))
	}
	for _, dir := range []string{"webapps", "work", "temp", "logs", "conf/Catalina"} {
		if !may(t, "-w", filepath.Join(base, dir)) {
			t.Errorf("%s may not write %s", user, dir)
		}
	}
	for _, path := range []string{base, s.Home, s.Dir, filepath.Join(s.Dir, "release.txt"), filepath.Join(s.Home, "instance"), filepath.Join(base, ".ipublish-slot")} {
		if may(t, "-w", path) {
			t.Errorf("%s may write %s", user, path)
		}
	}
	for _, path := range []string{filepath.Join(s.Home, "env"), filepath.Join(s.Home, "conf/server.xml")} {
		if may(t, "-r", path) {
			t.Errorf("%s may read %s", user, path)
		}
	}
	for _, path := range []string{filepath.Join(s.Home, "env"), filepath.Join(base, "conf/server.xml")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s is for others too: %v, %v", path, info.Mode(), err)
		}
	}
}

func id(t *testing.T, what string) string {
	t.Helper()
	out, err := exec.Command("id", what, user).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// may asks the system as the user.
func may(t *testing.T, what, path string) bool {
	t.Helper()
	return exec.Command("setpriv", "--reuid="+id(t, "-u"), "--regid="+id(t, "-g"), "--init-groups", "test", what, path).Run() == nil
}

func TestAnArchiveOfAnotherUsersTomcatStaysTheDeployUsers(t *testing.T) {
	asAnother(t)
	s := release(t, teamPages)
	enterable(t, s)
	home := tarball(t)
	enterable(t, deploy.Step{Home: home, Dir: home})
	base := filepath.Join(t.TempDir(), "shop-{port}")
	before := strings.ReplaceAll(base, "{port}", strconv.Itoa(s.Port))
	for _, name := range []string{"logs/catalina.log", "webapps/old.war"} {
		folder(t, filepath.Dir(filepath.Join(before, name)))
		write(t, filepath.Join(before, name), "of a start without run_as")
	}
	write(t, filepath.Join(before, ".ipublish-slot"), s.Home+"\n")
	enterable(t, deploy.Step{Home: before, Dir: before})
	runtime := open(t, section(t, map[string]any{"home": home, "base": base, "run_as": user, "jvm_options": small}))
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
	if got := get(t, s, "/jndi.jsp"); got != "theirs BasicDataSource" {
		t.Errorf("the team's own resources show as %q", got)
	}
	for path, want := range map[string]bool{
		before: false, before + "/webapps": true, before + "/webapps/ROOT": true, before + "/webapps/ROOT.war": false, before + "/logs/catalina.log": true,
		filepath.Join(s.Dir, s.Release.Name): false,
	} {
		if may(t, "-w", path) != want {
			t.Errorf("%s may write %s: %v, want %v", user, path, !want, want)
		}
	}
	stop(t, runtime, s)
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
}

func TestWhatAnotherUserCannotReachIsToldBeforeTomcatStarts(t *testing.T) {
	asAnother(t)
	s := release(t, teamPages)
	enterable(t, s)
	wide := t.TempDir()
	enterable(t, deploy.Step{Home: wide, Dir: wide})
	if err := os.Chmod(wide, 0o777); err != nil {
		t.Fatal(err)
	}
	try := func(settings map[string]any) error {
		settings["run_as"] = user
		return open(t, section(t, settings)).Start(t.Context(), host(t), s)
	}
	refused(t, try(map[string]any{"base": wide + "/shop-{port}"}), deploy.CodeFailed, wide, "another base")
	home := tarball(t)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, try(map[string]any{"home": home}), deploy.CodeFailed, home+"/conf", "let that user read it")
	enterable(t, deploy.Step{Home: home, Dir: home})
	if err := os.Chmod(home+"/bin", 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, try(map[string]any{"home": home}), deploy.CodeFailed, home+"/bin/catalina.sh", "let others read it")
	refused(t, open(t, `{"run_as": "no-such-user"}`).Start(t.Context(), host(t), s), deploy.CodeInvalid, "no-such-user")
	if i := observe(t, open(t, `{}`), s); i.Running() || i.PortPID != 0 {
		t.Errorf("the slot shows %+v", i)
	}
}

// The application's user may own what the slot is made from.
func TestNoLinkOfTheTeamShowsAnotherUsersTomcatAFileOfRoots(t *testing.T) {
	asAnother(t)
	secret := filepath.Join(t.TempDir(), "shadow")
	write(t, secret, "r00ts")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	s := release(t, teamPages)
	enterable(t, s)
	enterable(t, deploy.Step{Home: filepath.Dir(secret), Dir: filepath.Dir(secret)})
	home, team := tarball(t), filepath.Join(t.TempDir(), "team")
	shell(t, `mkdir -p "$2/lib" "$2/bin" && cp -R "$1/conf" "$2/conf"`, home, team)
	enterable(t, deploy.Step{Home: home, Dir: team + "/conf"})
	shell(t, `chmod o+rx "$1/lib" "$1/bin"`, team)
	runtime := open(t, section(t, map[string]any{"home": home, "conf": team + "/conf", "run_as": user, "jvm_options": small}))
	for _, name := range []string{"conf/x.txt", "lib/x.jar", "bin/setenv.sh"} {
		link := filepath.Join(team, name)
		if err := os.Symlink(secret, link); err != nil {
			t.Fatal(err)
		}
		refused(t, runtime.Start(t.Context(), host(t), s), deploy.CodeFailed, filepath.Dir(link), "let that user read it", "Permission denied")
		if found := shell(t, `grep -rl r00ts "$1" || :`, s.Home); found != "" {
			t.Errorf("with %s a copy is in %s", name, found)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(team, "lib/pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, runtime.Start(t.Context(), host(t), s), deploy.CodeFailed, team+"/lib", "no plain file")
}

func TestFilesThatOnlyTheirOwnerReadsServeAnotherUsersTomcat(t *testing.T) {
	asAnother(t)
	s := release(t, teamPages)
	enterable(t, s)
	home, team := tarball(t), filepath.Join(t.TempDir(), "team")
	shell(t, `mkdir -p "$2/lib" "$2/bin" && cp -R "$1/conf" "$2/conf"`, home, team)
	archived(t, filepath.Join(team, "lib/team.jar"), map[string]string{"team.properties": "jar"})
	write(t, filepath.Join(team, "bin/setenv.sh"), `CATALINA_OPTS="-Dteam=setenv"`)
	enterable(t, deploy.Step{Home: home, Dir: team})
	shell(t, `chown -R "$1" "$2" && chmod -R go= "$2" && chmod u+s "$2/lib/team.jar"`, user, team)
	runtime := open(t, section(t, map[string]any{"home": home, "conf": team + "/conf", "run_as": user, "jvm_options": small}))
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
	if got := get(t, s, "/team.jsp"); got != "theirs BasicDataSource jar" {
		t.Errorf("the team's own files show as %q", got)
	}
	if got := get(t, s, "/jvm.jsp"); !strings.Contains(got, " setenv ") {
		t.Errorf("the JVM's options show as %q", got)
	}
	for _, name := range []string{"lib/team.jar", "bin/setenv.own.sh", "bin/setenv.sh", "lib", "bin"} {
		path := filepath.Join(s.Home, "base", name)
		if info, err := os.Stat(path); err != nil || info.Mode()&(os.ModeSetuid|0o007) != 0 || may(t, "-w", path) {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
