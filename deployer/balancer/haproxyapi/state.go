package haproxyapi

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"ipublish/deploy"
)

// The states that SetState knows. Maint is left out on purpose: a server that
// comes back from it counts as up before any check, and gets requests dead.
const (
	Ready = "ready" // receives requests as soon as its check allows it
	Drain = "drain" // gets no new request but those of its persistent sessions; is still checked
)

// longestName is the longest name of a backend or a server, in bytes.
const longestName = 256

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// ValidName reports whether s is the name of a backend or a server as HAProxy
// takes it, and nothing else.
func ValidName(s string) bool { return len(s) <= longestName && nameForm.MatchString(s) }

// SetState brings a server into state Ready or Drain and returns when HAProxy
// has done so. deploy.CodeInvalid for another state or what is no name,
// deploy.CodeNotFound for an unknown backend or server, deploy.CodeRefused when
// the socket's level is below admin, deploy.CodeFailed with HAProxy's words for
// anything else that it says; deploy.CodeUnavailable or deploy.CodeTimeout when
// it says nothing: then, if ErrUnanswered is in it, the state may be the one or
// the other, and may change yet.
func (a *API) SetState(ctx context.Context, backend, name, state string) error {
	subject := backend + "/" + name
	if !ValidName(backend) || !ValidName(name) || state != Ready && state != Drain {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "set", Subject: "haproxy",
			Message: fmt.Sprintf("%q and state %q: give names of letters, digits and _ . : - only, and ready or drain", subject, state)}
	}
	answer, err := a.ask(ctx, command{"set", "server", subject, "state", state})
	if err != nil {
		return err
	}
	return a.judge(subject, strings.TrimSpace(answer))
}

// judge reads the answer to a change: nothing is success.
func (a *API) judge(subject, said string) error {
	e := &deploy.Error{Op: "set", Subject: "haproxy " + subject}
	switch {
	case said == "":
		return nil
	case said == "No such server." || said == "No such backend.":
		e.Code = deploy.CodeNotFound
		e.Message = fmt.Sprintf("HAProxy behind %s has no server %s", a.socket, subject)
	case strings.HasPrefix(said, "Permission denied"):
		e.Code = deploy.CodeRefused
		e.Message = fmt.Sprintf("HAProxy lets nobody change servers on %s: write `level admin` at the end of its `stats socket` line in haproxy.cfg, and reload HAProxy", a.socket)
	default:
		e.Code = deploy.CodeFailed
		e.Message = fmt.Sprintf("HAProxy does not change %s: %s", subject, firstLine(said))
	}
	return e
}

// firstLine is fit for a message.
func firstLine(s string) string {
	const limit = 200
	line, _, _ := strings.Cut(s, "\n")
	return strings.ToValidUTF8(line[:min(len(line), limit)], "")
}
