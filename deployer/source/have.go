package source

import (
	"encoding/hex"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The bounds of what the server is told to be here already.
const (
	maxTips  = 256
	maxHaves = 512
)

// haves are commits that the mirror holds with their history up to the shallow
// list, newest tips first, then their ancestors generation by generation.
func (m *mirror) haves() ([]plumbing.Hash, error) {
	queue, err := m.newestTips()
	if err != nil {
		return nil, err
	}
	seen := map[plumbing.Hash]bool{}
	var out []plumbing.Hash
	for len(queue) > 0 && len(out) < maxHaves {
		c := queue[0]
		queue = queue[1:]
		if seen[c.Hash] {
			continue
		}
		seen[c.Hash] = true
		out = append(out, c.Hash)
		for _, p := range c.ParentHashes {
			if parent, err := object.GetCommit(m.Storage, p); err == nil && !seen[p] {
				queue = append(queue, parent)
			}
		}
	}
	return out, nil
}

func (m *mirror) newestTips() ([]*object.Commit, error) {
	tips, err := m.tips()
	if err != nil {
		return nil, err
	}
	var out []*object.Commit
	for _, h := range tips {
		if c, err := peel(m.Storage, h); err == nil {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *object.Commit) int { return b.Committer.When.Compare(a.Committer.When) })
	return out[:min(len(out), maxTips)], nil
}

// prefixed is a storage that can be searched by the first bytes of a hash.
type prefixed interface {
	HashesWithPrefix([]byte) ([]plumbing.Hash, error)
	EncodedObject(plumbing.ObjectType, plumbing.Hash) (plumbing.EncodedObject, error)
}

// evenBytes are the whole bytes of a hex prefix.
func evenBytes(prefix string) []byte {
	b, err := hex.DecodeString(prefix[:len(prefix)/2*2])
	if err != nil {
		return nil
	}
	return b
}
