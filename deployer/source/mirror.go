package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"ipublish/deploy"
)

// mirror is the bare copy of one repository, held by one caller at a time. A
// commit that it has is complete down to its files; its history may end at the
// commits that the file "shallow" lists.
type mirror struct {
	dir string
	*filesystem.Storage
}

// tipPrefix starts the refs that keep what was fetched, one a ref of the remote.
// They are named by a hash, so that a remote's names are never paths here.
const tipPrefix = "refs/ipublish/"

// The memory that reading one repository may take, in bytes: for objects that
// are read again, and for one object before it is streamed.
const (
	objectCache = 32 * cache.MiByte
	streamFrom  = 4 << 20
)

func openMirror(dir string) (*mirror, error) {
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags", tipPrefix} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	head := filepath.Join(dir, "HEAD")
	if _, err := os.Stat(head); errors.Is(err, fs.ErrNotExist) {
		if err := writeWhole(head, []byte("ref: refs/heads/main\n")); err != nil {
			return nil, err
		}
	}
	if err := sweepMirror(dir); err != nil {
		return nil, err
	}
	return &mirror{dir: dir, Storage: openStorage(dir)}, nil
}

func openStorage(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(objectCache), filesystem.Options{
		KeepDescriptors:      true,
		LargeObjectThreshold: streamFrom,
		AlternatesFS:         osfs.New("/"),
	})
}

// sweepMirror removes what an interrupted fetch left: temporary files, and
// packs without an index or indexes without a pack.
func sweepMirror(dir string) error {
	if err := sweepTemporary(dir); err != nil {
		return err
	}
	packs := filepath.Join(dir, "objects", "pack")
	if err := sweepTemporary(packs); err != nil {
		return err
	}
	for _, pair := range [][2]string{{".pack", ".idx"}, {".idx", ".pack"}} {
		if err := sweepLonely(packs, pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

func sweepLonely(dir, ext, partner string) error {
	files, err := filepath.Glob(filepath.Join(dir, "pack-*"+ext))
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := os.Stat(strings.TrimSuffix(f, ext) + partner); err == nil {
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

func (m *mirror) close() { _ = m.Storage.Close() }

// reach is how much the next fetch brings: the first one a single commit.
func (m *mirror) reach() reach {
	if tips, err := m.tips(); err == nil && len(tips) == 0 {
		return single
	}
	return missing
}

// commit reads the commit that h is, or that the tag h points at.
// plumbing.ErrObjectNotFound if the mirror does not have it, errDamaged if it
// cannot be read.
func (m *mirror) commit(h plumbing.Hash) (deploy.Commit, error) {
	if !m.has(h) {
		return deploy.Commit{}, plumbing.ErrObjectNotFound
	}
	c, err := peel(m.Storage, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return deploy.Commit{}, err
	}
	if err != nil {
		return deploy.Commit{}, damaged(err)
	}
	title, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\r\n"), "\n")
	return deploy.Commit{
		SHA:    c.Hash.String(),
		Title:  clip(strings.TrimSpace(title), 200),
		Author: clip(c.Author.Name, 200),
	}, nil
}

// has reports whether the object is here; one that cannot be read is there.
func (m *mirror) has(h plumbing.Hash) bool {
	return !errors.Is(m.HasEncodedObject(h), plumbing.ErrObjectNotFound)
}

// peel follows annotated tags to their commit.
func peel(s storer.EncodedObjectStorer, h plumbing.Hash) (*object.Commit, error) {
	const deepest = 16 // tags of tags
	for range deepest {
		tag, err := object.GetTag(s, h)
		if err != nil {
			return object.GetCommit(s, h)
		}
		h = tag.Target
	}
	return nil, plumbing.ErrObjectNotFound
}

// tips are the commits and tags that were fetched, by the name of their ref here.
func (m *mirror) tips() (map[plumbing.ReferenceName]plumbing.Hash, error) {
	out := map[plumbing.ReferenceName]plumbing.Hash{}
	iter, err := m.IterReferences()
	if err != nil {
		return nil, err
	}
	return out, iter.ForEach(func(r *plumbing.Reference) error {
		if strings.HasPrefix(r.Name().String(), tipPrefix) && r.Type() == plumbing.HashReference {
			out[r.Name()] = r.Hash()
		}
		return nil
	})
}

func tipName(remoteName string) plumbing.ReferenceName {
	sum := sha256.Sum256([]byte(remoteName))
	return plumbing.ReferenceName(tipPrefix + hex.EncodeToString(sum[:16]))
}

// remember keeps what was brought as the newest of its ref.
func (m *mirror) remember(brought []found) error {
	for _, f := range brought {
		name := f.name
		if name == "" {
			name = f.hash.String()
		}
		if err := m.SetReference(plumbing.NewHashReference(tipName(name), f.hash)); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the tips of refs that the remote does not have any more. Their
// commits stay.
func (m *mirror) forget(has *refs) error {
	keep := map[plumbing.ReferenceName]bool{tipName("HEAD"): true}
	for name := range has.hash {
		keep[tipName(name)] = true
	}
	tips, err := m.tips()
	if err != nil {
		return err
	}
	for name := range tips {
		if keep[name] {
			continue
		}
		if err := m.RemoveReference(name); err != nil {
			return err
		}
	}
	return nil
}
