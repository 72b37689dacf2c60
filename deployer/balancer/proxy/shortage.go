package proxy

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"
)

// shortageInterval is how often a shortage is logged.
const shortageInterval = time.Second

// shortageError marks a connect that this machine could not even try: it says
// nothing of the address.
type shortageError struct{ error }

// Unwrap returns the cause.
func (e *shortageError) Unwrap() error { return e.error }

// undialed marks why a connect failed: for want of something here, or there.
func undialed(err error) error {
	for _, short := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		if errors.Is(err, short) {
			return &shortageError{err}
		}
	}
	return &dialError{err}
}

// shortage tells the log that connects are impossible, once an interval.
type shortage struct {
	log  *slog.Logger
	told atomic.Int64 // when, in nanoseconds since 1970
}

func (s *shortage) tell(err error) {
	now, told := time.Now().UnixNano(), s.told.Load()
	if now-told >= int64(shortageInterval) && s.told.CompareAndSwap(told, now) {
		s.log.Error("the proxy cannot connect to any release: it has too few open files or ports left", "error", err)
	}
}
