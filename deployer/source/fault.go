package source

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"ipublish/deploy"
)

func fault(code deploy.Code, op, subject, message string, err error) *deploy.Error {
	return &deploy.Error{Code: code, Op: op, Subject: subject, Message: message, Err: err}
}

// isEnd reports whether an error is the end of the caller's context.
func isEnd(err error) bool {
	c := deploy.CodeOf(err)
	return c == deploy.CodeCancelled || c == deploy.CodeTimeout
}

// explain gives an error of a conversation its code and its sentence, if it has
// none yet. The end of ctx wins over what it broke.
func explain(ctx context.Context, op string, a address, err error) error {
	var said *deploy.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ended(ctx, op, a.shown())
	case errors.As(err, &said):
		return err
	}
	code, message := verdict(a, err)
	return fault(code, op, a.shown(), message, redact(err))
}

// ended says that the caller's context ended first.
func ended(ctx context.Context, op, subject string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault(deploy.CodeTimeout, op, subject, "no answer came in time", ctx.Err())
	}
	return fault(deploy.CodeCancelled, op, subject, "", ctx.Err())
}

// verdict decides what an error of a conversation means.
func verdict(a address, err error) (deploy.Code, string) {
	text := err.Error()
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		strings.Contains(text, "unable to authenticate"):
		return deploy.CodeRefused, "the repository " + a.shown() + " did not accept the credentials: check credentials in the configuration"
	case errors.Is(err, errForeignRedirect):
		return deploy.CodeRefused, "the repository " + a.shown() + " redirects to another host, to which the credentials are not sent: configure its new address"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return deploy.CodeNotFound, "there is no repository at " + a.shown() + ", or the credentials may not see it"
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return deploy.CodeNotFound, "the repository " + a.shown() + " is empty: push a first commit"
	case strings.Contains(text, "not our ref"):
		return deploy.CodeUnavailable, "the repository " + a.shown() + " changed while it was read: try again"
	case errors.Is(err, os.ErrPermission):
		return deploy.CodeRefused, "the repository " + a.shown() + " may not be read: check the rights of its files"
	case errors.Is(err, errDamaged):
		return deploy.CodeFailed, "the repository " + a.shown() + " holds objects that cannot be read: run git fsck on it"
	case isLocal(err):
		return deploy.CodeFailed, localTrouble(a)
	}
	return deploy.CodeUnavailable, "the repository " + a.shown() + " does not answer as a git repository should"
}

// isLocal reports whether a file of this machine made the trouble.
func isLocal(err error) bool {
	var file *fs.PathError
	var link *os.LinkError
	return errors.As(err, &file) || errors.As(err, &link)
}

func localTrouble(a address) string {
	return "the mirror of " + a.shown() + " cannot be kept on the bot's machine: check its disk and the rights of state_dir"
}

// redact takes a password out of a URL that an error quotes.
func redact(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		if u, perr := url.Parse(ue.URL); perr == nil {
			ue.URL = u.Redacted()
		}
	}
	return err
}

// clip shortens text to at most n runes of valid UTF-8.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
