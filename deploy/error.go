package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
)

// Code says what kind of failure an Error is. It alone decides whether the
// engine retries, undoes, holds or refuses; messages are for people.
type Code string

// The codes, and what the engine does with each.
const (
	// CodeInvalid: the input is wrong; the message says what to change. Never retried.
	CodeInvalid Code = "invalid"
	// CodeNotFound: what was named does not exist. Never retried.
	CodeNotFound Code = "not_found"
	// CodeRefused: a rule forbids it (right, floor, failed release). Never retried.
	CodeRefused Code = "refused"
	// CodeConflict: the journal moved on; fold again and decide anew.
	CodeConflict Code = "conflict"
	// CodeLookup: the request's commit or tip must be asked before it can be claimed.
	CodeLookup Code = "lookup"
	// CodeUnavailable: the other side did not answer; retried within the step's limit.
	CodeUnavailable Code = "unavailable"
	// CodeTimeout: the deadline of an effect passed; counts as the step's failure.
	CodeTimeout Code = "timeout"
	// CodeUnhealthy: the release failed its check; undone or reverted.
	CodeUnhealthy Code = "unhealthy"
	// CodeFailed: the effect failed and repeating it cannot help; undone or reverted.
	CodeFailed Code = "failed"
	// CodeDrift: a managed file or process is not as ipublish left it; nothing is
	// written, a person decides.
	CodeDrift Code = "drift"
	// CodeForeign: a process that ipublish did not start holds the slot's port.
	CodeForeign Code = "foreign"
	// CodeHold: going on or back could do harm; the deploy is held for a person.
	CodeHold Code = "hold"
	// CodeCancelled: the caller's context ended first. Nothing is decided by it.
	CodeCancelled Code = "cancelled"
	// CodeDamaged: a stored record cannot be trusted; its environment is frozen.
	CodeDamaged Code = "damaged"
	// CodeInternal: a defect of ipublish.
	CodeInternal Code = "internal"
)

// Error is the one error type of the product. Message is a whole sentence for
// the channel that says what to do; Err is the chain for the operator's log.
type Error struct {
	Code    Code   `json:"code"`
	Op      string `json:"op,omitempty"`      // what was being done, e.g. "start"
	Subject string `json:"subject,omitempty"` // to what, e.g. "web-1/green"
	Message string `json:"message,omitempty"` // for people; empty: Error() is told
	Log     string `json:"log,omitempty"`     // last lines of the app's or build's output
	Err     error  `json:"-"`                 // cause; after JSON an opaque text
}

// Error gives "op subject: message: cause" without the empty parts.
func (e *Error) Error() string {
	head := strings.TrimSpace(e.Op + " " + e.Subject)
	parts := make([]string, 0, 3)
	if head != "" {
		parts = append(parts, head)
	}
	cause := ""
	if e.Err != nil {
		cause = e.Err.Error()
	}
	if e.Message != "" && !strings.Contains(cause, e.Message) {
		parts = append(parts, e.Message)
	}
	if cause != "" {
		parts = append(parts, cause)
	}
	if len(parts) == 0 {
		return string(e.Code)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

type errorJSON struct {
	*plainError
	Cause string `json:"cause,omitempty"`
}

type plainError Error

// MarshalJSON keeps the cause as text.
func (e *Error) MarshalJSON() ([]byte, error) {
	out := errorJSON{plainError: (*plainError)(e)}
	if e.Err != nil {
		out.Cause = e.Err.Error()
	}
	return json.Marshal(out)
}

// UnmarshalJSON restores what MarshalJSON wrote; the cause becomes an opaque error.
func (e *Error) UnmarshalJSON(b []byte) error {
	in := errorJSON{plainError: (*plainError)(e)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.Cause != "" {
		e.Err = errors.New(in.Cause)
	}
	return nil
}

// CodeOf returns the code of the outermost Error in the chain. A context's end
// is CodeTimeout or CodeCancelled, nil is the empty code, all else CodeInternal.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	case errors.Is(err, context.Canceled):
		return CodeCancelled
	default:
		return CodeInternal
	}
}

// MessageOf returns the sentence for people: the outermost Message in the
// chain, through joined errors too, else the error's text.
func MessageOf(err error) string {
	var de *Error
	for e := err; errors.As(e, &de); e = de.Err {
		if de.Message != "" {
			return de.Message
		}
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// AsError returns err as an *Error, wrapping a foreign one with its CodeOf.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeOf(err), Err: err}
}
