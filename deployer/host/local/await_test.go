package local

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestACommandThatCannotBeKilledDoesNotHoldTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := await(ctx, make(chan error))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Minute+time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}
