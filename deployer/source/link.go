package source

import (
	"fmt"
	"path"
	"strings"
)

// checkLink decides whether a symlink at name (a slash path below the root)
// stays inside the root, whatever other links its target passes through: the
// target is relative, climbs only at its start, and no higher than the root.
// Every link of a tree obeys this, so that none leads out.
func checkLink(name, target string) error {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return fmt.Errorf("the symlink %s points at %q, outside of the tree", clip(name, 200), clip(target, 200))
	}
	room, climbing := strings.Count(name, "/"), true
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if room--; room < 0 || !climbing {
				return fmt.Errorf("the symlink %s points at %q, outside of the tree", clip(name, 200), clip(target, 200))
			}
		default:
			climbing = false
		}
	}
	return nil
}
