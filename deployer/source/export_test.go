package source

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"ipublish/deploy"
	"ipublish/deployer/source/gittest"
)

// untar lists a tree artifact: "mode content" by name.
func untar(t testing.TB, w *Workshop, sum string) map[string]string {
	t.Helper()
	f, err := w.Open(sum)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s is owned by %d:%d", h.Name, h.Uid, h.Gid)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = h.FileInfo().Mode().String() + " " + string(b) + h.Linkname
	}
}

func buildOf(t *testing.T, w *Workshop, repository, sha string) (deploy.Release, error) {
	t.Helper()
	return w.Build(within(t), from(repository), deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha}, Recipe: "01"}, nil)
}

func TestATreeIsShippedWithItsModesAndLinksAndNothingElse(t *testing.T) {
	r := gittest.NewRepo(t)
	files := app("1")
	files["vendor/lib"] = gittest.Submodule(strings.Repeat("ab", 20))
	files["up/down"] = gittest.Link("../bin/run")
	files["dangling"] = gittest.Link("not/there")
	files["中文/空 格"] = gittest.Text("好")
	sha := r.Commit("Main", files)
	w := open(t, Options{})
	said := newLines()
	rel, err := w.Build(within(t), from(r.Dir), deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha}, Recipe: "01"}, said.tell)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"README": "-rw-r--r-- the app\n", "bin/": "drwxr-xr-x ", "bin/run": "-rwxr-xr-x #!/bin/sh\necho 1\n",
		"src/": "drwxr-xr-x ", "src/a/": "drwxr-xr-x ", "src/a/b/": "drwxr-xr-x ", "src/a/b/c.txt": "-rw-r--r-- 1\n",
		"src/link": "Lrwxrwxrwx a/b/c.txt", "up/": "drwxr-xr-x ", "up/down": "Lrwxrwxrwx ../bin/run", "dangling": "Lrwxrwxrwx not/there",
		"vendor/": "drwxr-xr-x ", "vendor/lib/": "drwxr-xr-x ", "中文/": "drwxr-xr-x ", "中文/空 格": "-rw-r--r-- 好",
	}
	if got := untar(t, w, rel.SHA256); !maps.Equal(got, want) {
		t.Errorf("the tree is %v", got)
	}
	if rel.Kind != deploy.ArtifactTree || rel.Name != "" || rel.Size == 0 {
		t.Errorf("the release is %+v", rel)
	}
	if !strings.Contains(said.String(), "submodule vendor/lib") {
		t.Errorf("nobody said that the submodule is empty: %s", said)
	}
}

func TestTheSameCommitGivesTheSameBytesEverywhere(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", app("1"))
	sums := map[string]bool{}
	for _, way := range ways()[:4] {
		w, p := way.reach(t, r)
		sums[buildsTree(t, w, p, sha).SHA256] = true
	}
	if len(sums) != 1 {
		t.Errorf("one commit became %d artifacts", len(sums))
	}
}

func TestGitLFSPointersAreRefusedByName(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", gittest.Files{"assets/film.mp4": gittest.Text(
		"version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("4d", 32) + "\nsize 12345\n")})
	_, err := buildOf(t, open(t, Options{}), r.Dir, sha)
	wantCode(t, err, deploy.CodeInvalid, "assets/film.mp4", "Git LFS")
}

