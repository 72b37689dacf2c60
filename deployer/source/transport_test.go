package source

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"ipublish/deploy"
	"ipublish/deployer/host/sshtest"
	"ipublish/deployer/source/gittest"
)

// everyWay runs a story over each transport.
func everyWay(t *testing.T, story func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings)) {
	for _, way := range ways() {
		t.Run(way.name, func(t *testing.T) {
			r := gittest.NewRepo(t)
			w, p := way.reach(t, r)
			story(t, r, w, p)
		})
	}
}

func app(version string) gittest.Files {
	return gittest.Files{
		"README":        gittest.Text("the app\n"),
		"bin/run":       gittest.Program("#!/bin/sh\necho " + version + "\n"),
		"src/a/b/c.txt": gittest.Text(version + "\n"),
		"src/link":      gittest.Link("a/b/c.txt"),
	}
}

func TestEveryTransportResolvesBranchesTagsAndHashes(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		first := r.Commit("First\n\nwith a body", app("1"))
		second := r.Commit("Second", app("2"))
		r.Tag("v1.0", first)
		r.Set("refs/tags/light", first)
		r.Set("refs/heads/feature/x", first)
		ctx := within(t)
		for _, c := range []struct{ ref, sha, title, show string }{
			{"main", second, "Second", "main"},
			{"feature/x", first, "First", "feature/x"},
			{"v1.0", first, "First", "v1.0"},
			{"light", first, "First", "light"},
			{"refs/heads/main", second, "Second", "main"},
			{"refs/tags/v1.0", first, "First", "v1.0"},
			{"HEAD", second, "Second", "HEAD"},
			{first[:7], first, "First", ""},
			{second, second, "Second", ""},
			{strings.ToUpper(second[:12]), second, "Second", ""},
		} {
			got, err := w.Resolve(ctx, p, c.ref)
			if err != nil {
				t.Fatalf("resolve %s: %v", c.ref, err)
			}
			if got.SHA != c.sha || got.Title != c.title || got.Author != "Ada Example" {
				t.Errorf("%s resolves to %+v", c.ref, got)
			}
			if c.show != "" && got.Ref != c.show {
				t.Errorf("%s has the ref %q, want %q", c.ref, got.Ref, c.show)
			}
		}
	})
}

func TestEveryTransportFetchesIncrementallyAndBuildsWhatIsThere(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		r.Commit("Before", app("0"))
		ctx := within(t)
		for _, version := range []string{"1", "2", "3"} {
			c := r.Commit("Version "+version, app(version))
			got, err := w.Fetch(ctx, p, c, nil)
			if err != nil || got.SHA != c || got.Title != "Version "+version {
				t.Fatalf("fetch: %+v, %v", got, err)
			}
			p.Build.Artifact = "src/a/b/c.txt"
			rel, err := w.Build(ctx, p, deploy.Release{App: "shop", Commit: got, Recipe: "00ff"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body := read(t, w, rel.SHA256); body != version+"\n" {
				t.Errorf("built %q, want %q", body, version)
			}
		}
	})
}

func TestEveryTransportFollowsAForcePushedBranch(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		base := r.Commit("Base", app("0"))
		older := r.Commit("Older", app("1"))
		newer := r.Commit("Newer", app("2"))
		ctx := within(t)
		if c, err := w.Resolve(ctx, p, "main"); err != nil || c.SHA != newer {
			t.Fatalf("%+v, %v", c, err)
		}
		// Back to a commit below the shallow boundary: the server must not
		// believe that the mirror has it.
		r.Set("refs/heads/main", older)
		if c, err := w.Resolve(ctx, p, "main"); err != nil || c.SHA != older || c.Title != "Older" {
			t.Fatalf("%+v, %v", c, err)
		}
		other := r.Write("Rewritten", app("9"), base)
		r.Set("refs/heads/main", other)
		if c, err := w.Resolve(ctx, p, "main"); err != nil || c.SHA != other {
			t.Fatalf("%+v, %v", c, err)
		}
		buildsTree(t, w, p, older)
		buildsTree(t, w, p, other)
	})
}

func buildsTree(t *testing.T, w *Workshop, p deploy.Settings, sha string) deploy.Release {
	t.Helper()
	rel, err := w.Build(within(t), p, deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha}, Recipe: "01"}, nil)
	if err != nil {
		t.Fatalf("build %s: %v", sha, err)
	}
	return rel
}

func TestEveryTransportSaysThatADeletedBranchIsGone(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		r.Commit("Main", app("1"))
		side := r.CommitTo("feature", "Side", app("2"))
		ctx := within(t)
		if _, err := w.Resolve(ctx, p, "feature"); err != nil {
			t.Fatal(err)
		}
		r.Delete("refs/heads/feature")
		_, err := w.Resolve(ctx, p, "feature")
		wantCode(t, err, deploy.CodeNotFound, `"feature"`)
		if c, err := w.Fetch(ctx, p, side, nil); err != nil || c.SHA != side {
			t.Errorf("what was fetched once is not in the mirror any more: %v", err)
		}
		if c, err := w.Resolve(ctx, p, "main"); err != nil || c.Title != "Main" {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestEveryTransportSaysWhatIsNotThere(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		ctx := within(t)
		_, err := w.Resolve(ctx, p, "main")
		wantCode(t, err, deploy.CodeNotFound, "empty")
		r.Commit("Main", app("1"))
		_, err = w.Resolve(ctx, p, "mian")
		wantCode(t, err, deploy.CodeNotFound, "did you mean main?")
		_, err = w.Resolve(ctx, p, "0123abcd")
		wantCode(t, err, deploy.CodeNotFound, "0123abcd")
		_, err = w.Fetch(ctx, p, strings.Repeat("1f", 20), nil)
		wantCode(t, err, deploy.CodeNotFound, "force-pushed")
		p.Repository += "-else"
		_, err = w.Resolve(ctx, p, "main")
		wantCode(t, err, deploy.CodeNotFound, "no repository at")
	})
}

