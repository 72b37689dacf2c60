package statusfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

// advice is what check would say of a host.
func (r *rig) advice(e deploy.Endpoint) string {
	r.t.Helper()
	h, err := r.open(string(e.Host))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(r.driver.(deployer.Adviser).Advise(r.t.Context(), h, r.step(deploy.OpOut, e)), "\n")
}

// onPath makes `nginx` be the rig's.
func (r *rig) onPath() {
	r.t.Helper()
	argv := r.server.TestArgv()
	script := "#!/bin/sh\nexec"
	for _, word := range argv[:len(argv)-1] {
		script += " '" + word + "'"
	}
	dir := r.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nginx"), []byte(script+" \"$@\"\n"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	r.t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestNothingIsAdvisedWhereAllIsWell(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.onPath()
	e := r.targets[0]
	if got := r.advice(e); got != "" {
		t.Errorf("in: %s", got)
	}
	r.route(deploy.OpOut, e)
	if got := r.advice(e); got != "" {
		t.Errorf("out: %s", got)
	}
	if r.file(e) != "-" {
		t.Error("advising made a file")
	}
}

func TestWhatWouldGoWrongLaterIsAdvisedNow(t *testing.T) {
	for name, c := range map[string]struct {
		location string
		before   func(r *rig, e deploy.Endpoint)
		says     []string
	}{
		"a cache": {caching, func(*rig, deploy.Endpoint) {}, []string{"nginx caches open files", "write `open_file_cache off;` in the location of that page"}},
		"a page without its file": {"try_files $uri /app;", func(r *rig, e deploy.Endpoint) { r.remove(e) },
			[]string{"/nginx-status.html answers 200, though ", " is absent: the balancer would never take this host out"}},
		"a page that leads elsewhere": {"error_page 404 =302 /app;", func(r *rig, e deploy.Endpoint) { r.remove(e) },
			[]string{"answers 302 while ", "which many balancers take for healthy: let that page answer 404 then"}},
		"a file without its page": {"return 403;", func(*rig, deploy.Endpoint) {}, []string{"answers 403, though ", "see that the web server may read it"}},
		"no web server":           {"", func(r *rig, _ deploy.Endpoint) { r.server.Kill() }, []string{"nothing answers at http://127.0.0.11:", "start the web server of that page"}},
		"no folder": {"", func(r *rig, e deploy.Endpoint) { r.removeFolder(e) },
			[]string{"the folder ", " of the status file does not exist: make it"}},
		"a link": {"", func(r *rig, e deploy.Endpoint) { r.remove(e); r.link(e) }, []string{"is a link or a folder, which ipublish does not touch"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, c.location, nil)
			r.onPath()
			c.before(r, r.targets[0])
			got := r.advice(r.targets[0])
			for _, part := range c.says {
				if !strings.Contains(got, part) {
					t.Errorf("%q does not say %q", got, part)
				}
			}
			if strings.Contains(got, "\n") {
				t.Errorf("more than one thing is wrong: %s", got)
			}
		})
	}
}

func (r *rig) remove(e deploy.Endpoint) {
	r.t.Helper()
	if err := os.Remove(r.path(e)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) removeFolder(e deploy.Endpoint) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Dir(r.path(e))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) link(e deploy.Endpoint) {
	r.t.Helper()
	if err := os.Symlink("/etc/hostname", r.path(e)); err != nil {
		r.t.Fatal(err)
	}
}

func TestACacheThatLeavesThePageOutIsFine(t *testing.T) {
	r := newRig(t, 1, "open_file_cache off; } location /other { "+caching, nil)
	r.onPath()
	if got := r.advice(r.targets[0]); got != "" {
		t.Error(got)
	}
}

func TestAFolderThatMayNotBeWrittenIsAdvisedWithTheLineToRun(t *testing.T) {
	r := newRig(t, 1, "", nil)
	r.unprivileged()
	dir := filepath.Dir(r.path(r.targets[0]))
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	got := r.advice(r.targets[0])
	for _, part := range []string{" may not write in " + dir, "run `sudo chown ", "`become: [sudo, -n]`", " ALL=(root) NOPASSWD: ALL`"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q does not say %q", got, part)
		}
	}
}

func TestAHostThatCannotBeAskedIsNotAdvised(t *testing.T) {
	r := newRig(t, 1, "", nil)
	server := sshtest.Start(t)
	server.Stop()
	h, err := ssh.New(server.Settings(nil), ssh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	r.open = func(string) (deployer.Host, error) { return h, nil }
	if got := r.advice(r.targets[0]); got != "" {
		t.Error(got)
	}
}
