package sim

import (
	"context"
	"time"

	"ipublish/deploy"
)

type mishap int

const (
	fine mishap = iota
	failsBefore
	failsAfter
	refused
)

// fate draws what happens to one call of the named fake, and sleeps if it is slow.
func (w *World) fate(ctx context.Context, name string) (mishap, error) {
	w.mu.Lock()
	if err := w.pass(name); err != nil {
		w.mu.Unlock()
		return fine, err
	}
	r := w.random(name)
	draw, slow, length := r.Float64(), r.Float64(), r.Int64N(int64(3*time.Second))
	quiet, cut := !time.Now().Before(w.faultsEnd), time.Now().Before(w.hands.cut[name])
	w.mu.Unlock()
	if cut {
		return failsBefore, nil
	}
	if quiet {
		return fine, nil
	}
	if slow < w.Rates.Slow && !sleep(ctx, time.Duration(length)) {
		return fine, ctx.Err()
	}
	switch {
	case draw < w.Rates.Before:
		return failsBefore, nil
	case draw < w.Rates.Before+w.Rates.After:
		return failsAfter, nil
	case draw < w.Rates.Before+w.Rates.After+w.Rates.Refuse:
		return refused, nil
	}
	return fine, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// call performs one effect of the named fake with what fate has for it: a
// boundary before and after it, both of which may be the bot's last.
func (w *World) call(ctx context.Context, name string, effect func() error) error {
	what, err := w.fate(ctx, name)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch what {
	case failsBefore:
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: name, Message: "cut before it happened"}
	case refused:
		return &deploy.Error{Code: deploy.CodeFailed, Op: name, Message: "refused for good"}
	}
	w.mu.Lock()
	w.settle()
	w.late()
	err = effect()
	down := w.pass(name)
	w.mu.Unlock()
	if down != nil {
		return down
	}
	if err == nil && what == failsAfter {
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: name, Message: "it happened, but the answer was lost"}
	}
	return err
}

// reachable fails while the host is gone; now and then it disappears.
func (w *World) reachable(m *machine) error {
	now := time.Now()
	if now.Before(w.faultsEnd) {
		r := w.random("gone:" + string(m.id))
		if r.Float64() < w.Rates.Gone {
			m.gone = now.Add(time.Duration(r.Int64N(int64(20 * time.Second))))
		}
	} else {
		m.gone = time.Time{}
	}
	if now.Before(m.gone) || now.Before(m.lost) {
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: "reach", Subject: string(m.id), Message: "host unreachable"}
	}
	return nil
}

// orphan is a command whose caller was lost before it began.
type orphan struct {
	at    time.Time
	on    *machine
	epoch uint64
	do    func() error
}

// delays draws whether a command begins only after its caller was told that the
// connection broke.
func (w *World) delays(m *machine) bool {
	return time.Now().Before(w.faultsEnd) && w.Rates.Late > 0 && w.random("late:"+string(m.id)).Float64() < w.Rates.Late
}

func (w *World) postpone(m *machine, do func() error) error {
	wait := time.Duration(w.random("late:" + string(m.id)).Int64N(int64(30 * time.Second)))
	w.orphans = append(w.orphans, orphan{time.Now().Add(wait), m, m.epoch, do})
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "run", Subject: string(m.id), Message: "the connection broke"}
}

// late runs the commands whose time has come, unless a newer one was there (I9).
func (w *World) late() {
	var later []orphan
	for _, o := range w.orphans {
		switch {
		case time.Now().Before(o.at):
			later = append(later, o)
		case o.epoch < o.on.epoch || w.crashed:
		default:
			_ = o.do() // nobody hears
		}
	}
	w.orphans = later
}

// RefuseAppend draws whether the journal refuses a record now.
func (w *World) RefuseAppend() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.faultsEnd) && w.random("journal").Float64() < w.Rates.Append
}
