package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/runtime/process"
)

// other is a user of this machine that is not root, if possible one with more
// than one group.
func other(t *testing.T) string {
	t.Helper()
	needsRoot(t)
	for line := range strings.Lines(read(t, "/etc/group")) {
		members := line[strings.LastIndexByte(line, ':')+1:]
		if name, _, _ := strings.Cut(strings.TrimSpace(members), ","); name != "" && name != "root" && id(t, "-u", name) != "0" {
			return name
		}
	}
	return "nobody"
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, to start programs as another user")
	}
	t.Skip("this test needs root, to start programs as another user")
}

func id(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("id", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// shared is a fresh slot whose folders others may enter the way to.
func shared(t *testing.T) deploy.Step {
	t.Helper()
	s := slot(t)
	for _, dir := range []string{filepath.Dir(s.Home), s.Dir} {
		enterable(t, dir)
	}
	return s
}

func enterable(t *testing.T, dir string) {
	t.Helper()
	for ; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func as(user, text string) process.Program {
	p := script(text)
	p.User = user
	return p
}

// facts are the lines NAME: VALUE of /proc/PID/status.
func facts(t *testing.T, pid int) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		name, value, _ := strings.Cut(line, ":")
		all[name] = strings.Join(strings.Fields(value), " ")
	}
	return all
}

func TestAProgramRunsAsItsUserWithThatUsersGroupsAndHome(t *testing.T) {
	user := other(t)
	s := shared(t)
	p := as(user, `echo "$HOME|$USER|$LOGNAME|$PWD"; umask 022; sleep 600`)
	p.Env = process.Env(s)
	start(t, s, p)
	i := shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "|") })
	uid, gid := id(t, "-u", user), id(t, "-g", user)
	four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
	got := facts(t, i.PID)
	if got["Uid"] != four(uid) || got["Gid"] != four(gid) || got["CapEff"] != "0000000000000000" || got["CapPrm"] != "0000000000000000" {
		t.Errorf("it runs as %s:%s with %s, want %s:%s with nothing", got["Uid"], got["Gid"], got["CapEff"], uid, gid)
	}
	groups, want := strings.Fields(got["Groups"]), strings.Fields(id(t, "-G", user))
	slices.Sort(groups)
	slices.Sort(want)
	if !slices.Equal(groups, want) {
		t.Errorf("its groups are %v, want %v", groups, want)
	}
	entry, err := exec.Command("getent", "passwd", user).Output()
	if err != nil {
		t.Fatal(err)
	}
	home := strings.Split(string(entry), ":")[5]
	if want := home + "|" + user + "|" + user + "|" + s.Dir + "\n"; i.Log != want {
		t.Errorf("it was told %q, want %q", i.Log, want)
	}
	start(t, s, p)
	if again := observe(t, s); again.PID != i.PID || again.Started != i.Started {
		t.Errorf("a second start made %+v of %+v", again, i)
	}
	s.Stop = deploy.Duration(20 * time.Second)
	stop(t, s)
	if alive(i.PID) {
		t.Errorf("%d is left", i.PID)
	}
}

func TestChildrenOfAProgramOfAnotherUserAreItsOwnAndEndWithIt(t *testing.T) {
	user := other(t)
	for name, before := range map[string]string{"in its group": "true; ", "in a session of their own": "setsid "} {
		t.Run(name, func(t *testing.T) {
			s := shared(t)
			copied(t, s)
			p := as(user, before+"./app & wait")
			p.Env = process.Env(s)
			start(t, s, p)
			i := shows(t, s, listening)
			if !i.Owned || i.PortPID == i.PID || i.Foreign() {
				t.Errorf("a child's port shows as %+v", i)
			}
			stop(t, s)
			if alive(i.PortPID) || alive(i.PID) {
				t.Errorf("%d or %d is left", i.PID, i.PortPID)
			}
		})
	}
}

