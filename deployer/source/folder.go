package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// folder is a repository on this machine, read in place: bare or not, packed or
// loose, borrowing objects from another or not. Only the wanted commits are
// copied; their history stays where it is.
type folder struct {
	*filesystem.Storage
}

func openFolder(path string) (*folder, error) {
	dir, err := gitDir(path)
	if err != nil {
		return nil, err
	}
	return &folder{openStorage(dir)}, nil
}

// gitDir finds the repository's own folder at or below path.
func gitDir(path string) (string, error) {
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		info, err := os.Stat(filepath.Join(dir, "objects"))
		if err == nil && info.IsDir() {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
			return "", err
		}
	}
	return "", transport.ErrRepositoryNotFound
}

func (f *folder) close() { _ = f.Storage.Close() }

func (f *folder) list(ctx context.Context) (*refs, error) {
	out := &refs{hash: map[string]plumbing.Hash{}, peeled: map[string]plumbing.Hash{}, exact: true}
	iter, err := f.IterReferences()
	if err != nil {
		return nil, err
	}
	err = iter.ForEach(func(r *plumbing.Reference) error {
		if r.Type() == plumbing.HashReference && r.Name() != plumbing.HEAD {
			out.hash[r.Name().String()] = r.Hash()
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	f.peel(out)
	if head, err := storer.ResolveReference(f.Storage, plumbing.HEAD); err == nil {
		out.head = head.Hash()
	}
	if len(out.hash) == 0 && out.head.IsZero() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	return out, nil
}

func (f *folder) peel(r *refs) {
	for name, h := range r.hash {
		if !strings.HasPrefix(name, tags) {
			continue
		}
		if _, err := object.GetTag(f.Storage, h); err != nil {
			continue
		}
		if c, err := peel(f.Storage, h); err == nil {
			r.peeled[name] = c.Hash
		}
	}
}

func (f *folder) matching(_ context.Context, _ *mirror, prefix string) ([]plumbing.Hash, error) {
	return commitsMatching(f.Storage, prefix)
}

// bring copies the commits with their files. Their parents are left out at
// every reach: short hashes are looked up in the folder itself.
func (f *folder) bring(ctx context.Context, m *mirror, wants []found, _ reach, tell func(string)) error {
	c := copier{ctx: ctx, from: f.Storage, to: m}
	for _, w := range wants {
		if err := c.commit(w.hash); err != nil {
			return err
		}
	}
	if c.n > 0 {
		tell(fmt.Sprintf("copied %d objects", c.n))
	}
	return m.remember(wants)
}

// copier copies what the mirror lacks, parts before the whole: an object that
// is there has everything below it there.
type copier struct {
	ctx  context.Context
	from *filesystem.Storage
	to   *mirror
	n    int
}

// commit copies the commit that h is or, as a tag, points at.
func (c *copier) commit(h plumbing.Hash) error {
	if c.to.has(h) {
		return nil
	}
	if tag, err := object.GetTag(c.from, h); err == nil {
		if err := c.commit(tag.Target); err != nil {
			return err
		}
		return c.object(h)
	}
	commit, err := object.GetCommit(c.from, h)
	if err != nil {
		return err
	}
	if err := c.tree(commit.TreeHash); err != nil {
		return err
	}
	if err := c.cut(commit); err != nil {
		return err
	}
	return c.object(h)
}

// cut lists the commit as shallow if its parents are not here.
func (c *copier) cut(commit *object.Commit) error {
	if !slices.ContainsFunc(commit.ParentHashes, func(h plumbing.Hash) bool { return !c.to.has(h) }) {
		return nil
	}
	listed, err := c.to.Shallow()
	if err != nil {
		return err
	}
	return c.to.setShallow(append(listed, commit.Hash))
}

func (c *copier) tree(h plumbing.Hash) error {
	if c.to.has(h) {
		return nil
	}
	t, err := object.GetTree(c.from, h)
	if err != nil {
		return err
	}
	for _, e := range t.Entries {
		if err := c.entry(e); err != nil {
			return err
		}
	}
	return c.object(h)
}

func (c *copier) entry(e object.TreeEntry) error {
	switch e.Mode {
	case filemode.Dir:
		return c.tree(e.Hash)
	case filemode.Submodule:
		return nil
	}
	return c.object(e.Hash)
}

func (c *copier) object(h plumbing.Hash) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if c.to.has(h) {
		return nil
	}
	o, err := c.from.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return err
	}
	c.n++
	_, err = c.to.SetEncodedObject(o)
	return err
}
