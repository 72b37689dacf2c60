package githook

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// The limits of a push's parts: texts are cut (in runes), the rest is refused
// (in bytes).
const (
	MaxTitle    = 200
	MaxAuthor   = 200
	MaxMessage  = 16 << 10 // bytes, though a text: it is searched, not shown
	MaxRef      = 1024
	MaxRepo     = 512
	MaxDelivery = 200
)

// Commit is what a push needs of the head commit. Drivers embed it where their
// host uses these names.
type Commit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Author  struct {
		Name string `json:"name"`
	} `json:"author"`
}

// Accept makes a decoded push safe to pass on: refs, hashes and the repository
// are checked (deploy.CodeInvalid), texts cut and made printable. head is the
// head commit, nil if the payload has none. For a tag with a head commit After
// becomes that commit, which differs for an annotated tag.
func Accept(p deploy.Push, head *Commit) (deploy.Push, error) {
	if p.Repo == "" || len(p.Repo) > MaxRepo || !isPrintable(p.Repo) {
		return deploy.Push{}, Invalid(p.Provider, "the payload names no repository", nil)
	}
	if rest, ok := strings.CutPrefix(p.Ref, "refs/"); !ok || rest == "" || len(p.Ref) > MaxRef || !isPrintable(p.Ref) {
		return deploy.Push{}, Invalid(p.Provider, "the payload's ref does not begin with refs/", nil)
	}
	if !isHash(p.Before) || !isHash(p.After) {
		return deploy.Push{}, Invalid(p.Provider, "the payload's before and after are not commit hashes of 40 or 64 hex digits", nil)
	}
	if head != nil && !p.Deleted() {
		if !isHash(head.ID) {
			return deploy.Push{}, Invalid(p.Provider, "the head commit's id is not a hash of 40 or 64 hex digits", nil)
		}
		p = describe(p, head)
	}
	p.Before, p.After = strings.ToLower(p.Before), strings.ToLower(p.After)
	p.Pusher = deploy.Actor{ID: "push:" + p.Provider, Name: hostile.Line(p.Pusher.Name, MaxAuthor)}
	return p, nil
}

func describe(p deploy.Push, head *Commit) deploy.Push {
	if strings.HasPrefix(p.Ref, "refs/tags/") {
		p.After = head.ID
	}
	p.Title = hostile.First(head.Message, MaxTitle)
	p.Author = hostile.Line(head.Author.Name, MaxAuthor)
	p.Message = strings.ToValidUTF8(head.Message[:min(len(head.Message), MaxMessage)], "")
	return p
}

// HeadOf returns the head commit that a payload names or, where it is nil, the
// commit with this id in the payload's list; nil if it is not there either. The
// list, the most of a payload, is decoded only then: deploy.CodeInvalid if it is
// none.
func HeadOf(provider string, payload []byte, named *Commit, id string) (*Commit, error) {
	if named != nil {
		return named, nil
	}
	var in struct {
		Commits []Commit `json:"commits"`
	}
	if err := Decode(provider, payload, &in); err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(in.Commits, func(c Commit) bool { return c.ID == id }); at >= 0 {
		return &in.Commits[at], nil
	}
	return nil, nil
}

// FirstOf returns the first of the texts that is not empty.
func FirstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func isHash(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// isPrintable tells identifiers apart from texts that hide something: they are
// compared and looked up, never cleaned.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
