package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// job is one call that wants to write. do may run several times; only the last
// run counts. It must not wait for anything.
type job struct {
	op    string
	do    func(b *batch) error
	taken atomic.Bool // by the writer, or by its caller, who gave up
	done  chan struct{}
	err   error // before done is closed: the writer's
}

// intake is where calls wait for the writer.
type intake struct {
	mu     sync.Mutex
	jobs   []*job
	closed bool
	kick   chan struct{}
}

func (in *intake) add(j *job) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.jobs = append(in.jobs, j)
	select {
	case in.kick <- struct{}{}:
	default:
	}
	return true
}

// take returns everything that is waiting and that nobody gave up.
func (in *intake) take() []*job {
	in.mu.Lock()
	jobs := in.jobs
	in.jobs = nil
	in.mu.Unlock()
	var own []*job
	for _, j := range jobs {
		if j.taken.CompareAndSwap(false, true) {
			own = append(own, j)
		}
	}
	return own
}

func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// write runs do in the next shared transaction. When ctx ends before that, do has
// not run and never will; once it runs, its outcome is waited for.
func (s *Store) write(ctx context.Context, op string, do func(b *batch) error) error {
	if ctx.Err() != nil {
		return ended(op, ctx)
	}
	j := &job{op: op, do: do, done: make(chan struct{})}
	if !s.intake.add(j) {
		return closed(op)
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ended(op, ctx)
		}
		<-j.done
	}
	return j.err
}

// writer is the one goroutine that changes the database and the picture.
func (s *Store) writer() {
	defer close(s.stopped)
	for {
		select {
		case <-s.intake.kick:
			runtime.Gosched() // callers that are running already come along
			s.commit(s.intake.take())
		case <-s.quit:
			finish(s.intake.take(), ErrClosed)
			return
		}
	}
}

func finish(jobs []*job, err error) {
	for _, j := range jobs {
		switch {
		case errors.Is(err, ErrClosed):
			j.err = closed(j.op)
		case err != nil:
			j.err = err
		}
		close(j.done)
	}
}

// commit runs the jobs in one transaction. A job that fails after it wrote
// something is taken out, and the others are run again without it.
func (s *Store) commit(jobs []*job) {
	for len(jobs) > 0 {
		failed, err := s.attempt(jobs)
		if failed == nil {
			finish(jobs, err)
			break
		}
		close(failed.done)
		jobs = without(jobs, failed)
	}
	s.checkpoint()
}

func without(jobs []*job, failed *job) []*job {
	var rest []*job
	for _, j := range jobs {
		if j != failed {
			rest = append(rest, j)
		}
	}
	return rest
}

// attempt returns the job that spoilt the transaction, or how the whole of it went.
func (s *Store) attempt(jobs []*job) (failed *job, err error) {
	if err := s.fit(); err != nil {
		return nil, err
	}
	tx, err := s.db.begin(writing)
	if err != nil {
		return nil, s.breakDown(err)
	}
	b := newBatch(tx, &s.picture, s.now)
	for _, j := range jobs {
		before := b.writes
		j.err = coded(j.op, "", guard(j.op, s.db.here.path, func() error { return j.do(b) }))
		if j.err != nil && b.writes != before {
			return j, s.rollback(tx)
		}
	}
	if b.writes == 0 {
		return nil, s.rollback(tx)
	}
	return nil, s.settle(b)
}

func (s *Store) rollback(tx *bolt.Tx) error {
	if err := s.db.rollback(tx); err != nil {
		return s.breakDown(err)
	}
	return nil
}

// settle commits, makes sure that the file is still the one at the path, and only
// then lets anybody see what was committed.
func (s *Store) settle(b *batch) error {
	if err := guard("write", s.db.here.path, b.flush); err != nil {
		return errors.Join(err, s.rollback(b.tx))
	}
	if err := s.db.commit(b.tx); err != nil {
		return s.uncommitted(err)
	}
	if err := s.fit(); err != nil {
		return err
	}
	s.publish(b)
	return nil
}

// fit returns why nothing can be written any more. Both files are looked at.
func (s *Store) fit() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	if err := errors.Join(s.db.jam(), s.db.here.check(), s.lock.here.check()); err != nil {
		return s.breakDown(err)
	}
	return nil
}

// breakDown ends all writing until the next start.
func (s *Store) breakDown(err error) error {
	err = coded("write", s.db.here.path, err)
	s.broken.CompareAndSwap(nil, &err)
	return *s.broken.Load()
}

// uncommitted judges a failed commit. With the disk full bbolt writes nothing
// that counts, and the next commit may succeed. After any other failure nobody
// can say what is on the disk: only a start finds out.
func (s *Store) uncommitted(err error) error {
	if full(err) {
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: "write", Subject: s.db.here.path, Err: err,
			Message: "the disk of the state folder is full, so that nothing can be recorded: free some space and try again"}
	}
	return s.breakDown(damaged("write", s.db.here.path, "writing failed, so that what is on the disk is uncertain: nothing more is written; look at the disk, then restart ipublish", err))
}

func (s *Store) publish(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.picture.merge(b.delta)
	s.wake()
}

// wake lets everything that waits look again; mu is held.
func (s *Store) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// changes returns a channel that is closed at the next change.
func (s *Store) changes() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// wait blocks until there was a change, ctx ended or the Store is closed.
func (s *Store) wait(ctx context.Context, op string, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-s.quit:
		return closed(op)
	case <-ctx.Done():
		return ended(op, ctx)
	}
}

// checkpoint brings the marker up to date once in a while. A failure is tried
// again after the next commit and told by Close; what was acknowledged is durable
// without it.
func (s *Store) checkpoint() {
	if s.broken.Load() == nil && s.picture.Seq >= s.marker.Seq+checkpointEvery {
		_ = s.mark()
	}
}

func (s *Store) mark() error {
	m := s.marker
	m.counters = s.picture.counters
	if err := m.write(s.markerPath(), s.how); err != nil {
		return err
	}
	s.marker = m
	return nil
}
