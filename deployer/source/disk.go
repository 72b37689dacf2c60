package source

import (
	"os"
	"path/filepath"
	"strings"
)

// temporaryPrefix marks files that a crash may leave behind half-written.
const temporaryPrefix = "tmp_"

// writeWhole replaces a file: temporary file beside it, fsync, rename, fsync of the folder.
func writeWhole(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, temporaryPrefix)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err != nil {
		return discard(f, err)
	}
	return publish(f, path)
}

// publish makes a finished temporary file the file at path, durably.
func publish(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return discard(f, err)
	}
	if err := f.Close(); err != nil {
		return discard(f, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return discard(f, err)
	}
	return syncDir(filepath.Dir(path))
}

// discard removes a temporary file and returns why.
func discard(f *os.File, why error) error {
	_ = f.Close()
	_ = os.Remove(f.Name())
	return why
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// sweepTemporary removes the temporary files of dir.
func sweepTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporaryPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
