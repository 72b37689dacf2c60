package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"ipublish/deploy"
)

// The time between two polls: it grows from the first to the longest, unless
// the server asks for more patience.
const (
	firstPause   = 2 * time.Second
	longestPause = 15 * time.Second
)

// reason is why an artifact is not there yet.
type reason int

const (
	noArtifact reason = iota // the server has no such file
	noChecksum
	noAnswer // the connection failed
	busy     // the server says that it cannot answer now
	doubted  // checksum and file do not fit: CI may be writing them
)

// notYet says that another poll may succeed.
type notYet struct {
	reason reason
	at     *url.URL
	text   string        // what the server or the connection said
	after  time.Duration // what the server asks for; 0: nothing
	final  error         // of doubted: the failure if it happens again
	err    error
}

// Error implements error.
func (n *notYet) Error() string { return n.line("the artifact", "commit", "?", "?") }

// Unwrap returns the cause.
func (n *notYet) Unwrap() error { return n.err }

// line is what is told after a poll.
func (n *notYet) line(name, commit, spent, wait string) string {
	switch n.reason {
	case noChecksum:
		return fmt.Sprintf("waiting for CI: the checksum of %s of %s is not there yet (%s of %s)", name, commit, spent, wait)
	case noAnswer:
		return fmt.Sprintf("waiting for CI: no whole answer from %s, trying again: %s (%s of %s)", n.at.Host, n.text, spent, wait)
	case busy:
		return fmt.Sprintf("waiting for CI: %s answers %s, trying again (%s of %s)", n.at.Host, n.text, spent, wait)
	case doubted:
		return fmt.Sprintf("waiting for CI: %s of %s and its checksum do not fit, downloading both once more (%s of %s)", name, commit, spent, wait)
	}
	return fmt.Sprintf("waiting for CI: %s of %s is not there yet (%s of %s)", name, commit, spent, wait)
}

// kept is an artifact in the store.
type kept struct {
	sum  string
	size int64
}

// await polls until the artifact is in the store, at most d.wait long.
func (d *delivery) await(ctx context.Context) (kept, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.wait)
	defer cancel()
	last := &notYet{reason: noArtifact, at: d.artifact}
	for pause := firstPause; ; pause = min(pause*3/2, longestPause) {
		got, err := d.poll(ctx)
		var again *notYet
		switch {
		case err == nil:
			return got, nil
		case ctx.Err() != nil:
			return kept{}, d.late(&notYet{reason: noAnswer, at: d.artifact, text: "the download was not finished", final: last.final, err: err})
		case !errors.As(err, &again):
			return kept{}, err
		case again.final != nil && last.final != nil:
			return kept{}, again.final
		}
		if again.final == nil {
			again.final = last.final // a second doubt is a failure, whatever comes between
		}
		last = again
		d.tell(again.line(d.name, d.r.Commit.Short(), brief(time.Since(began)), brief(d.wait)))
		if !rest(ctx, max(pause, again.after)) {
			return kept{}, d.late(last)
		}
	}
}

// rest waits; false: ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// late is the failure when the waiting is over.
func (d *delivery) late(n *notYet) error {
	if n.final != nil {
		return n.final
	}
	at, wait, commit := shownURL(n.at), brief(d.wait), d.r.Commit.Short()
	switch n.reason {
	case noAnswer:
		return d.fault(deploy.CodeTimeout, n.err, "%s could not be downloaded within %s, because there was no whole answer: %s; check that the bot's machine reaches %s, then deploy again", at, wait, n.text, n.at.Host)
	case busy:
		return d.fault(deploy.CodeTimeout, n.err, "%s could not be downloaded within %s, because %s answers %s: deploy again when it works", at, wait, n.at.Host, n.text)
	}
	return d.fault(deploy.CodeTimeout, n.err, "CI did not deliver %s within %s: look at the CI job of %s and deploy again when the file is there, or raise build.wait if CI needs longer", at, wait, commit)
}

// brief prints a duration for people, to the second: "3m", "2m20s".
func brief(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
