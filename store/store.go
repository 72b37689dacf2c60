package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Options change how a Store is opened. The zero Options are right for a server.
type Options struct {
	NoSync     bool             // do not wait for the disk: simulations only, nothing survives a power loss
	AcceptLoss bool             // go on although the database is missing, empty, older or foreign
	Now        func() time.Time // wall clock of events; nil: time.Now
	Wait       time.Duration    // for a predecessor that is still ending; 0: refuse at once
}

func (o Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

func (o Options) accept() acceptance {
	if o.AcceptLoss {
		return lossAccepted
	}
	return lossRefused
}

func (o Options) syncing() syncing {
	if o.NoSync {
		return unsynced
	}
	return synced
}

// Store is the open state folder of one server. All methods may be called from
// any goroutine.
type Store struct {
	folder string
	now    func() time.Time
	how    syncing
	db     *database
	lock   *lockFile
	marker marker // the writer's

	intake  intake
	quit    chan struct{} // closed: everything that waits gives up
	stopped chan struct{} // closed: the writer ended
	broken  atomic.Pointer[error]
	closing sync.Once
	outcome error // of Close

	mu      sync.RWMutex
	picture picture         // changed by the writer only, under mu
	changed chan struct{}   // closed and replaced at every change
	last    *targetRotation // the writer's
}

// Open opens the folder (made if absent, mode 0700) and starts the writer; it
// ends with Close.
//
// deploy.CodeRefused: another process uses the folder (the message names its
// pid) for longer than Options.Wait, or a newer ipublish wrote the database. deploy.CodeDamaged: the database
// is missing, empty, cut, older than the marker beside it, foreign or
// unreadable; the message says what to do. Options.AcceptLoss overrides what can
// be gone on with; the numbers of deploys and events then go on far enough above
// the marker's that none is given twice.
func Open(path string, o Options) (*Store, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, coded("open", path, fmt.Errorf("make the state folder: %w", err))
	}
	lock, err := takeLock(filepath.Join(path, lockName), o.Wait)
	if err != nil {
		return nil, coded("open", path, err)
	}
	s, err := open(path, o, lock)
	if err != nil {
		return nil, coded("open", path, errors.Join(err, lock.release()))
	}
	return s, nil
}

func open(path string, o Options, lock *lockFile) (*Store, error) {
	db, mark, err := openDatabase(path, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		folder: path, now: o.now, how: o.syncing(), db: db, lock: lock, marker: mark,
		intake: intake{kick: make(chan struct{}, 1)}, quit: make(chan struct{}), stopped: make(chan struct{}),
		changed: make(chan struct{}), last: &targetRotation{},
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.shut())
	}
	go s.writer()
	return s, nil
}

func (s *Store) load() error {
	err := s.db.read("open", s.db.here.path, func(tx *bolt.Tx) error {
		s.picture = load(tx, s.marker.counters)
		return nil
	})
	if err != nil {
		return err
	}
	return s.marker.write(s.markerPath(), s.how)
}

func (s *Store) markerPath() string { return filepath.Join(s.folder, markerName) }

// Wake makes a blocked Claim ask its admit again: something that admit looks at
// outside of the Store changed.
func (s *Store) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// Close lets the commit under way finish, refuses what is still waiting, and
// gives the folder free. Calls that are blocked, and all later ones, get
// deploy.CodeUnavailable wrapping ErrClosed. A second Close returns what the
// first one did.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.intake.close()
		close(s.quit)
		<-s.stopped
		s.outcome = coded("close", s.folder, errors.Join(s.lastMark(), s.db.shut(), s.lock.release()))
	})
	return s.outcome
}

// lastMark brings the marker up to date, unless the files are not ours any more.
func (s *Store) lastMark() error {
	if s.fit() != nil || s.marker.counters == s.picture.counters {
		return nil
	}
	return s.mark()
}