func TestEveryTransportFetchesACommitThatNoRefPointsAt(t *testing.T) {
	everyWay(t, func(t *testing.T, r *gittest.Repo, w *Workshop, p deploy.Settings) {
		first := r.Commit("First", app("1"))
		r.Commit("Second", app("2"))
		third := r.Commit("Third", app("3"))
		ctx := within(t)
		if _, err := w.Fetch(ctx, p, third, nil); err != nil {
			t.Fatal(err)
		}
		c, err := w.Fetch(ctx, p, first, nil)
		if err != nil || c.Title != "First" {
			t.Fatalf("%+v, %v", c, err)
		}
		buildsTree(t, w, p, first)
	})
}

func TestARealSshdWorksWithAKeyFromAFileAndWithAnAgent(t *testing.T) {
	gitProgram(t)
	r := gittest.NewRepo(t)
	r.Commit("Before", app("1"))
	sha := r.Commit("Main", app("2"))
	s := sshtest.Start(t)
	p := from("ssh://" + s.User + "@" + s.Addr + r.Dir)
	p.Credential = deploy.Credential{SSHKey: "${file:" + s.IdentityFile + "}", KnownHosts: s.KnownHosts}
	w := open(t, Options{Resolve: fileReference})
	if c, err := w.Resolve(within(t), p, "main"); err != nil || c.SHA != sha {
		t.Fatalf("%+v, %v", c, err)
	}
	buildsTree(t, w, p, sha)

	t.Setenv("SSH_AUTH_SOCK", agentWith(t, s.IdentityFile))
	p.Credential.SSHKey = ""
	next := r.Commit("Next", app("3"))
	if c, err := w.Resolve(within(t), p, "main"); err != nil || c.SHA != next {
		t.Errorf("%+v, %v", c, err)
	}
}

// agentWith serves an ssh agent that holds one key, and returns its socket.
func agentWith(t *testing.T, keyFile string) string {
	t.Helper()
	b, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { _ = agent.ServeAgent(ring, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); work.Wait(); _ = os.RemoveAll(dir) })
	return socket
}

func TestTheFirstFetchIsShallowAndDeepensWhenAShortHashNeedsIt(t *testing.T) {
	r := gittest.NewRepo(t)
	var all []string
	for _, v := range []string{"1", "2", "3", "4", "5"} {
		all = append(all, r.Commit("Version "+v, app(v)))
	}
	w, p := ways()[3].reach(t, r)
	ctx := within(t)
	if _, err := w.Resolve(ctx, p, "main"); err != nil {
		t.Fatal(err)
	}
	if has := mirrored(t, w, p, all...); has != 1 {
		t.Fatalf("the first fetch brought %d commits, want 1", has)
	}
	if c, err := w.Resolve(ctx, p, all[1][:9]); err != nil || c.SHA != all[1] {
		t.Fatalf("%+v, %v", c, err)
	}
	if has := mirrored(t, w, p, all...); has != len(all) {
		t.Errorf("after deepening the mirror has %d commits, want %d", has, len(all))
	}
	shallow := filepath.Join(mirrorDir(t, w, p), "shallow")
	if b, err := os.ReadFile(shallow); err != nil || len(b) != 0 {
		t.Errorf("deepening left the boundary behind: %q, %v", b, err)
	}
	all = append(all, r.Commit("Version 6", app("6")))
	if c, err := w.Resolve(ctx, p, "main"); err != nil || c.SHA != all[5] {
		t.Errorf("%+v, %v", c, err)
	}
	if out := git(t, mirrorDir(t, w, p), "fsck", "--full"); strings.Contains(out, "missing") || strings.Contains(out, "broken") {
		t.Errorf("git finds the mirror damaged:\n%s", out)
	}
}

func TestHistoryGrowsAboveTheShallowBoundary(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Old", app("0"))
	w, p := ways()[3].reach(t, r)
	ctx := within(t)
	var all []string
	all = append(all, r.Commit("Boundary", app("1")))
	if _, err := w.Resolve(ctx, p, "main"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"2", "3", "4"} {
		all = append(all, r.Commit("Version "+v, app(v)))
	}
	if _, err := w.Resolve(ctx, p, "main"); err != nil {
		t.Fatal(err)
	}
	if has := mirrored(t, w, p, all...); has != len(all) {
		t.Errorf("the mirror has %d of the %d commits since the boundary", has, len(all))
	}
	git(t, mirrorDir(t, w, p), "fsck", "--full")
}

func mirrorDir(t testing.TB, w *Workshop, p deploy.Settings) string {
	t.Helper()
	a, err := parseAddress(p.Repository)
	if err != nil {
		t.Fatal(err)
	}
	return w.path(mirrorsDir, a.folder())
}

// mirrored counts the commits that the mirror has.
func mirrored(t testing.TB, w *Workshop, p deploy.Settings, commits ...string) int {
	t.Helper()
	m, err := openMirror(mirrorDir(t, w, p))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	n := 0
	for _, c := range commits {
		if m.has(plumbing.NewHash(c)) {
			n++
		}
	}
	return n
}
