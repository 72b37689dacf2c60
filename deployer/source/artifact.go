package source

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// record says which artifact a commit and a recipe became.
type record struct {
	V      int    `json:"v"`
	Commit string `json:"commit"`
	Recipe string `json:"recipe"`
	SHA256 string `json:"sha256"`
	Kind   string `json:"kind"`
	Name   string `json:"name,omitempty"`
	Size   int64  `json:"size"`
}

const recordVersion = 1

// Open opens an artifact by its sha256, 64 hex digits: a file's bytes, or a tar
// of a tree. The caller closes it. deploy.CodeInvalid if it is no sha256,
// deploy.CodeNotFound if it is not kept (any more).
func (w *Workshop) Open(sum string) (io.ReadCloser, error) {
	if !isSum(sum) {
		return nil, fault(deploy.CodeInvalid, "open", "artifact", fmt.Sprintf("%q is not a sha256", clip(sum, 80)), nil)
	}
	f, err := os.Open(w.path(artifactsDir, sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault(deploy.CodeNotFound, "open", sum, "the artifact is not kept any more: deploy the commit again to rebuild it", err)
	}
	if err != nil {
		return nil, fault(deploy.CodeFailed, "open", sum, "the artifact cannot be read", err)
	}
	return f, nil
}

func isSum(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// pruneGrace protects artifacts that Build handed out a moment ago, and that no
// plan names yet.
const pruneGrace = time.Hour

// keptLogs is how many build logs Prune leaves, the newest ones.
const keptLogs = 200

// Prune removes the artifacts that keep (sha256s) does not name and that Build
// did not hand out within the last hour, their records, old build logs, and the cached
// folders that no build used for 30 days. It follows no link. What it removes
// is rebuilt when it is asked for again.
func (w *Workshop) Prune(keep []string) error {
	entries, err := os.ReadDir(w.path(artifactsDir))
	if err != nil {
		return pruneFault(err)
	}
	for _, e := range entries {
		if !isSum(e.Name()) || slices.Contains(keep, e.Name()) || recent(e) {
			continue
		}
		if err := os.RemoveAll(w.path(artifactsDir, e.Name())); err != nil {
			return pruneFault(err)
		}
	}
	if err := w.pruneRecords(); err != nil {
		return pruneFault(err)
	}
	if err := w.pruneCaches(); err != nil {
		return pruneFault(err)
	}
	return pruneFault(w.pruneLogs())
}

func pruneFault(err error) error {
	if err == nil {
		return nil
	}
	return fault(deploy.CodeFailed, "prune", "artifacts", "old artifacts cannot be removed", err)
}

func recent(e fs.DirEntry) bool {
	info, err := e.Info()
	return err == nil && time.Since(info.ModTime()) < pruneGrace
}

// pruneRecords removes records without an artifact.
func (w *Workshop) pruneRecords() error {
	entries, err := os.ReadDir(w.path(recordsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := w.path(recordsDir, e.Name())
		r, err := readRecord(path)
		if err == nil && w.stored(r.SHA256, r.Size) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (w *Workshop) pruneLogs() error {
	entries, err := os.ReadDir(w.path(logsDir))
	if err != nil || len(entries) <= keptLogs {
		return err
	}
	age := func(e fs.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return age(b).Compare(age(a)) })
	for _, e := range entries[keptLogs:] {
		if err := os.Remove(w.path(logsDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// stored reports whether an artifact of that size is kept.
func (w *Workshop) stored(sum string, size int64) bool {
	if !isSum(sum) {
		return false
	}
	info, err := os.Lstat(w.path(artifactsDir, sum))
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// recordPath names the record of a commit and a recipe.
func (w *Workshop) recordPath(r deploy.Release) string {
	sum := sha256.Sum256([]byte(r.Commit.SHA + "\n" + r.Recipe))
	return w.path(recordsDir, hex.EncodeToString(sum[:16])+".json")
}

// known gives the release with the artifact that it was built to, if that is
// still kept, and marks the artifact as in use.
func (w *Workshop) known(r deploy.Release) (deploy.Release, bool) {
	if !w.stored(r.SHA256, r.Size) {
		rec, err := readRecord(w.recordPath(r))
		if err != nil || rec.Commit != r.Commit.SHA || rec.Recipe != r.Recipe || !w.stored(rec.SHA256, rec.Size) {
			return r, false
		}
		r = rec.release(r)
	}
	now := time.Now()
	return r, os.Chtimes(w.path(artifactsDir, r.SHA256), now, now) == nil
}

func readRecord(path string) (record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if r.V != recordVersion || !isSum(r.SHA256) {
		return record{}, errors.New("not a record of this version")
	}
	return r, nil
}

func (r record) release(of deploy.Release) deploy.Release {
	of.SHA256, of.Kind, of.Name, of.Size = r.SHA256, r.Kind, r.Name, r.Size
	return of
}

// note records what a release was built to.
func (w *Workshop) note(r deploy.Release) error {
	b, err := json.Marshal(record{
		V: recordVersion, Commit: r.Commit.SHA, Recipe: r.Recipe,
		SHA256: r.SHA256, Kind: r.Kind, Name: r.Name, Size: r.Size,
	})
	if err != nil {
		return err
	}
	return writeWhole(w.recordPath(r), b)
}

// keep stores what write writes under its sha256, durably.
func (w *Workshop) keep(write func(io.Writer) error) (sum string, size int64, err error) {
	return w.keepIf(write, func(string) error { return nil })
}

// keepIf is keep for what accept, which is given the sha256, has no error for.
func (w *Workshop) keepIf(write func(io.Writer) error, accept func(sum string) error) (sum string, size int64, err error) {
	f, err := os.CreateTemp(w.path(artifactsDir), temporaryPrefix)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	if err := write(io.MultiWriter(f, h)); err != nil {
		return "", 0, discard(f, err)
	}
	info, err := f.Stat()
	if err != nil {
		return "", 0, discard(f, err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if err := accept(sum); err != nil {
		return "", 0, discard(f, err)
	}
	return sum, info.Size(), publish(f, filepath.Join(w.path(artifactsDir), sum))
}
