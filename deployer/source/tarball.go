package source

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"ipublish/deploy"
)

// tarball writes a folder as a tar that is the same whenever the folder's
// names, contents and executable bits are: sorted, owned by nobody, all times
// those of the commit. It holds folders, files and symlinks that stay inside,
// and nothing named .git.
type tarball struct {
	ctx   context.Context
	root  *os.Root
	out   *tar.Writer
	at    time.Time
	o     Options
	files int
	bytes int64
}

func writeTree(ctx context.Context, w io.Writer, root *os.Root, at time.Time, o Options) error {
	t := tarball{ctx: ctx, root: root, out: tar.NewWriter(w), at: at.UTC().Truncate(time.Second), o: o}
	if err := fs.WalkDir(root.FS(), ".", t.visit); err != nil {
		return err
	}
	return t.out.Close()
}

func (t *tarball) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if strings.EqualFold(d.Name(), ".git") {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if name == "." {
		return nil
	}
	if t.files++; t.files > t.o.MaxFiles {
		return tooMuch(fmt.Sprintf("the artifact holds more than %d files", t.o.MaxFiles))
	}
	return t.add(name, d)
}

func tooMuch(message string) error {
	return fault(deploy.CodeFailed, "build", "", message, nil)
}

func (t *tarball) add(name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return t.out.WriteHeader(t.header(tar.TypeDir, name+"/", 0o755))
	case fs.ModeSymlink:
		return t.link(name)
	case 0:
		return t.file(name, info)
	}
	return tooMuch(fmt.Sprintf("the artifact holds %s, which is neither a file, a folder nor a symlink", clip(name, 200)))
}

func (t *tarball) header(kind byte, name string, mode int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: t.at}
}

func (t *tarball) link(name string) error {
	target, err := t.root.Readlink(name)
	if err != nil {
		return err
	}
	if err := checkLink(name, target); err != nil {
		return fault(deploy.CodeFailed, "build", "", "the artifact cannot be shipped: "+err.Error(), nil)
	}
	h := t.header(tar.TypeSymlink, name, 0o777)
	h.Linkname = target
	return t.out.WriteHeader(h)
}

func (t *tarball) file(name string, info fs.FileInfo) error {
	if t.bytes += info.Size(); t.bytes > t.o.MaxBytes {
		return tooMuch("the artifact holds more than " + inBytes(t.o.MaxBytes))
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	h := t.header(tar.TypeReg, name, mode)
	h.Size = info.Size()
	if err := t.out.WriteHeader(h); err != nil {
		return err
	}
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(t.out, f, info.Size())
	return err
}
