package store

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"ipublish/deploy"
)

const (
	databaseName = "ipublish.db"
	lockName     = "ipublish.lock"
	markerName   = "installed.json"

	// mapSize is reserved, not used, so that growing does not wait for readers.
	mapSize = 256 << 20
	// smallMapSize is that of stores without syncing: simulations open thousands.
	smallMapSize = 1 << 20
)

// database is the open bbolt file with the file beside bbolt's own handle.
type database struct {
	*bolt.DB
	file   *os.File // owned by bbolt
	here   *watched
	jammed atomic.Bool // bbolt panicked while it held its own locks
}

type acceptance string

const (
	lossRefused  acceptance = "refused"
	lossAccepted acceptance = "accepted"
)

// openDatabase opens the folder's database, or creates it where nothing says
// that there was one. The marker that is returned is the one that is true now.
func openDatabase(folder string, o Options) (*database, marker, error) {
	mark, err := readMarker(filepath.Join(folder, markerName))
	if err != nil {
		return nil, marker{}, err
	}
	path := filepath.Join(folder, databaseName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createMissing(path, mark, o)
	case err != nil:
		return nil, marker{}, fmt.Errorf("open database: %w", err)
	case info.Size() == 0:
		return replaceEmpty(path, mark, o)
	}
	return openPresent(path, mark, o)
}

func createMissing(path string, mark marker, o Options) (*database, marker, error) {
	if mark.Install != "" && o.accept() != lossAccepted {
		return nil, marker{}, damaged("open", path, fmt.Sprintf(
			"the database is missing, but %s says that ipublish was installed here and had recorded at least %d events: restore the newest backup of the state folder, or start once with --accept-loss to begin anew",
			markerName, mark.Seq), nil)
	}
	return create(path, mark.beyond(), o)
}

func replaceEmpty(path string, mark marker, o Options) (*database, marker, error) {
	if o.accept() != lossAccepted {
		return nil, marker{}, damaged("open", path,
			"the database is empty (0 bytes), so everything it held is lost: restore the newest backup of the state folder, or start once with --accept-loss to begin anew", nil)
	}
	aside := fmt.Sprintf("%s.lost-%d", path, o.now().Unix())
	if err := os.Rename(path, aside); err != nil {
		return nil, marker{}, fmt.Errorf("set the empty database aside: %w", err)
	}
	return create(path, mark.beyond(), o)
}

// create makes the database under another name first, so that a crash leaves
// either none or a whole one.
func create(path string, from counters, o Options) (*database, marker, error) {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, marker{}, fmt.Errorf("create database: %w", err)
	}
	db, err := openBolt(temp, o)
	if err != nil {
		return nil, marker{}, err
	}
	mark := marker{Install: newInstall(), Schema: schemaVersion, counters: from}
	err = errors.Join(db.found(mark), os.Rename(temp, path), syncFolder(filepath.Dir(path), o.syncing()))
	if err == nil {
		db.here, err = watch(db.file, path)
	}
	if err != nil {
		return nil, marker{}, errors.Join(fmt.Errorf("create database: %w", err), db.Close())
	}
	return db, mark, nil
}

func newInstall() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// openBolt opens the file, recovering from bbolt's panics.
func openBolt(path string, o Options) (*database, error) {
	db := &database{}
	opts := &bolt.Options{
		Timeout: 2 * time.Second, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			db.file = f
			return f, err
		},
	}
	if o.NoSync {
		opts.NoSync, opts.NoGrowSync, opts.InitialMmapSize = true, true, smallMapSize
	} else {
		opts.InitialMmapSize = mapSize
	}
	err := guard("open", path, func() (err error) {
		db.DB, err = bolt.Open(path, 0o600, opts)
		return err
	})
	if err != nil {
		if db.file != nil {
			db.file.Close()
		}
		return nil, opening(path, err)
	}
	return db, nil
}

func opening(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return &deploy.Error{Code: deploy.CodeRefused, Op: "open", Subject: path, Err: err,
			Message: "another process has the database open: stop it first"}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return unusable(path, err.Error())
	}
	return coded("open", path, err)
}

// found writes what a new database starts with.
func (d *database) found(m marker) error {
	return d.Update(func(tx *bolt.Tx) error {
		for _, b := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(b)); err != nil {
				return err
			}
		}
		return errors.Join(
			putMeta(tx, metaSchema, m.Schema), putMeta(tx, metaInstall, m.Install),
			putMeta(tx, metaCounters, m.counters), putMeta(tx, metaQueued, 0),
			putMeta(tx, metaGaps, []gap{{After: 0, To: m.Seq}}))
	})
}

func putMeta(tx *bolt.Tx, name string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(name), seal(bucketMeta, []byte(name), content))
}

