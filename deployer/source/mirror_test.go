package source

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/source/gitserve"
	"ipublish/deployer/source/gittest"
)

func TestRepositoriesOfTheGitProgramAreReadInAnyForm(t *testing.T) {
	work := t.TempDir()
	git(t, work, "init", "-q", "-b", "main")
	write := func(name, body string) {
		if err := os.WriteFile(filepath.Join(work, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, work, "add", ".")
		git(t, work, "commit", "-q", "-m", "Write "+name)
	}
	write("a", strings.Repeat("a long line\n", 1000))
	git(t, work, "tag", "-a", "v1", "-m", "one")
	write("b", strings.Repeat("a long line\n", 1001))
	git(t, work, "gc", "-q") // packs with deltas, packed refs
	write("c", "loose\n")
	borrowed := filepath.Join(t.TempDir(), "borrowed.git")
	git(t, work, "clone", "-q", "--bare", "--shared", work, borrowed)
	tip, tagged := git(t, work, "rev-parse", "main"), git(t, work, "rev-parse", "v1^{commit}")

	for _, repository := range []string{work, filepath.Join(work, ".git"), borrowed, "file://" + work} {
		w := open(t, Options{})
		if c, err := w.Resolve(within(t), from(repository), "main"); err != nil || c.SHA != tip || c.Title != "Write c" {
			t.Errorf("%s: %+v, %v", repository, c, err)
		}
		if c, err := w.Resolve(within(t), from(repository), "v1"); err != nil || c.SHA != tagged {
			t.Errorf("%s: %+v, %v", repository, c, err)
		}
		rel := buildsTree(t, w, from(repository), tip)
		if names := untar(t, w, rel.SHA256); len(names) != 3 || names["c"] != "-rw-r--r-- loose\n" {
			t.Errorf("%s: the tree is %v", repository, names)
		}
	}
}

func TestALocalRepositoryMayVanishOnceItsCommitIsFetched(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", app("1"))
	w := open(t, Options{})
	if _, err := w.Fetch(within(t), from(r.Dir), sha, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(r.Dir); err != nil {
		t.Fatal(err)
	}
	buildsTree(t, w, from(r.Dir), sha)
	_, err := w.Resolve(within(t), from(r.Dir), "main")
	wantCode(t, err, deploy.CodeNotFound)
}

func TestWhatACrashLeavesInAMirrorDoesNotBreakTheNextFetch(t *testing.T) {
	r := gittest.NewRepo(t)
	first := r.Commit("First", app("1"))
	w, p := ways()[3].reach(t, r)
	if _, err := w.Fetch(within(t), p, first, nil); err != nil {
		t.Fatal(err)
	}
	dir := mirrorDir(t, w, p)
	for _, name := range []string{
		"tmp_shallow", "objects/pack/tmp_pack", "objects/pack/pack-" + strings.Repeat("1", 40) + ".pack",
		"objects/pack/pack-" + strings.Repeat("2", 40) + ".idx", "objects/tmp_obj", tipPrefix + "x.lock", "packed-refs.lock", "shallow.lock", "HEAD.lock",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := r.Commit("Second", app("2"))
	if c, err := w.Resolve(within(t), p, "main"); err != nil || c.SHA != second {
		t.Fatalf("%+v, %v", c, err)
	}
	buildsTree(t, w, p, second)
	if found, _ := filepath.Glob(filepath.Join(dir, "objects/pack/tmp_*")); len(found) > 0 {
		t.Errorf("not swept: %v", found)
	}
}

func TestADamagedMirrorIsFetchedAnew(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, dir string){
		"a cut pack":      func(t *testing.T, dir string) { each(t, dir, "objects/pack/*.pack", cutFile) },
		"a cut index":     func(t *testing.T, dir string) { each(t, dir, "objects/pack/*.idx", cutFile) },
		"lost packs":      func(t *testing.T, dir string) { each(t, dir, "objects/pack/*", os.Remove) },
		"a garbled pack":  func(t *testing.T, dir string) { each(t, dir, "objects/pack/*.pack", garbleFile) },
		"nothing but air": func(t *testing.T, dir string) { each(t, dir, "*", os.RemoveAll) },
	} {
		t.Run(what, func(t *testing.T) {
			r := gittest.NewRepo(t)
			first := r.Commit("First", app("1"))
			w, p := ways()[3].reach(t, r)
			if _, err := w.Fetch(within(t), p, first, nil); err != nil {
				t.Fatal(err)
			}
			damage(t, mirrorDir(t, w, p))
			buildsTree(t, w, p, first)
			second := r.Commit("Second", app("2"))
			if c, err := w.Resolve(within(t), p, "main"); err != nil || c.SHA != second {
				t.Errorf("%+v, %v", c, err)
			}
			buildsTree(t, w, p, second)
		})
	}
	t.Run("an empty loose object", func(t *testing.T) {
		r := gittest.NewRepo(t)
		first := r.Commit("First", app("1"))
		w := open(t, Options{})
		if _, err := w.Fetch(within(t), from(r.Dir), first, nil); err != nil {
			t.Fatal(err)
		}
		each(t, mirrorDir(t, w, from(r.Dir)), "objects/??/*", emptyFile)
		buildsTree(t, w, from(r.Dir), first)
	})
}

func each(t *testing.T, dir, pattern string, do func(string) error) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %s: %v", pattern, err)
	}
	for _, f := range files {
		if err := do(f); err != nil {
			t.Fatal(err)
		}
	}
}

func cutFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

