package bottest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Push describes one push to be delivered. Every empty field has a default, so
// that the zero Push is a plain push of one commit to main of acme/shop.
type Push struct {
	Repo     string    // default "acme/shop"
	Ref      string    // default "refs/heads/main"
	Before   string    // default some hash; Zeros for a new ref
	After    string    // default some hash; Zeros for a deleted ref
	Commit   string    // the commit that After names; differs for an annotated tag; default After
	Title    string    // first line of the head commit's message; default "Fix the basket"
	Message  string    // the whole message; default Title and a second paragraph
	Author   string    // default "Ada Lovelace"
	Pusher   string    // default "ada"
	Delivery string    // default made of Repo, Ref, Before and After, in the form of a UUID
	At       time.Time // when it is sent; default now
	Form     bool      // sent as a form where the host can do so
}

// Zeros is the hash of a ref that is not there.
const Zeros = "0000000000000000000000000000000000000000"

// Hash returns a made-up commit hash that is the same for the same text.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:20])
}

// Deleted reports whether the push deletes its ref.
func (p Push) Deleted() bool { return p.After != "" && strings.Trim(p.After, "0") == "" }

// filled returns the push with every default in place.
func (p Push) filled() Push {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&p.Repo, "acme/shop"}, {&p.Ref, "refs/heads/main"}, {&p.Before, Hash("before")}, {&p.After, Hash("after")},
		{&p.Title, "Fix the basket"}, {&p.Author, "Ada Lovelace"}, {&p.Pusher, "ada"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if p.Commit == "" {
		p.Commit = p.After
	}
	if p.Message == "" {
		p.Message = p.Title + "\n\nThe total was counted twice.\n"
	}
	if p.Delivery == "" {
		p.Delivery = uuid(strings.Join([]string{p.Repo, p.Ref, p.Before, p.After}, " "))
	}
	if p.At.IsZero() {
		p.At = time.Now()
	}
	return p
}

func uuid(text string) string {
	h := Hash(text)
	return fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[12:15], h[15:18], h[18:30])
}
