package source

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// isArchive reports whether an artifact of this name is unpacked to a tree.
func isArchive(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tar") || isZipped(name)
}

func isZipped(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

// unpack makes a tree artifact of an archive in the store. The archive itself
// is left to Prune.
func (w *Workshop) unpack(ctx context.Context, from kept, name string, r deploy.Release) (deploy.Release, error) {
	dir, err := os.MkdirTemp(w.path(exportsDir), "")
	if err != nil {
		return r, err
	}
	defer removeTree(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return r, err
	}
	defer root.Close()
	f, err := os.Open(w.path(artifactsDir, from.sum))
	if err != nil {
		return r, err
	}
	defer f.Close()
	u := unpacker{ctx: ctx, root: root, o: w.o}
	if err := u.archive(&endable{ctx, f}, isZipped(name)); err != nil {
		return r, err
	}
	r.Kind, r.Name = deploy.ArtifactTree, ""
	r.SHA256, r.Size, err = w.keep(func(out io.Writer) error { return writeTree(ctx, out, root, u.newest, w.o) })
	return r, err
}

// unpacker writes folders, files and symlinks that stay inside below root, a
// folder that nobody else writes to. Nothing is written through a link, and
// nothing twice.
type unpacker struct {
	ctx    context.Context
	root   *os.Root
	o      Options
	files  int
	bytes  int64
	newest time.Time // of the entries: the tree's own time, so that it differs from release to release
}

func (u *unpacker) archive(in io.Reader, zipped bool) error {
	in = bufio.NewReader(in)
	if zipped {
		z, err := gzip.NewReader(in)
		if err != nil {
			return u.unreadable(err)
		}
		in = z
	}
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return u.unreadable(err)
		}
		if err := u.entry(h, t); err != nil {
			return err
		}
	}
	if _, err := io.CopyN(io.Discard, in, maxPadding); err != nil && !errors.Is(err, io.EOF) {
		return u.unreadable(err) // the checksum of gzip stands at its end
	}
	return nil
}

// maxPadding is how much is read after the archive's end.
const maxPadding = 1 << 20

func (u *unpacker) unreadable(err error) error {
	if u.ctx.Err() != nil {
		return u.ctx.Err()
	}
	return fault(deploy.CodeFailed, "unpack", "", "the downloaded artifact is not a whole tar archive: check what CI uploads", err)
}

func unsafeEntry(name, what string) error {
	return fault(deploy.CodeFailed, "unpack", "", fmt.Sprintf("the downloaded artifact cannot be unpacked: its entry %q is %s", clip(name, 200), what), nil)
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if u.files++; u.files > u.o.MaxFiles {
		return tooMuch(fmt.Sprintf("the artifact holds more than %d files", u.o.MaxFiles))
	}
	name := path.Clean(h.Name)
	if h.Name == "" || path.IsAbs(h.Name) || !filepath.IsLocal(name) || slices.Contains(strings.Split(h.Name, "/"), "..") {
		return unsafeEntry(h.Name, "not a path within the archive")
	}
	if h.ModTime.After(u.newest) {
		u.newest = h.ModTime
	}
	if name == "." {
		return nil
	}
	firm, err := makeFirm(u.root, path.Dir(name))
	if err != nil {
		return err
	}
	if !firm {
		return unsafeEntry(h.Name, "below a link or a file")
	}
	return u.write(name, h, content)
}

func (u *unpacker) write(name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		firm, err := makeFirm(u.root, name)
		if err == nil && !firm {
			return unsafeEntry(h.Name, "there twice")
		}
		return err
	case tar.TypeSymlink:
		if err := checkLink(name, h.Linkname); err != nil {
			return fault(deploy.CodeFailed, "unpack", "", "the downloaded artifact cannot be unpacked: "+err.Error(), nil)
		}
		return twice(h.Name, u.root.Symlink(h.Linkname, name))
	case tar.TypeReg:
		return u.file(name, h, content)
	}
	return unsafeEntry(h.Name, "neither a file, a folder nor a symlink")
}

func twice(name string, err error) error {
	if errors.Is(err, os.ErrExist) {
		return unsafeEntry(name, "there twice")
	}
	return err
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	if u.bytes += h.Size; h.Size < 0 || u.bytes > u.o.MaxBytes {
		return tooMuch("the artifact holds more than " + inBytes(u.o.MaxBytes))
	}
	mode := os.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return twice(h.Name, err)
	}
	_, err = io.Copy(f, archived{u, content})
	if err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// archived tells the archive's trouble from that of this machine.
type archived struct {
	u    *unpacker
	from io.Reader
}

// Read implements io.Reader.
func (a archived) Read(b []byte) (int, error) {
	n, err := a.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = a.u.unreadable(err)
	}
	return n, err
}
