package store

import (
	"fmt"
	"os"
	"sync/atomic"
)

// watched is an open file and the path it was opened at.
type watched struct {
	path string
	info os.FileInfo // as opened
	size atomic.Int64
}

func watch(f *os.File, path string) (*watched, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	w := &watched{path: path, info: info}
	return w, w.check()
}

// check returns deploy.CodeDamaged when the path does not lead to the open file
// any more (somebody removed or replaced it, and what is written would be lost),
// or when the file became shorter.
func (w *watched) check() error {
	largest := w.size.Load() // before the look: the file may grow during it
	now, err := os.Stat(w.path)
	switch {
	case err != nil:
		return damaged("write", w.path, "the file was removed while ipublish was using it: nothing more is written; stop ipublish, restore the newest backup and start it again", err)
	case !os.SameFile(now, w.info):
		return damaged("write", w.path, "the file was replaced while ipublish was using it: nothing more is written; stop ipublish, put the right file back and start it again", nil)
	}
	return w.whole(now, largest)
}

// checkOpen is check for the open file alone, wherever its path leads.
func (w *watched) checkOpen(f *os.File) error {
	largest := w.size.Load()
	now, err := f.Stat()
	if err != nil {
		return closed("read")
	}
	return w.whole(now, largest)
}

// whole wants the file not to be shorter than it was before the look.
func (w *watched) whole(now os.FileInfo, largest int64) error {
	size := now.Size()
	if size < largest {
		return damaged("use", w.path, fmt.Sprintf("the file was cut from %d to %d bytes while ipublish was using it: stop ipublish, restore the newest backup and start it again", largest, size), nil)
	}
	for seen := largest; size > seen && !w.size.CompareAndSwap(seen, size); {
		seen = w.size.Load()
	}
	return nil
}
