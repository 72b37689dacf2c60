package proxy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ipublish/deploy"
)

const stateVersion = 1

// stateFile is where the routes survive the process.
type stateFile string

type stateForm struct {
	Version int               `json:"version"`
	Routes  []json.RawMessage `json:"routes"`
}

// record is one route on disk with the checksum of its compact JSON.
type record struct {
	SHA256 string          `json:"sha256"`
	Route  json.RawMessage `json:"route"`
}

// damagedRecord is a record that cannot be trusted. It stays in the file as it
// is until its route is set anew.
type damagedRecord struct {
	name string // as far as it can be read
	raw  json.RawMessage
	why  error
}

// load reads the routes; one damaged record never hides the others. An absent
// file is no routes. deploy.CodeDamaged when the file cannot be read, or when
// nothing in it can be trusted.
func (f stateFile) load() ([]route, []damagedRecord, error) {
	data, err := os.ReadFile(string(f))
	if _, absent := os.Lstat(string(f)); errors.Is(err, fs.ErrNotExist) && errors.Is(absent, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, f.damaged(err)
	}
	var form stateForm
	if err := decodeStrict(data, &form); err != nil {
		return nil, nil, f.damaged(err)
	}
	if form.Version != stateVersion {
		return nil, nil, f.foreign(form.Version)
	}
	routes, damaged := sift(form.Routes)
	if len(routes) == 0 && len(damaged) > 0 {
		return nil, nil, f.damaged(damaged[0].why)
	}
	return routes, damaged, nil
}

// sift parts the records into routes and those that cannot be trusted.
func sift(records []json.RawMessage) (routes []route, damaged []damagedRecord) {
	taken := map[string]string{}
	for _, raw := range records {
		r, err := decodeRecord(raw)
		switch {
		case err != nil:
		case taken["name "+r.Name] != "":
			err = fmt.Errorf("route %s is there twice", r.Name)
		case taken["listen "+r.Listen] != "":
			err = fmt.Errorf("%s is listened at by %s and %s", r.Listen, taken["listen "+r.Listen], r.Name)
		}
		if err != nil {
			damaged = append(damaged, damagedRecord{name: r.Name, raw: raw, why: err})
			continue
		}
		taken["name "+r.Name], taken["listen "+r.Listen] = r.Name, r.Name
		routes = append(routes, r)
	}
	return routes, damaged
}

func decodeRecord(raw json.RawMessage) (route, error) {
	var rec record
	var r route
	if err := decodeStrict(raw, &rec); err != nil {
		return r, err
	}
	if err := decodeStrict(rec.Route, &r); err != nil {
		return r, err
	}
	if sum, err := checksum(rec.Route); err != nil || sum != rec.SHA256 {
		return r, fmt.Errorf("the checksum of route %s does not match", r.Name)
	}
	return r, r.check()
}

func encodeRecord(r route) (json.RawMessage, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum, err := checksum(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(record{SHA256: sum, Route: raw})
}

func checksum(raw json.RawMessage) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return "", err
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:]), nil
}

// save makes the file hold exactly these routes, by name, and damaged records; durable
// when it returns. deploy.CodeFailed, and the old file stands, when it cannot.
func (f stateFile) save(routes []route, damaged []damagedRecord) error {
	form := stateForm{Version: stateVersion, Routes: []json.RawMessage{}}
	for _, r := range byName(routes) {
		raw, err := encodeRecord(r)
		if err != nil {
			return f.unwritten(err)
		}
		form.Routes = append(form.Routes, raw)
	}
	for _, d := range damaged {
		form.Routes = append(form.Routes, d.raw)
	}
	data, err := json.MarshalIndent(form, "", "  ")
	if err != nil {
		return f.unwritten(err)
	}
	if err := replaceFile(string(f), append(data, '\n')); err != nil {
		return f.unwritten(err)
	}
	return nil
}

// byName returns the routes in the order of their names.
func byName(routes []route) []route {
	return slices.SortedFunc(slices.Values(routes), func(a, b route) int { return cmp.Compare(a.Name, b.Name) })
}

func (f stateFile) damaged(err error) error {
	return &deploy.Error{Code: deploy.CodeDamaged, Op: "read proxy state", Subject: string(f), Err: err,
		Message: fmt.Sprintf("the proxy's state %s cannot be read, and without it nobody would be answered: "+
			"restore the file from a backup, or move it away and deploy again", string(f))}
}

func (f stateFile) foreign(version int) error {
	return &deploy.Error{Code: deploy.CodeDamaged, Op: "read proxy state", Subject: string(f),
		Message: fmt.Sprintf("the proxy's state %s has version %d and this program reads version %d, and without it nobody would be answered: "+
			"start the ipublish that wrote the file, or move it away and deploy again", string(f), version, stateVersion)}
}

func (f stateFile) unwritten(err error) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: "write proxy state", Subject: string(f), Err: err,
		Message: fmt.Sprintf("the proxy's state %s cannot be written, so nothing was changed: check the disk's free space and the folder's rights", string(f))}
}

// replaceFile puts data in the file's place: temporary file beside it, fsync, rename, fsync of the folder.
func replaceFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
