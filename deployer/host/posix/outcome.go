package posix

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Task names what a call does, for its errors.
type Task struct {
	Op   string // "run", "put", "dial", "connect"
	Host string // the host's name for people
	What string // program, path or address; may be empty
}

// Ended is the error of a call whose context ended first: deploy.CodeTimeout
// for its deadline, deploy.CodeCancelled otherwise.
func (t Task) Ended(ctx context.Context) error {
	cause := ctx.Err()
	if errors.Is(cause, context.DeadlineExceeded) {
		return t.Fail(deploy.CodeTimeout, cause, "%s did not end within its time limit", t.phrase())
	}
	return t.Fail(deploy.CodeCancelled, cause, "%s was cancelled", t.phrase())
}

// Exit is the error of a command that ended with another code than 0, or by a
// signal (code -1): deploy.CodeFailed, caused by a *deployer.ExitError.
func (t Task) Exit(code int, stderr string) error {
	cause := &deployer.ExitError{Code: code, Stderr: stderr}
	end := fmt.Sprintf("ended with exit status %d", code)
	if code < 0 {
		end = "was ended by a signal"
	}
	if last := lastLine(stderr); last != "" {
		end += ": " + last
	}
	return t.Fail(deploy.CodeFailed, cause, "%s %s", t.phrase(), end)
}

// Source is the error of a call whose input could not be read to its end. It
// keeps the cause's own code, and is deploy.CodeFailed if that has none.
func (t Task) Source(cause error) error {
	code := deploy.CodeFailed
	var known *deploy.Error
	if errors.As(cause, &known) {
		code = known.Code
	}
	return t.Fail(code, cause, "%s stopped because its input could not be read to the end; nothing was replaced", t.phrase())
}

// Fail is an error of this task with a sentence for people.
func (t Task) Fail(code deploy.Code, cause error, format string, args ...any) error {
	subject := t.Host
	if t.What != "" {
		subject += ": " + t.What
	}
	return &deploy.Error{Code: code, Op: t.Op, Subject: subject, Message: fmt.Sprintf(format, args...), Err: cause}
}

func (t Task) phrase() string {
	if t.What == "" {
		return fmt.Sprintf("%s on %s", t.Op, t.Host)
	}
	return fmt.Sprintf("%s of %s on %s", t.Op, t.What, t.Host)
}

// lastLine is fit for a message: one line, valid text, not long.
func lastLine(s string) string {
	const limit = 300
	s = strings.TrimSpace(s)
	s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
	if len(s) > limit {
		s = "… " + s[len(s)-limit:]
	}
	return strings.ToValidUTF8(s, "")
}
