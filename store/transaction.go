package store

import (
	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// handle runs one of bbolt's own calls that take or release its locks. After a
// panic there bbolt is not called again: its locks may be held for ever.
func (d *database) handle(do func() error) error {
	if err := d.jam(); err != nil {
		return err
	}
	err := guard("use", d.file.Name(), do)
	if deploy.CodeOf(err) == deploy.CodeDamaged {
		d.jammed.Store(true)
	}
	return err
}

func (d *database) jam() error {
	if d.jammed.Load() {
		return damaged("use", d.file.Name(), "the database is damaged, so that it is not used any more: stop ipublish and restore the newest backup of the state folder", nil)
	}
	return nil
}

func (d *database) begin(mode txMode) (tx *bolt.Tx, err error) {
	err = d.handle(func() (err error) {
		tx, err = d.Begin(mode == writing)
		return err
	})
	return tx, err
}

type txMode string

const (
	reading txMode = "reading"
	writing txMode = "writing"
)

func (d *database) commit(tx *bolt.Tx) error   { return d.handle(tx.Commit) }
func (d *database) rollback(tx *bolt.Tx) error { return d.handle(tx.Rollback) }

// read runs a read-only transaction; do must neither block nor wait.
func (d *database) read(op, subject string, do func(tx *bolt.Tx) error) error {
	if err := d.here.checkOpen(d.file); err != nil {
		return err
	}
	tx, err := d.begin(reading)
	if err != nil {
		return coded(op, subject, err)
	}
	err = guard(op, subject, func() error { return do(tx) })
	if end := d.rollback(tx); err == nil {
		err = end
	}
	return coded(op, subject, err)
}

// shut closes the database. One that is jammed keeps its mapping until the
// process ends.
func (d *database) shut() error {
	if d.jammed.Load() {
		return d.file.Close()
	}
	return d.handle(d.Close)
}
