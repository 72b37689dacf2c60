package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"ipublish/deploy"
)

// refs is what a repository advertises.
type refs struct {
	hash   map[string]plumbing.Hash // full name → what it points at
	peeled map[string]plumbing.Hash // annotated tags → their commit, where the server tells
	head   plumbing.Hash            // zero: none
	// exact is true if the server gives any commit by its hash.
	exact bool
}

// found is a ref that a person's text named.
type found struct {
	name string        // full, as advertised
	hash plumbing.Hash // what to ask the server for
	show string        // for people
}

const (
	branches = "refs/heads/"
	tags     = "refs/tags/"
)

// find reads text as a full name, a branch, a tag or HEAD, in this order.
func (r *refs) find(text string) (found, bool) {
	if h, ok := r.hash[text]; ok && strings.HasPrefix(text, "refs/") {
		return found{name: text, hash: h, show: shortName(text)}, true
	}
	if h, ok := r.hash[branches+text]; ok {
		show := text
		if _, clash := r.hash[tags+text]; clash {
			show = branches + text
		}
		return found{name: branches + text, hash: h, show: show}, true
	}
	if h, ok := r.hash[tags+text]; ok {
		return found{name: tags + text, hash: h, show: text}, true
	}
	if text == "HEAD" && !r.head.IsZero() {
		return found{name: "HEAD", hash: r.head, show: "HEAD"}, true
	}
	return found{}, false
}

func shortName(full string) string {
	for _, prefix := range []string{branches, tags} {
		if s, ok := strings.CutPrefix(full, prefix); ok {
			return s
		}
	}
	return full
}

// commitOf is the commit of a ref as far as the advertisement tells.
func (r *refs) commitOf(name string) plumbing.Hash {
	if h, ok := r.peeled[name]; ok {
		return h
	}
	if name == "HEAD" {
		return r.head
	}
	return r.hash[name]
}

// holding finds a branch or tag that is the commit.
func (r *refs) holding(commit plumbing.Hash) (found, bool) {
	for _, name := range r.names() {
		if r.hash[name] == commit || r.peeled[name] == commit {
			return found{name: name, hash: r.hash[name], show: shortName(name)}, true
		}
	}
	return found{}, false
}

// names are the full names of branches and tags, sorted: branches first.
func (r *refs) names() []string {
	var out []string
	for name := range r.hash {
		if strings.HasPrefix(name, branches) || strings.HasPrefix(name, tags) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// unknown says that nothing is named so, and what the person may have meant.
func (r *refs) unknown(text string) error {
	message := fmt.Sprintf("there is no branch, tag or commit %q", clip(text, 80))
	var known []string
	for _, name := range r.names() {
		known = append(known, shortName(name))
	}
	if near := nearest(shortName(text), known, 3); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return fault(deploy.CodeNotFound, "resolve", clip(text, 80), message, nil)
}

// checkRef refuses text that git would not accept as a ref (git check-ref-format).
func checkRef(ref string) error {
	if ref == "" {
		return fault(deploy.CodeInvalid, "resolve", "", "say what to deploy: a branch, a tag or at least 7 digits of a commit", nil)
	}
	if why := badRef(ref); why != "" {
		return fault(deploy.CodeInvalid, "resolve", clip(ref, 80),
			fmt.Sprintf("%q cannot be a branch, tag or commit: %s", clip(ref, 80), why), nil)
	}
	return nil
}

// maxRef is the longest ref that is looked up, in bytes.
const maxRef = 1024

func badRef(ref string) string {
	switch {
	case len(ref) > maxRef:
		return "it is too long"
	case strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "it holds a space or a control character"
	case strings.ContainsAny(ref, `~^:?*[\`):
		return `it holds one of ~ ^ : ? * [ \`
	case strings.Contains(ref, ".."), strings.Contains(ref, "@{"), ref == "@":
		return "it holds .. or @{"
	case strings.HasSuffix(ref, "."):
		return "it ends in a dot"
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return "a part of it is empty, starts with a dot or ends in .lock"
		}
	}
	return ""
}

// hexPrefix reports whether text may shorten a commit's hash: 7 to 40 hex digits.
func hexPrefix(text string) (string, bool) {
	s := strings.ToLower(text)
	return s, len(s) >= 7 && len(s) <= 40 && strings.Trim(s, "0123456789abcdef") == ""
}
