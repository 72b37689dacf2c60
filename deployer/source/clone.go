package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// clone copies the folders, files and symlinks below from to the empty folder
// to: contents, rights, and the times of files and folders. Links are copied,
// never followed; other things are left out.
func clone(ctx context.Context, from, to *os.Root, o Options) error {
	c := cloner{ctx: ctx, o: o}
	return c.folder(from, to)
}

type cloner struct {
	ctx   context.Context
	o     Options
	files int
	bytes int64
}

func (c *cloner) folder(from, to *os.Root) error {
	entries, err := fs.ReadDir(from.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.entry(from, to, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *cloner) entry(from, to *os.Root, e fs.DirEntry) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if c.files++; c.files > c.o.MaxFiles {
		return fmt.Errorf("it holds more than %d files", c.o.MaxFiles)
	}
	info, err := e.Info()
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return c.below(from, to, info)
	case fs.ModeSymlink:
		target, err := from.Readlink(e.Name())
		if err != nil {
			return err
		}
		return to.Symlink(target, e.Name())
	case 0:
		return c.file(from, to, info)
	}
	return nil
}

func (c *cloner) below(from, to *os.Root, info fs.FileInfo) error {
	name := info.Name()
	if err := to.Mkdir(name, 0o700); err != nil {
		return err
	}
	in, err := from.OpenRoot(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenRoot(name)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := c.folder(in, out); err != nil {
		return err
	}
	return alike(to, info)
}

// alike gives a copy the rights and the time of its original.
func alike(to *os.Root, info fs.FileInfo) error {
	if err := to.Chtimes(info.Name(), info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return to.Chmod(info.Name(), info.Mode().Perm())
}

// stretch is how much of a file is copied between two looks at the context.
const stretch = 64 << 20

func (c *cloner) file(from, to *os.Root, info fs.FileInfo) error {
	if c.bytes += info.Size(); c.bytes > c.o.MaxBytes {
		return errors.New("it holds more than " + inBytes(c.o.MaxBytes))
	}
	in, err := from.Open(info.Name())
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(info.Name(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := c.content(in, out); err != nil {
		_ = out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return alike(to, info)
}

// content copies from file to file, so that the kernel can share the blocks.
func (c *cloner) content(in, out *os.File) error {
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, stretch); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
