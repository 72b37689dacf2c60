package source

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// firm looks at the folders of a slash path below root, from the top. It gives
// the longest part of the path that is there, and whether that consists of
// folders only: a link or a file in it would lead elsewhere.
func firm(root *os.Root, name string) (there string, ok bool, err error) {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := root.Lstat(name[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return there, true, nil
		}
		if err != nil {
			return there, false, err
		}
		if !info.IsDir() {
			return name[:i], false, nil
		}
		there = name[:i]
	}
	return there, true, nil
}

// makeFirm makes the folders of a slash path below root; false: something that
// is no folder is in the way.
func makeFirm(root *os.Root, name string) (ok bool, err error) {
	if name == "." || strings.HasPrefix(name, "/") {
		return name == ".", nil
	}
	there, ok, err := firm(root, name)
	if err != nil || !ok || there == name {
		return ok, err
	}
	return true, root.MkdirAll(name, 0o755)
}
