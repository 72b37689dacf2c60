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
	barred   // 403, which storages also say of a missing file
	doubted  // checksum and file do not fit: CI may be writing them
)

// notYet says that another poll may succeed.
type notYet struct {
	reason reason
	at     *url.URL
	from   *url.URL      // who answered, after redirects; nil: at
	begun  bool          // the answer had begun to come
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
	case barred:
		return fmt.Sprintf("waiting for CI: %s answers %s, perhaps because %s of %s is not there yet (%s of %s)", n.from.Host, n.text, name, commit, spent, wait)
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
	var last *notYet
	for pause := firstPause; ; pause = min(pause*3/2, longestPause) {
		got, err := d.poll(ctx)
		var again *notYet
		isAgain := errors.As(err, &again)
		switch {
		case err == nil:
			return got, nil
		case ctx.Err() != nil:
			return kept{}, d.late(d.cut(last, again, err))
		case !isAgain:
			return kept{}, err
		case again.final != nil && last != nil && last.final != nil:
			return kept{}, again.final
		}
		if again.final == nil && last != nil {
			again.final = last.final // a second doubt is a failure, whatever comes between
		}
		last = again
		d.tell(again.line(d.name, d.r.Commit.Short(), brief(time.Since(began)), brief(d.wait)))
		if !rest(ctx, max(pause, again.after)) {
			return kept{}, d.late(last)
		}
	}
}

// cut is what to say of a poll that the end of the waiting cut off: the answer
// before it, unless a download was under way.
func (d *delivery) cut(last, poll *notYet, err error) *notYet {
	if last != nil && (last.final != nil || poll != nil && !poll.begun) {
		return last
	}
	return &notYet{reason: noAnswer, at: d.artifact, text: "the download was not finished", err: err}
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
	if n.reason == barred && sameOrigin(n.from, d.artifact) {
		return d.fault(deploy.CodeTimeout, n.err, "%s answered %s for %s: either CI did not deliver it, so look at the CI job of %s, or it may not be read: check build.headers, and that they may read there", at, n.text, wait, commit)
	}
	if n.reason == barred {
		return d.fault(deploy.CodeTimeout, n.err, "%s answered %s to the download of %s for %s: either CI did not deliver it, so look at the CI job of %s, or it may not be read without build.headers, which are sent to the host of build.artifact_url only: configure an address that needs no redirect to another host", n.from.Host, n.text, at, wait, commit)
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
