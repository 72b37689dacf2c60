package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"ipublish/deploy"
)

// ErrClosed is the cause of every error after Close, under deploy.CodeUnavailable.
var ErrClosed = errors.New("the store is closed")

func closed(op string) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Message: "ipublish is stopping: try again in a moment", Err: ErrClosed}
}

func damaged(op, subject, message string, err error) *deploy.Error {
	return &deploy.Error{Code: deploy.CodeDamaged, Op: op, Subject: subject, Message: message, Err: err}
}

func ended(op string, ctx context.Context) error {
	return &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Op: op, Err: ctx.Err()}
}

// guard turns a panic of bbolt over a damaged page, or a fault in its mapped
// file, into an error.
func guard(op, subject string, do func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = damaged(op, subject, "the database is damaged there: stop ipublish and restore the newest backup of the state folder", fmt.Errorf("%v", p))
		}
	}()
	return do()
}

// coded gives every error of a call its code.
func coded(op, subject string, err error) error {
	var known *deploy.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return closed(op)
	case errors.Is(err, bolterrors.ErrKeyTooLarge), errors.Is(err, bolterrors.ErrValueTooLarge), errors.Is(err, bolterrors.ErrKeyRequired):
		return &deploy.Error{Code: deploy.CodeInvalid, Op: op, Subject: subject, Message: "a key is empty or something is too large to be stored", Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &deploy.Error{Code: deploy.CodeRefused, Op: op, Subject: subject, Message: "the user that runs ipublish must own the state folder and all in it", Err: err}
	}
	return &deploy.Error{Code: deploy.CodeInternal, Op: op, Subject: subject, Err: err}
}

// full reports whether a write to the file found no room. A sync that finds none
// is another matter: it may have lost what was written before.
func full(err error) bool {
	var at *fs.PathError
	return errors.As(err, &at) && at.Op == "write" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}