func getMeta(tx *bolt.Tx, name string, v any) error {
	return unsealJSON(bucketMeta, []byte(name), tx.Bucket([]byte(bucketMeta)).Get([]byte(name)), v)
}

func openPresent(path string, mark marker, o Options) (*database, marker, error) {
	if err := inspectPath(path, o.accept()); err != nil {
		return nil, marker{}, err
	}
	db, err := openBolt(path, o)
	if err != nil {
		return nil, marker{}, err
	}
	db.here, err = watch(db.file, path)
	if err == nil {
		mark, err = db.confirm(mark, o)
	}
	if err != nil {
		return nil, marker{}, errors.Join(err, db.shut())
	}
	return db, mark, nil
}

func inspectPath(path string, accept acceptance) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer f.Close()
	return inspect(f, accept)
}

// confirm compares the database with the marker outside of it and returns the
// marker as it is to be from now on.
func (d *database) confirm(mark marker, o Options) (marker, error) {
	stored, err := d.identity()
	if err != nil {
		return marker{}, err
	}
	if err := disagreement(d.here.path, stored, mark); err != nil {
		if o.accept() != lossAccepted {
			return marker{}, err
		}
		if stored, err = d.leap(stored, mark.beyond()); err != nil {
			return stored, err
		}
	}
	return d.raise(stored)
}

// raise notes the form that this binary writes, so that an older one that meets
// it says so, instead of calling records damaged that it cannot know.
func (d *database) raise(stored marker) (marker, error) {
	if stored.Schema == schemaVersion {
		return stored, nil
	}
	stored.Schema = schemaVersion
	err := d.Update(func(tx *bolt.Tx) error { return putMeta(tx, metaSchema, schemaVersion) })
	return stored, coded("open", d.here.path, err)
}

// leap leaves numbers out that may have been given.
func (d *database) leap(stored marker, to counters) (marker, error) {
	from := stored.Seq
	stored.counters = stored.counters.atLeast(to)
	err := d.Update(func(tx *bolt.Tx) error {
		var gaps []gap
		if err := getMeta(tx, metaGaps, &gaps); err != nil {
			gaps = nil
		}
		gaps = append(gaps, gap{After: from, To: stored.Seq})
		return errors.Join(putMeta(tx, metaGaps, gaps), putMeta(tx, metaCounters, stored.counters))
	})
	return stored, coded("open", d.here.path, err)
}

func disagreement(path string, stored, mark marker) error {
	switch {
	case mark.Install == "":
		return nil
	case stored.Install != mark.Install:
		return damaged("open", path, fmt.Sprintf("the database belongs to another installation (%.8s) than %s beside it (%.8s): put the right database back, or start once with --accept-loss to go on with this one", stored.Install, markerName, mark.Install), nil)
	case stored.Seq < mark.Seq:
		return damaged("open", path, fmt.Sprintf("the database is older than it was: it ends at event %d, but event %d had been recorded; restore a newer backup of the state folder, or start once with --accept-loss to go on without what is missing", stored.Seq, mark.Seq), nil)
	}
	return nil
}

// identity reads what the database says of itself. Damaged counters are taken
// from the newest keys.
func (d *database) identity() (marker, error) {
	var m marker
	err := d.read("open", d.here.path, func(tx *bolt.Tx) error {
		if err := checkSchema(tx, d.here.path, &m.Schema); err != nil {
			return err
		}
		if err := getMeta(tx, metaInstall, &m.Install); err != nil {
			return unusable(d.here.path, err.Error())
		}
		if err := getMeta(tx, metaCounters, &m.counters); err != nil {
			m.counters = counters{}
		}
		m.counters = m.counters.atLeast(newestKeys(tx))
		return nil
	})
	return m, err
}

func checkSchema(tx *bolt.Tx, path string, version *int) error {
	for _, b := range buckets() {
		if tx.Bucket([]byte(b)) == nil {
			return unusable(path, "it is not a database of ipublish, or the part "+b+" is missing")
		}
	}
	if err := getMeta(tx, metaSchema, version); err != nil {
		return unusable(path, err.Error())
	}
	if *version > schemaVersion {
		return &deploy.Error{Code: deploy.CodeRefused, Op: "open", Subject: path, Message: fmt.Sprintf(
			"the database has form %d, which a newer ipublish wrote; this one reads form %d: start the newer one again, or restore the backup from before the upgrade", *version, schemaVersion)}
	}
	return nil
}

func newestKeys(tx *bolt.Tx) counters {
	id, _ := tx.Bucket([]byte(bucketDeploys)).Cursor().Last()
	seq, _ := tx.Bucket([]byte(bucketJournal)).Cursor().Last()
	return counters{ID: deploy.ID(leading(id)), Seq: leading(seq)}
}
