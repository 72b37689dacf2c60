package script_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/local"
)

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

// open lets every user enter the bench and the slot's folders, and write there.
func (b *bench) open() {
	b.t.Helper()
	if err := os.MkdirAll(b.step.Home, 0o777); err != nil {
		b.t.Fatal(err)
	}
	for _, dir := range []string{b.dir, b.step.Home, b.step.Dir} {
		for ; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o777); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// nobody is this machine, with commands that run as nobody.
func nobody(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New([]byte(`{"become": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnApplicationRunsAsItsUser(t *testing.T) {
	needsRoot(t)
	b := newBench(t, "#!/bin/sh\n/bin/sleep 600 &\necho $! >\"$1\"\n")
	b.open()
	b.program("stop.sh", "#!/bin/sh\nid -u >\"$1.user\"\nkill $(cat \"$1\")\n")
	b.section["run_as"], b.section["stop"] = "nobody", []string{b.path("stop.sh"), b.path("app.pid")}
	b.start()
	i := b.observe()
	info, err := os.Stat("/proc/" + strconv.Itoa(i.PID))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 65534 {
		t.Errorf("the app runs as user %d", uid)
	}
	b.stop()
	if alive(i.PID) || b.read("app.pid.user") != "65534\n" {
		t.Errorf("it still runs, or its stop program ran as %q", b.read("app.pid.user"))
	}
	b.section["run_as"] = "no-such-user"
	refused(t, b.try(), deploy.CodeInvalid, "the host has no user no-such-user")
}

func TestWhatTheDeployUserMayNotSeeOrStopIsTold(t *testing.T) {
	needsRoot(t)
	b := newBench(t, background)
	b.open()
	b.byHand()
	pid, port := strconv.Itoa(b.pid()), strconv.Itoa(b.step.Port)
	stop := func() error { return b.runtime().Stop(t.Context(), nobody(t), b.step) }
	refused(t, stop(), deploy.CodeInvalid, "process "+pid+" is another user's, and the deploy user may not stop it")
	if err := os.Chmod(b.path("app.pid"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, stop(), deploy.CodeForeign, "one of another user, which the deploy user cannot see, owns port "+port)
	if err := os.Remove(b.path("app.pid")); err != nil {
		t.Fatal(err)
	}
	refused(t, stop(), deploy.CodeForeign, "one of another user, which the deploy user cannot see, owns port "+port)
	b.write("app.pid", pid)
	b.stop()
	b.write("app.pid", pid)
	if err := os.Chmod(b.path("app.pid"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, stop(), deploy.CodeInvalid, "pid file "+b.path("app.pid")+" cannot be read")
	refused(t, b.runtime().Start(t.Context(), nobody(t), b.step), deploy.CodeInvalid, "pid file "+b.path("app.pid")+" cannot be read")
}

func TestAPlaceThatTheDeployUserCannotWriteToIsTold(t *testing.T) {
	needsRoot(t)
	b := newBench(t, background)
	b.open()
	b.artifact("new")
	b.write("web/ROOT.war", "old")
	b.install(map[string]any{"to": b.path("web/ROOT.war")})
	refused(t, b.runtime().Start(t.Context(), nobody(t), b.step), deploy.CodeInvalid, "runtime.script.install.to: the deploy user cannot write into "+b.path("web"))
	got := b.runtime().(deployer.Adviser).Advise(t.Context(), nobody(t), b.step)
	if len(got) != 1 || got[0] != "runtime.script.install.to: the deploy user cannot write into "+b.path("web")+": let it, or give the host become: [sudo, -n]" {
		t.Errorf("the advice is %q", got)
	}
	b.want("web/ROOT.war", "old")
}