// copied puts the app, this test binary, where every user may run it.
func copied(t *testing.T, s deploy.Step) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "app"), []byte(read(t, self)), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTheUserReadsTheReleaseAndItsLogAndChangesNothingOfOurs(t *testing.T) {
	user := other(t)
	s := shared(t)
	s.Env["RUNTIME_SECRET"] = "s3cret"
	for path, mode := range map[string]os.FileMode{"bin/tool": 0o700, "conf/private": 0o600, "wide": 0o666} {
		write(t, filepath.Join(s.Dir, path), "#!/bin/sh\necho "+filepath.Base(path)+"\n")
		if err := os.Chmod(filepath.Join(s.Dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(s.Dir, "conf"), 0o2775); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "shared")
	if err := os.Symlink(outside, filepath.Join(s.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	p := as(user, `bin/tool; cat conf/private >/dev/null && echo read; echo reopened >>/dev/stdout
for f in "$1"/* "$2"/* "$2"/*/*; do case $f in */link | */log) continue ;; esac; [ ! -w "$f" ] || echo "may write $f"; done
for f in "$1" "$2" "$2"/conf; do [ ! -w "$f" ] || echo "may write $f"; done
! cat "$1/env" || echo 'may read env'; echo end; sleep 600`)
	p.Argv = append(p.Argv, "sh", s.Home, s.Dir)
	p.Env = process.Env(s)
	start(t, s, p)
	i := shows(t, s, func(i deploy.Instance) bool { return strings.HasSuffix(i.Log, "end\n") })
	if !strings.HasPrefix(i.Log, "tool\nread\nreopened\n") || strings.Contains(i.Log, "may ") || strings.Contains(i.Log, "s3cret") {
		t.Errorf("the program says %q", i.Log)
	}
	if info, err := os.Stat(filepath.Join(s.Home, "env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the env file: %v, %v, want mode 0600", info, err)
	}
	if got := owner(t, outside); got != "0:0" {
		t.Errorf("what a link of the release names is owned by %s", got)
	}
}

func owner(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("stat", "-c", "%u:%g", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The dynamic loader of each program that is run with it complains.
func TestTheEnvironmentIsInForceInTheProgramAloneAndNeverAsRoot(t *testing.T) {
	user := other(t)
	s := shared(t)
	p := process.Program{Argv: []string{"/bin/sleep", "600"}, User: user, Env: map[string]string{"LD_PRELOAD": "/no-such-library", "PATH": "/nowhere", "IFS": "/"}}
	start(t, s, p)
	i := shows(t, s, func(i deploy.Instance) bool { return strings.Contains(i.Log, "no-such-library") })
	if n := strings.Count(i.Log, "no-such-library"); n != 1 || !i.Running() {
		t.Errorf("%d programs were run with the environment: %q", n, i.Log)
	}
}

func TestAUserThatTheHostCannotBecomeIsRefusedAndNothingStarts(t *testing.T) {
	user := other(t)
	s := shared(t)
	try := func(settings, user string) error {
		return process.Start(t.Context(), host(t, settings), s, as(user, "sleep 600"))
	}
	refused(t, try("", "no-such-user"), deploy.CodeInvalid, "run_as", "no-such-user", "create it")
	plain := shared(t)
	plain.Home = t.TempDir()
	enterable(t, plain.Home)
	if err := os.Chmod(plain.Home, 0o777); err != nil {
		t.Fatal(err)
	}
	unprivileged := host(t, `{"become": ["setpriv", "--reuid=`+id(t, "-u", user)+`", "--regid=65534", "--clear-groups"]}`)
	refused(t, process.Start(t.Context(), unprivileged, plain, as("daemon", "sleep 600")), deploy.CodeInvalid, "only root", "daemon", user, "become: [sudo, -n]")
	refused(t, try(without(t, "setpriv", ""), user), deploy.CodeInvalid, "setpriv", "util-linux")
	refused(t, try(without(t, "setpriv", "#!/bin/sh\necho 'setpriv: unrecognized option: reuid' >&2; exit 1\n"), user), deploy.CodeInvalid, "unrecognized option", "util-linux")
	closed := filepath.Dir(s.Dir)
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, try("", user), deploy.CodeInvalid, user, closed, "chmod o+x")
	enterable(t, s.Dir)
	if i := observe(t, s); i.Running() {
		t.Errorf("the slot shows %+v", i)
	}
	locked := filepath.Join(t.TempDir(), "tool")
	write(t, locked, "#!/bin/sh\n")
	if err := os.Chmod(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	err := process.Start(t.Context(), host(t), s, process.Program{Argv: []string{locked}, User: user})
	refused(t, err, deploy.CodeFailed, locked, user, "may run")
}

// without are settings of a host on whose PATH a program is another one, or not there.
func without(t *testing.T, program, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"/usr/sbin", "/usr/bin"} {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != program {
				_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()))
			}
		}
	}
	if text != "" {
		write(t, filepath.Join(dir, program), text)
		if err := os.Chmod(filepath.Join(dir, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return `{"become": ["env", ` + strconv.Quote("PATH="+dir) + `]}`
}

func TestAUserThatIsTheHostsOwnNeedsNothing(t *testing.T) {
	s := slot(t)
	start(t, s, as(id(t, "-un"), `echo "$USER"; sleep 600`))
	if i := shows(t, s, func(i deploy.Instance) bool { return i.Log != "" }); i.Log != id(t, "-un")+"\n" {
		t.Errorf("the program says %q", i.Log)
	}
}

func TestANameThatIsNoUsersIsInvalid(t *testing.T) {
	for _, name := range []string{"-x", "0", "1000", "a b", "$(id)", "a:b", "a/b", "a\nb", "../x"} {
		refused(t, process.CheckUser("command", name), deploy.CodeInvalid, "runtime.command.run_as")
	}
	for _, name := range []string{"", "www-data", "_apt", "deploy.er", "svc@corp", "host$"} {
		if err := process.CheckUser("command", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
