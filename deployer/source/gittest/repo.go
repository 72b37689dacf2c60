package gittest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"ipublish/deployer/source/gitserve"
)

// File is one entry of a commit.
type File struct {
	Body string // content, a symlink's target, or a submodule's commit
	Mode filemode.FileMode
}

// Text is an ordinary file.
func Text(body string) File { return File{body, filemode.Regular} }

// Program is an executable file.
func Program(body string) File { return File{body, filemode.Executable} }

// Link is a symlink.
func Link(target string) File { return File{target, filemode.Symlink} }

// Submodule is a link to a commit of another repository.
func Submodule(commit string) File { return File{commit, filemode.Submodule} }

// Files are the whole content of a commit, by slash path.
type Files map[string]File

// Repo is a bare repository in a folder of the test.
type Repo struct {
	Dir string // of the bare repository
	t   testing.TB
	s   *filesystem.Storage
	at  time.Time
}

// NewRepo makes an empty repository whose HEAD is the branch main.
func NewRepo(t testing.TB) *Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo.git")
	if err := gitserve.Init(dir); err != nil {
		t.Fatalf("init %s: %v", dir, err)
	}
	r := &Repo{Dir: dir, t: t, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.s = filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault())
	return r
}

// Serve serves the repository over http on the loopback interface until the
// test ends, and returns its URL.
func (r *Repo) Serve(o gitserve.Options) string {
	r.t.Helper()
	s := httptest.NewServer(http.StripPrefix("/repo.git", gitserve.Handler(r.Dir, o)))
	r.t.Cleanup(s.Close)
	return s.URL + "/repo.git"
}

// Commit adds a commit to the branch main and returns its full hash.
func (r *Repo) Commit(message string, files Files) string {
	r.t.Helper()
	return r.CommitTo("main", message, files)
}

// CommitTo adds a commit to a branch, which begins with it if it is new.
func (r *Repo) CommitTo(branch, message string, files Files) string {
	r.t.Helper()
	var parents []string
	if ref, err := r.s.Reference(plumbing.NewBranchReferenceName(branch)); err == nil {
		parents = append(parents, ref.Hash().String())
	}
	c := r.Write(message, files, parents...)
	r.Set("refs/heads/"+branch, c)
	return c
}

// Write writes a commit that no ref points at and returns its full hash.
func (r *Repo) Write(message string, files Files, parents ...string) string {
	r.t.Helper()
	r.at = r.at.Add(time.Minute)
	who := object.Signature{Name: "Ada Example", Email: "ada@example.com", When: r.at}
	c := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: r.tree(nest(files))}
	for _, p := range parents {
		c.ParentHashes = append(c.ParentHashes, plumbing.NewHash(p))
	}
	return r.Store(c).String()
}

// Tag writes an annotated tag and returns the hash of the tag itself.
func (r *Repo) Tag(name, commit string) string {
	r.t.Helper()
	tag := &object.Tag{
		Name: name, Message: name + "\n", TargetType: plumbing.CommitObject, Target: plumbing.NewHash(commit),
		Tagger: object.Signature{Name: "Ada Example", Email: "ada@example.com", When: r.at},
	}
	h := r.Store(tag).String()
	r.Set("refs/tags/"+name, h)
	return h
}

// Set points a ref, by its full name, at a hash.
func (r *Repo) Set(ref, hash string) {
	r.t.Helper()
	if err := r.s.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(ref), plumbing.NewHash(hash))); err != nil {
		r.t.Fatalf("set %s: %v", ref, err)
	}
}

// Delete removes a ref by its full name.
func (r *Repo) Delete(ref string) {
	r.t.Helper()
	if err := r.s.RemoveReference(plumbing.ReferenceName(ref)); err != nil {
		r.t.Fatalf("delete %s: %v", ref, err)
	}
}

// Hash gives what a ref points at, by its full name; all zeros if it does not exist.
func (r *Repo) Hash(ref string) string {
	h, err := r.s.Reference(plumbing.ReferenceName(ref))
	if err != nil {
		return plumbing.ZeroHash.String()
	}
	return h.Hash().String()
}

// Store writes a commit, tag or tree as it stands and returns its hash.
func (r *Repo) Store(v interface {
	Encode(plumbing.EncodedObject) error
}) plumbing.Hash {
	r.t.Helper()
	o := r.s.NewEncodedObject()
	if err := v.Encode(o); err != nil {
		r.t.Fatalf("encode: %v", err)
	}
	return r.set(o)
}

// node is one folder of a commit.
type node struct {
	files   Files
	folders map[string]*node
}

func nest(files Files) *node {
	root := &node{files: Files{}, folders: map[string]*node{}}
	for name, f := range files {
		n := root
		parts := strings.Split(name, "/")
		for _, p := range parts[:len(parts)-1] {
			if n.folders[p] == nil {
				n.folders[p] = &node{files: Files{}, folders: map[string]*node{}}
			}
			n = n.folders[p]
		}
		n.files[parts[len(parts)-1]] = f
	}
	return root
}

func (r *Repo) tree(n *node) plumbing.Hash {
	t := &object.Tree{}
	for name, f := range n.files {
		h := plumbing.NewHash(f.Body)
		if f.Mode != filemode.Submodule {
			h = r.blob(f.Body)
		}
		t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: f.Mode, Hash: h})
	}
	for name, sub := range n.folders {
		t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: r.tree(sub)})
	}
	slices.SortFunc(t.Entries, func(a, b object.TreeEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return r.Store(t)
}

// sortName orders a folder as if its name ended in a slash, as git does.
func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

func (r *Repo) blob(body string) plumbing.Hash {
	o := r.s.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	w, err := o.Writer()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		r.t.Fatal(err)
	}
	return r.set(o)
}

func (r *Repo) set(o plumbing.EncodedObject) plumbing.Hash {
	h, err := r.s.SetEncodedObject(o)
	if err != nil {
		r.t.Fatalf("write object: %v", err)
	}
	return h
}
