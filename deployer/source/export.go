package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"ipublish/deploy"
)

// exporter writes the files of one commit below a folder, one at a time.
// It creates everything itself, in a folder that nobody else writes to.
type exporter struct {
	ctx   context.Context
	from  *mirror
	o     Options
	tell  func(string)
	files int
	bytes int64
	buf   []byte
}

// errDamaged is what reading the mirror gives when it lacks or garbles an object.
var errDamaged = errors.New("the mirror is damaged")

func (m *mirror) export(ctx context.Context, h plumbing.Hash, dir string, o Options, tell func(string)) error {
	c, err := object.GetCommit(m.Storage, h)
	if err != nil {
		return damaged(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	e := exporter{ctx: ctx, from: m, o: o, tell: tell, buf: make([]byte, 64<<10)}
	return e.tree(root, "", c.TreeHash)
}

func damaged(err error) error { return fmt.Errorf("%w: %w", errDamaged, err) }

// tree writes the entries of a tree into root, which stands at prefix.
func (e *exporter) tree(root *os.Root, prefix string, h plumbing.Hash) error {
	t, err := object.GetTree(e.from.Storage, h)
	if err != nil {
		return damaged(err)
	}
	for _, entry := range t.Entries {
		if err := e.entry(root, prefix, entry); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) entry(root *os.Root, prefix string, t object.TreeEntry) error {
	name := path.Join(prefix, t.Name)
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if !plainName(t.Name) {
		return refused(name, fmt.Sprintf("the commit holds the name %q, which is not one of a file", clip(name, 200)))
	}
	if e.files++; e.files > e.o.MaxFiles {
		return refused("", fmt.Sprintf("the commit holds more than %d files", e.o.MaxFiles))
	}
	switch t.Mode {
	case filemode.Dir:
		return e.folder(root, name, t)
	case filemode.Submodule:
		e.tell("the submodule " + clip(name, 200) + " is not fetched: its folder is empty")
		return root.Mkdir(t.Name, 0o755)
	case filemode.Symlink:
		return e.link(root, name, t)
	case filemode.Executable:
		return e.file(root, name, t, 0o755)
	}
	return e.file(root, name, t, 0o644)
}

// plainName reports whether a tree's entry is one name of a file that an
// export may have.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") &&
		!strings.ContainsAny(name, "/\x00")
}

func refused(name, message string) error {
	return fault(deploy.CodeInvalid, "export", clip(name, 200), message, nil)
}

func (e *exporter) folder(root *os.Root, name string, t object.TreeEntry) error {
	if err := root.Mkdir(t.Name, 0o755); err != nil {
		return err
	}
	sub, err := root.OpenRoot(t.Name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return e.tree(sub, name, t.Hash)
}

// blob opens a file's content, within the bound of the whole export.
func (e *exporter) blob(name string, h plumbing.Hash) (*object.Blob, error) {
	b, err := object.GetBlob(e.from.Storage, h)
	if err != nil {
		return nil, damaged(err)
	}
	if e.bytes += b.Size; e.bytes > e.o.MaxBytes {
		return nil, refused(name, fmt.Sprintf("the commit holds more than %s", inBytes(e.o.MaxBytes)))
	}
	return b, nil
}

// maxLink is the longest target of a symlink, as the kernel has it.
const maxLink = 4095

func (e *exporter) link(root *os.Root, name string, t object.TreeEntry) error {
	b, err := e.blob(name, t.Hash)
	if err != nil {
		return err
	}
	if b.Size > maxLink {
		return refused(name, fmt.Sprintf("the symlink %s is too long", clip(name, 200)))
	}
	target, err := content(b)
	if err != nil {
		return damaged(err)
	}
	if err := checkLink(name, string(target)); err != nil {
		return refused(name, err.Error())
	}
	return root.Symlink(string(target), t.Name)
}

func content(b *object.Blob) ([]byte, error) {
	r, err := b.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (e *exporter) file(root *os.Root, name string, t object.TreeEntry, mode os.FileMode) error {
	b, err := e.blob(name, t.Hash)
	if err != nil {
		return err
	}
	if err := refusePointer(name, b); err != nil {
		return err
	}
	f, err := root.OpenFile(t.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := e.copy(f, b); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func (e *exporter) copy(f *os.File, b *object.Blob) error {
	r, err := b.Reader()
	if err != nil {
		return damaged(err)
	}
	defer r.Close()
	_, err = io.CopyBuffer(f, reading{e.ctx, r}, e.buf)
	return err
}

// reading marks an error of the mirror as its damage, and ends with ctx.
type reading struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r reading) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// maxPointer is the largest Git LFS pointer by its specification.
const maxPointer = 1024

func refusePointer(name string, b *object.Blob) error {
	if b.Size > maxPointer {
		return nil
	}
	text, err := content(b)
	if err != nil {
		return damaged(err)
	}
	for _, first := range []string{"version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/"} {
		if bytes.HasPrefix(text, []byte(first)) {
			return refused(name, fmt.Sprintf(
				"%s is kept in Git LFS, which is not supported: the file would be a pointer of %d bytes; commit it itself or let the build fetch it", clip(name, 200), b.Size))
		}
	}
	return nil
}
