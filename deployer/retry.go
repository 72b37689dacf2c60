package deployer

import (
	"context"
	"errors"
	"time"

	"ipublish/deploy"
)

// retry repeats what could not be reached, with growing pauses, until ctx
// ends; then the last error is returned. Every other error is returned at once.
func retry(ctx context.Context, effect func(context.Context) error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := effect(ctx)
		if !passing(err) || ctx.Err() != nil || !wait(ctx, pause) {
			return err
		}
	}
}

// passing reports whether the same effect may well succeed a moment later.
func passing(err error) bool {
	code := deploy.CodeOf(err)
	return code == deploy.CodeUnavailable || code == deploy.CodeTimeout
}

// stepError gives err the operation and subject of the step it belongs to, and
// keeps its code, message and log.
func stepError(err error, op, subject string) *deploy.Error {
	in := deploy.AsError(err)
	out := &deploy.Error{Code: in.Code, Op: op, Subject: subject, Message: deploy.MessageOf(err), Log: logOf(err), Err: err}
	if out.Code == deploy.CodeCancelled {
		out.Code = deploy.CodeTimeout
	}
	return out
}

// logOf returns the first log lines that any error of the chain carries.
func logOf(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(*deploy.Error); ok && e.Log != "" {
			return e.Log
		}
	}
	return ""
}
