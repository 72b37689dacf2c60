package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// marker is the witness outside of the database: which installation this is, and
// numbers that had been given for certain when it was written.
type marker struct {
	Install string `json:"install"`
	Schema  int    `json:"schema"`
	counters
}

// checkpointEvery is how many events the marker may lag behind.
const checkpointEvery = 256

// lossMargin is added to the marker's numbers after an accepted loss, so that no
// number that was given is given again.
const lossMargin = 4096

func (m marker) beyond() counters {
	if m.Install == "" {
		return counters{}
	}
	return counters{ID: m.ID + lossMargin, Seq: m.Seq + lossMargin}
}

// readMarker returns the zero marker when there is none.
func readMarker(path string) (marker, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return marker{}, nil
	}
	if err != nil {
		return marker{}, fmt.Errorf("read marker: %w", err)
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil || m.Install == "" {
		return marker{}, damaged("open", path, "the installation's marker cannot be read: if the database beside it is the right one, remove this file and start again", err)
	}
	return m, nil
}

// syncing says whether a file must have reached the disk.
type syncing string

const (
	synced   syncing = "synced"
	unsynced syncing = "unsynced"
)

func (m marker) write(path string, how syncing) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := writeFile(temp, append(b, '\n'), how); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	return syncFolder(filepath.Dir(path), how)
}

func writeFile(path string, b []byte, how syncing) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && how == synced {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes renames in the folder durable.
func syncFolder(path string, how syncing) error {
	if how == unsynced {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
