package statusfile_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/local"
	"ipublish/deployer/host/sshtest"
)

// onEveryHost runs a test with local hosts and with a real sshd.
func onEveryHost(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("local", func(t *testing.T) { test(t, newRig(t, 2, "", nil)) })
	t.Run("ssh", func(t *testing.T) {
		r := newRig(t, 2, "", nil)
		r.open = sshHosts(t, sshtest.Start(t))
		r.driver = r.openWith(nil)
		test(t, r)
	})
}

// answers is what a balancer would see of a host.
func (r *rig) answers(e deploy.Endpoint, path string) int {
	r.t.Helper()
	resp, err := http.Get("http://" + hostOf(e) + ":" + r.port + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestAHostLeavesAndComesBackWithItsFileAsItWas(t *testing.T) {
	onEveryHost(t, func(t *testing.T, r *rig) {
		one, other := r.targets[0], r.targets[1]
		before, err := os.Stat(r.path(one))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r.route(deploy.OpOut, one)
			if r.file(one) != "-" || r.answers(one, "/nginx-status.html") != 404 || r.answers(one, "/app") != 200 {
				t.Errorf("out: the file is %q, the page answers %d", r.file(one), r.answers(one, "/nginx-status.html"))
			}
		}
		if r.file(other) != ours || r.answers(other, "/nginx-status.html") != 200 {
			t.Errorf("the other host's file is %q", r.file(other))
		}
		for range 2 {
			r.route(deploy.OpIn, one)
			if r.file(one) != ours || r.kept(one) != "-" || r.answers(one, "/nginx-status.html") != 200 {
				t.Errorf("in: the file is %q, kept is %q", r.file(one), r.kept(one))
			}
		}
		after, err := os.Stat(r.path(one))
		if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || len(r.leftovers(one)) > 0 {
			t.Errorf("%v became %v (%v); beside it stands %v", before.Mode(), after.Mode(), err, r.leftovers(one))
		}
	})
}

func TestAFileThatNeverWasIsWrittenForEveryoneToRead(t *testing.T) {
	onEveryHost(t, func(t *testing.T, r *rig) {
		e := r.targets[0]
		if err := os.Remove(r.path(e)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.path(e)+".ipublish-new", []byte("half"), 0o400); err != nil {
			t.Fatal(err) // what a killed run left
		}
		r.route(deploy.OpOut, e)
		r.route(deploy.OpIn, e)
		info, err := os.Stat(r.path(e))
		if err != nil || info.Mode() != 0o644 || r.file(e) != "ok\n" || len(r.leftovers(e)) > 0 {
			t.Errorf("the file is %q, %v (%v), beside it stands %v", r.file(e), info.Mode(), err, r.leftovers(e))
		}
	})
}

func TestTheConfiguredContentIsWrittenByteForByte(t *testing.T) {
	const text = "it's $HOME\\n `x` 正常\n\n"
	r := newRig(t, 1, "", nil)
	if err := os.Remove(r.path(r.targets[0])); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{text, ""} {
		r.driver = r.openWith(map[string]any{"content": want})
		r.route(deploy.OpIn, r.targets[0])
		if got := r.file(r.targets[0]); got != want {
			t.Errorf("%q became %q", want, got)
		}
		if err := os.Remove(r.path(r.targets[0])); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileThatAPersonDeletedOrMadeMeanwhileIsNoObstacle(t *testing.T) {
	r := newRig(t, 1, "", nil)
	e := r.targets[0]
	r.route(deploy.OpOut, e)
	r.write(e, "by hand\n") // in again behind our back: both exist
	if ev := r.observe(e); len(ev.Traffic.Up) != 1 {
		t.Errorf("made by hand: %+v", ev.Traffic)
	}
	r.route(deploy.OpIn, e)
	if r.file(e) != "by hand\n" || r.kept(e) != "-" {
		t.Errorf("the newer one did not win: the file is %q, kept is %q", r.file(e), r.kept(e))
	}
	r.route(deploy.OpOut, e)
	r.write(e, "by hand again\n")
	r.route(deploy.OpOut, e)
	if r.file(e) != "-" || r.kept(e) != "by hand again\n" {
		t.Errorf("out again: the file is %q, kept is %q", r.file(e), r.kept(e))
	}
	r.route(deploy.OpIn, e)
	if err := os.Remove(r.path(e)); err != nil {
		t.Fatal(err)
	}
	r.route(deploy.OpOut, e)
	r.route(deploy.OpIn, e)
	if r.file(e) != "ok\n" {
		t.Errorf("deleted by hand, the file is %q", r.file(e))
	}
}

func TestALinkOrAFolderIsLeftAlone(t *testing.T) {
	r := newRig(t, 1, "", nil)
	e := r.targets[0]
	victim := filepath.Join(t.TempDir(), "victim")
	for name, make := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(victim, path) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		for _, at := range []string{r.path(e), r.path(e) + ".ipublish"} {
			if err := os.WriteFile(victim, []byte("untouched"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			if err := make(at); err != nil {
				t.Fatal(err)
			}
			for _, op := range []deploy.Op{deploy.OpOut, deploy.OpIn} {
				r.refused(op, e, deploy.CodeRefused, "web-1: "+at+" is a link or a folder", "give the key path the status file itself")
			}
			if got := content(t, victim); got != "untouched" {
				t.Errorf("%s at %s: the file beyond is %q", name, at, got)
			}
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			r.write(e, ours)
		}
	}
}

// unprivileged makes the hosts run everything as a user who owns nothing.
func (r *rig) unprivileged() {
	r.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		r.t.Fatal(err)
	}
	for dir := r.server.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	h, err := local.New([]byte(`{"become": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]}`))
	if err != nil {
		r.t.Fatal(err)
	}
	r.open = func(string) (deployer.Host, error) { return h, nil }
	r.driver = r.openWith(nil)
}

func TestAFolderThatMayNotBeWrittenIsNamedWithHostAndReason(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.unprivileged()
	e := r.targets[0]
	dir := filepath.Dir(r.path(e))
	lock := func(mode os.FileMode) {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { lock(0o755) })
	lock(0o555)
	r.refused(deploy.OpOut, e, deploy.CodeFailed, "web-1: "+r.path(e)+" could not be taken away: mv: ", "Permission denied", "may write in "+dir)
	if r.file(e) != ours {
		t.Errorf("the file is %q", r.file(e))
	}
	lock(0o755)
	if err := os.Remove(r.path(e)); err != nil {
		t.Fatal(err)
	}
	lock(0o555)
	r.refused(deploy.OpIn, e, deploy.CodeFailed, "web-1: "+r.path(e)+" could not be put in place: ", "ermission denied", "may write in "+dir)
	lock(0o700)
	if os.Geteuid() == 0 {
		r.refused(deploy.OpOut, e, deploy.CodeFailed, "could not be taken away: ls: ", "Permission denied")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.refused(deploy.OpOut, e, deploy.CodeFailed, "No such file or directory")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

const caching = "open_file_cache max=100; open_file_cache_valid 60s; open_file_cache_errors on;"

func TestAWebServerThatCachesIsFoundOutAndTheFileIsPutBack(t *testing.T) {
	r := newRig(t, 1, caching, nil)
	e := r.targets[0]
	eventually(t, "both workers have the file in their cache", func() bool {
		for range 50 {
			r.answers(e, "/nginx-status.html")
		}
		return true
	})
	began := time.Now()
	r.refused(deploy.OpOut, e, deploy.CodeFailed, "web-1: http://127.0.0.11:"+r.port+"/nginx-status.html still answers 200 1s after "+r.path(e)+" was taken away",
		"write `open_file_cache off;` in the location of that page", "the file is as it was before")
	if took := time.Since(began); took < time.Second || r.file(e) != ours || r.kept(e) != "-" {
		t.Errorf("after %s the file is %q, kept is %q", took, r.file(e), r.kept(e))
	}
}

func TestACachedAbsenceIsFoundOutAndTheFileIsTakenAwayAgain(t *testing.T) {
	r := newRig(t, 1, caching, nil)
	e := r.targets[0]
	if err := os.Rename(r.path(e), r.path(e)+".ipublish"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		r.answers(e, "/nginx-status.html")
	}
	r.refused(deploy.OpIn, e, deploy.CodeFailed, "still answers 404 1s after", "was put in place", "`open_file_cache off;`", "the file is as it was before")
	if r.file(e) != "-" || r.kept(e) != ours {
		t.Errorf("the file is %q, kept is %q", r.file(e), r.kept(e))
	}
}

func TestARepeatedChangeThatIsNotFollowedIsPutBackToo(t *testing.T) {
	r := newRig(t, 1, caching, nil)
	e := r.targets[0]
	for range 100 {
		r.answers(e, "/nginx-status.html")
	}
	if err := os.Rename(r.path(e), r.path(e)+".ipublish"); err != nil {
		t.Fatal(err) // what a try did whose link broke then
	}
	r.refused(deploy.OpOut, e, deploy.CodeFailed, "still answers 200 1s after", "the file is as it was before")
	if r.file(e) != ours || r.kept(e) != "-" {
		t.Errorf("the file is %q, kept is %q", r.file(e), r.kept(e))
	}
}

func TestAHostWhoseWebServerIsGoneCanLeaveAndCannotComeBack(t *testing.T) {
	t.Parallel()
	onEveryHost(t, func(t *testing.T, r *rig) {
		e := r.targets[0]
		r.server.Kill()
		r.route(deploy.OpOut, e)
		if r.file(e) != "-" {
			t.Errorf("the file is %q", r.file(e))
		}
		r.refused(deploy.OpIn, e, deploy.CodeFailed, "web-1: nothing answers at http://127.0.0.11:", "start the web server of that page", "the file is as it was before")
		if r.file(e) != "-" || r.kept(e) != ours {
			t.Errorf("the file is %q, kept is %q", r.file(e), r.kept(e))
		}
	})
}

func TestAFileThatCannotBePutBackHoldsTheDeploy(t *testing.T) {
	r := newRig(t, 1, caching, nil)
	e := r.targets[0]
	for range 100 {
		r.answers(e, "/nginx-status.html")
	}
	commands := 0
	r.tap(func(_ context.Context, what string) error {
		if what != "run sh" {
			return nil
		}
		if commands++; commands == 1 {
			return nil
		}
		if err := os.Rename(r.path(e)+".ipublish", r.path(e)+".elsewhere"); err != nil {
			return err
		}
		return os.Mkdir(r.path(e), 0o755)
	})
	r.refused(deploy.OpOut, e, deploy.CodeHold, "web-1: the change failed (", "could not be put back as it was (", "look at "+r.path(e))
}

func TestAHostIsWholeInOrOut(t *testing.T) {
	r := newRig(t, 1, "", nil)
	blue, green := r.targets[0], r.targets[0]
	blue.Slot, blue.Up, green.Slot = deploy.Blue, true, deploy.Green
	err := r.driver.Route(t.Context(), deploy.Step{Op: deploy.OpRoute, Targets: []deploy.Endpoint{blue, green}})
	if deploy.CodeOf(err) != deploy.CodeRefused || !strings.Contains(deploy.MessageOf(err), "use strategy.rolling") || r.file(blue) != ours {
		t.Errorf("%v; the file is %q", err, r.file(blue))
	}
}

func TestACancelledRouteChangesNothingAndReturnsPromptly(t *testing.T) {
	onEveryHost(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := r.driver.Route(ctx, r.step(deploy.OpOut, r.targets[0]))
		_, seen := r.driver.Observe(ctx, r.step(deploy.OpOut, r.targets...))
		if took := time.Since(began); deploy.CodeOf(err) != deploy.CodeCancelled || deploy.CodeOf(seen) != deploy.CodeCancelled || took > 2*time.Second {
			t.Errorf("after %s: route %v, observe %v", took, err, seen)
		}
		if r.file(r.targets[0]) != ours {
			t.Errorf("the file is %q", r.file(r.targets[0]))
		}
	})
}

func TestADeadlineThatPassesPutsTheFileBack(t *testing.T) {
	r := newRig(t, 1, caching, map[string]any{"check_timeout": "30s"})
	e := r.targets[0]
	for range 100 {
		r.answers(e, "/nginx-status.html")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := r.driver.Route(ctx, r.step(deploy.OpOut, e))
	if deploy.CodeOf(err) != deploy.CodeTimeout || r.file(e) != ours {
		t.Errorf("%v; the file is %q", err, r.file(e))
	}
}
