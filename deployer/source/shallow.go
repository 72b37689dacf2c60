package source

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// setShallow replaces the list of commits whose history is left out.
func (m *mirror) setShallow(commits []plumbing.Hash) error {
	plumbing.HashesSort(commits)
	commits = slices.Compact(commits)
	var text strings.Builder
	for _, h := range commits {
		fmt.Fprintln(&text, h)
	}
	return writeWhole(filepath.Join(m.dir, "shallow"), []byte(text.String()))
}

// tidyShallow takes commits off the list whose parents are here by now: left
// there, they would end the history for ever.
func (m *mirror) tidyShallow() error {
	listed, err := m.Shallow()
	if err != nil || len(listed) == 0 {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(listed), m.hasParents)
	if len(left) == len(listed) {
		return nil
	}
	return m.setShallow(left)
}

func (m *mirror) hasParents(h plumbing.Hash) bool {
	c, err := object.GetCommit(m.Storage, h)
	if err != nil {
		return false
	}
	for _, p := range c.ParentHashes {
		if !m.has(p) {
			return false
		}
	}
	return true
}