func emptyFile(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

func garbleFile(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := 20; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func TestManyFetchesDoNotPileUpPacks(t *testing.T) {
	r := gittest.NewRepo(t)
	w, p := open(t, Options{}), from(r.Serve(gitserve.Options{}))
	var all []string
	for i := range manyPacks + 8 {
		all = append(all, r.Commit(fmt.Sprint("Version ", i), app(fmt.Sprint(i))))
		if _, err := w.Fetch(within(t), p, all[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	packs, _ := filepath.Glob(filepath.Join(mirrorDir(t, w, p), "objects/pack/*.pack"))
	if len(packs) > manyPacks {
		t.Errorf("%d packs are left", len(packs))
	}
	if has := mirrored(t, w, p, all...); has != len(all) {
		t.Errorf("the mirror has %d of %d commits", has, len(all))
	}
	buildsTree(t, w, p, all[3])
	git(t, mirrorDir(t, w, p), "fsck", "--full")
}

func TestTheMirrorForgetsTipsThatTheRemoteHasNotAnyMore(t *testing.T) {
	r := gittest.NewRepo(t)
	r.Commit("Main", app("1"))
	w, p := open(t, Options{}), from(r.Serve(gitserve.Options{}))
	for i := range 5 {
		name := fmt.Sprint("side-", i)
		r.CommitTo(name, name, app(name))
		if _, err := w.Resolve(within(t), p, name); err != nil {
			t.Fatal(err)
		}
		r.Delete("refs/heads/" + name)
	}
	if _, err := w.Resolve(within(t), p, "main"); err != nil {
		t.Fatal(err)
	}
	m, err := openMirror(mirrorDir(t, w, p))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if tips, err := m.tips(); err != nil || len(tips) != 1 {
		t.Errorf("the mirror remembers %v, %v", tips, err)
	}
}

func TestAnIncrementalFetchBringsOnlyWhatIsNew(t *testing.T) {
	r := gittest.NewRepo(t)
	files := gittest.Files{}
	for i := range 50 {
		files[fmt.Sprint("file", i)] = gittest.Text(strings.Repeat(fmt.Sprint(i), 100))
	}
	r.Commit("Many files", files)
	w, p := ways()[3].reach(t, r)
	if _, err := w.Resolve(within(t), p, "main"); err != nil {
		t.Fatal(err)
	}
	files["file7"] = gittest.Text("changed")
	sha := r.Commit("One change", files)
	said := newLines()
	if _, err := w.Fetch(within(t), p, sha, said.tell); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "received 3 objects") { // commit, tree, file
		t.Errorf("said: %s", said)
	}
	said = newLines()
	if _, err := w.Fetch(within(t), p, sha, said.tell); err != nil || said.String() != "" {
		t.Errorf("a commit that is there is asked for again: %s, %v", said, err)
	}
}

func TestAFetchThatIsCutLeavesNothingAndSucceedsNextTime(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", gittest.Files{"big": gittest.Text(noise(4 << 20))})
	inner := backend(t, filepath.Dir(r.Dir))
	var cut atomic.Bool
	cut.Store(true)
	halfway := make(chan struct{}, 1)
	w, p := secure(t, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if cut.Load() && strings.HasSuffix(req.URL.Path, "git-upload-pack") {
			rw = &stalling{ResponseWriter: rw, left: 1 << 20, halfway: halfway, gone: req.Context()}
		}
		inner.ServeHTTP(rw, req)
	}))
	ctx, cancel := context.WithCancel(within(t))
	var err error
	var work sync.WaitGroup
	work.Go(func() { _, err = w.Fetch(ctx, p, sha, nil) })
	<-halfway
	cancel()
	work.Wait()
	wantCode(t, err, deploy.CodeCancelled)
	if found, _ := filepath.Glob(filepath.Join(mirrorDir(t, w, p), "objects/pack/*")); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
	cut.Store(false)
	if _, err := w.Fetch(within(t), p, sha, nil); err != nil {
		t.Error(err)
	}
}

// stalling stops answering after left bytes until the client is gone.
type stalling struct {
	http.ResponseWriter
	left    int
	halfway chan struct{}
	gone    context.Context
}

// Write implements io.Writer.
func (s *stalling) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		s.ResponseWriter.(http.Flusher).Flush()
		select {
		case s.halfway <- struct{}{}:
		default:
		}
		<-s.gone.Done()
		return 0, s.gone.Err()
	}
	return s.ResponseWriter.Write(b)
}

// noise is text that does not compress well.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func TestGarbageInsteadOfGitIsUnavailable(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a web page": func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>Sign in</html>") },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"an error": func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, strings.Repeat("x", 1<<20), http.StatusBadGateway)
		},
		"a cut answer":  func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "001e# service=git-upload-p") },
		"a huge packet": func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "ffff", strings.Repeat("x", 70000)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, p := secure(t, h)
			_, err := w.Resolve(within(t), p, "main")
			wantCode(t, err, deploy.CodeUnavailable)
			if len(err.Error()) > maxRefusal+1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestTwoWorkersShareAMirrorOneAtATime(t *testing.T) {
	r := gittest.NewRepo(t)
	w, p := ways()[3].reach(t, r)
	var commits []string
	for i := range 6 {
		commits = append(commits, r.CommitTo(fmt.Sprint("b", i), fmt.Sprint("Branch ", i), app(fmt.Sprint(i))))
	}
	var work sync.WaitGroup
	for i, sha := range commits {
		work.Go(func() {
			c, err := w.Resolve(within(t), p, fmt.Sprint("b", i))
			if err != nil || c.SHA != sha {
				t.Errorf("branch %d: %+v, %v", i, c, err)
			}
			if _, err := w.Build(within(t), p, deploy.Release{Commit: c, Recipe: "01"}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if len(w.turns.gate) != 0 {
		t.Errorf("gates are left: %v", w.turns.gate)
	}
}