func TestSymlinksThatLeadOutAreRefusedByName(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("unchanged"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]gittest.Files{
		"absolute":      {"evil": gittest.Link(secret)},
		"escaping":      {"a/evil": gittest.Link("../../secret")},
		"by a detour":   {"d/e/root": gittest.Link("../.."), "d/e/evil": gittest.Link("root/../..")},
		"just the root": {"evil": gittest.Link("..")},
		"empty":         {"evil": gittest.Link("")},
		"too long":      {"evil": gittest.Link(strings.Repeat("x/", 4000))},
	} {
		t.Run(name, func(t *testing.T) {
			r := gittest.NewRepo(t)
			sha := r.Commit("Main", files)
			w := open(t, Options{})
			_, err := buildOf(t, w, r.Dir, sha)
			wantCode(t, err, deploy.CodeInvalid, "evil")
			nothingLeft(t, w)
		})
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "unchanged" {
		t.Errorf("the file outside is now %q, %v", b, err)
	}
}

// nothingLeft checks that no export and no half artifact remains.
func nothingLeft(t testing.TB, w *Workshop) {
	t.Helper()
	for _, pattern := range []string{exportsDir + "/*", artifactsDir + "/tmp_*", recordsDir + "/tmp_*"} {
		if found, _ := filepath.Glob(w.path(pattern)); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
}

func TestTreesWithHostileNamesAreRefused(t *testing.T) {
	for _, name := range []string{"..", ".", ".git", ".GIT", "a/b", "../../../../tmp/evil", ""} {
		t.Run(name, func(t *testing.T) {
			r := gittest.NewRepo(t)
			base := r.Commit("Base", app("1"))
			tip, err := object.GetCommit(openStorage(r.Dir), plumbing.NewHash(base))
			if err != nil {
				t.Fatal(err)
			}
			sub := r.Store(rawTree("x", tip.TreeHash))
			tip.TreeHash = r.Store(rawTree(name, sub))
			r.Set("refs/heads/main", r.Store(tip).String())
			w := open(t, Options{})
			_, err = buildOf(t, w, r.Dir, r.Hash("refs/heads/main"))
			if err == nil {
				t.Fatal("a tree with this name is accepted")
			}
			nothingLeft(t, w)
		})
	}
}

// rawTree is a tree of one folder whose name git itself would not write.
func rawTree(name string, folder plumbing.Hash) rawObject {
	return rawObject{plumbing.TreeObject, slices.Concat([]byte("40000 "+name+"\x00"), folder[:])}
}

type rawObject struct {
	kind plumbing.ObjectType
	body []byte
}

// Encode implements what gittest stores.
func (r rawObject) Encode(o plumbing.EncodedObject) error {
	o.SetType(r.kind)
	w, err := o.Writer()
	if err != nil {
		return err
	}
	_, err = w.Write(r.body)
	return err
}

func TestAnExportIsBoundedInFilesAndBytes(t *testing.T) {
	r := gittest.NewRepo(t)
	sha := r.Commit("Main", gittest.Files{"a": gittest.Text("12345"), "b": gittest.Text("67890"), "c": gittest.Text("x")})
	_, err := buildOf(t, open(t, Options{MaxFiles: 2}), r.Dir, sha)
	wantCode(t, err, deploy.CodeInvalid, "more than 2 files")
	_, err = buildOf(t, open(t, Options{MaxBytes: 9}), r.Dir, sha)
	wantCode(t, err, deploy.CodeInvalid, "more than 9 B")
	if _, err = buildOf(t, open(t, Options{MaxFiles: 3, MaxBytes: 11}), r.Dir, sha); err != nil {
		t.Error(err)
	}
}

func TestATreeOfTreesWithinItselfEndsAtTheBound(t *testing.T) {
	r := gittest.NewRepo(t)
	leaf := r.Store(&object.Tree{})
	for range 20 { // 10^20 folders, 20 objects
		wide := &object.Tree{}
		for _, n := range strings.Split("abcdefghij", "") {
			wide.Entries = append(wide.Entries, object.TreeEntry{Name: n, Mode: filemode.Dir, Hash: leaf})
		}
		leaf = r.Store(wide)
	}
	base := r.Commit("Base", app("1"))
	tip, err := object.GetCommit(openStorage(r.Dir), plumbing.NewHash(base))
	if err != nil {
		t.Fatal(err)
	}
	tip.TreeHash = leaf
	sha := r.Store(tip).String()
	w := open(t, Options{MaxFiles: 2000})
	_, err = buildOf(t, w, r.Dir, sha)
	wantCode(t, err, deploy.CodeInvalid, "more than 2000 files")
	nothingLeft(t, w)
}

func TestLargeFilesArriveWhole(t *testing.T) {
	r := gittest.NewRepo(t)
	large := strings.Repeat("0123456789abcdef", streamFrom/16+1000)
	sha := r.Commit("Main", gittest.Files{"large": gittest.Text(large), "small": gittest.Text("x")})
	for _, way := range []way{ways()[0], ways()[3]} {
		w, p := way.reach(t, r)
		p.Build.Artifact = "large"
		rel := buildsTree(t, w, p, sha)
		if rel.Kind != deploy.ArtifactFile || rel.Name != "large" || rel.Size != int64(len(large)) || read(t, w, rel.SHA256) != large {
			t.Errorf("%s: the large file became %+v", way.name, rel)
		}
	}
}

func TestLinksAreJudgedByWhereTheyCanLead(t *testing.T) {
	for _, c := range []struct {
		name, target string
		inside       bool
	}{
		{"a", "b", true}, {"a", "b/c", true}, {"a", "./b", true}, {"d/a", "../b", true}, {"d/e/a", "../../b/c", true}, {"d/a", "..", true},
		{"a", "/etc/passwd", false}, {"a", "..", false}, {"a", "../b", false}, {"d/a", "../../b", false}, {"d/a", "b/../../..", false},
		{"d/a", "b/../c", false}, {"a", "", false}, {"a", "b\x00c", false}, {"d/a", ".././../x", false}, {"a", "...", true}, {"a", "..b", true},
	} {
		if err := checkLink(c.name, c.target); (err == nil) != c.inside {
			t.Errorf("%s -> %s: %v", c.name, c.target, err)
		}
	}
}
