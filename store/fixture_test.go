package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
	"ipublish/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantDamaged(t *testing.T, what string, err error) {
	t.Helper()
	if deploy.CodeOf(err) != deploy.CodeDamaged {
		t.Errorf("%s: error %v, want it to be told as damaged", what, err)
	}
}

func open(t *testing.T, dir string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(dir, o)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// fillStore makes a store with n deploys in four environments: most ended, some
// active, some waiting.
func fillStore(t *testing.T, dir string, n int) truth {
	t.Helper()
	s := open(t, dir, store.Options{NoSync: true})
	defer s.Close()
	for i := range n {
		target := deploy.Target{App: fmt.Sprintf("app%d", i%4), Env: "production"}
		id, _, err := s.Submit(context.Background(), deploy.Request{
			App: target.App, Env: target.Env, Want: deploy.WantDeploy, Ref: "main", Key: fmt.Sprintf("slack:%d", i), By: deploy.Actor{ID: "slack:U1"},
		})
		must(t, err)
		step(t, s, id, n)
	}
	return truthOf(t, s, n)
}

// step takes a deploy to the point where it is left.
func step(t *testing.T, s *store.Store, id deploy.ID, n int) {
	t.Helper()
	must(t, s.Append(id, 1, deploy.Event{Kind: deploy.KindNoted, Text: fmt.Sprintf("note of %s", id)}))
	if int(id) > n-6 && int(id)%4 != 2 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := s.Claim(ctx, func(q deploy.Queue) deploy.Verdict {
		for _, w := range q.Waiting {
			if w.ID == id {
				return deploy.Verdict{Take: id}
			}
		}
		return deploy.Verdict{}
	})
	must(t, err)
	if int(id) <= n-4 {
		must(t, s.Append(id, 3, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded}))
	}
}

func truthOf(t *testing.T, s *store.Store, n int) truth {
	t.Helper()
	w := truth{states: map[deploy.ID]deploy.State{}, queues: map[deploy.Target][]deploy.ID{}}
	var err error
	for id := deploy.ID(1); int(id) <= n; id++ {
		w.states[id], err = s.State(id)
		must(t, err)
	}
	w.lives, err = s.Lives()
	must(t, err)
	w.active, err = s.Active()
	must(t, err)
	for _, l := range w.lives {
		waiting, err := s.Waiting(l.Target)
		must(t, err)
		w.queues[l.Target] = numbers(waiting)
	}
	return w
}

func numbers(states []deploy.State) []deploy.ID {
	var out []deploy.ID
	for _, s := range states {
		out = append(out, s.ID)
	}
	return out
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.WriteFile(to, readFile(t, from), 0o600))
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

// cut leaves one part of the database.
func cut(t *testing.T, dir string, parts int64) {
	t.Helper()
	path := filepath.Join(dir, database)
	must(t, os.Truncate(path, fileSize(t, path)/parts))
}

func overwrite(t *testing.T, dir string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, database), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, at)
	must(t, err)
	must(t, f.Close())
}

// files lists a folder with the sizes of its files.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[filepath.Base(path)] = fileSize(t, path)
		}
		return err
	}))
	return out
}

// update changes the database behind the store's back.
func update(t *testing.T, dir string, do func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, database), 0o600, &bolt.Options{Timeout: time.Second})
	must(t, err)
	must(t, db.Update(do))
	must(t, db.Close())
}

// rewrite changes a record's content and gives it a right checksum.
func rewrite(t *testing.T, dir, bucket string, key []byte, change func(content []byte) []byte) {
	t.Helper()
	update(t, dir, func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		content := change(bytes.Clone(b.Get(key)[4:]))
		sum := crc32.Checksum(slices.Concat([]byte(bucket), []byte{0}, key, content), crc32.MakeTable(crc32.Castagnoli))
		return b.Put(key, append(binary.BigEndian.AppendUint32(nil, sum), content...))
	})
}

// spoil damages every record of a bucket.
func spoil(t *testing.T, dir, bucket string) {
	t.Helper()
	update(t, dir, func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		records := map[string][]byte{}
		err := b.ForEach(func(k, v []byte) error {
			bad := append([]byte(nil), v...)
			bad[0] ^= 0xff
			records[string(k)] = bad
			return nil
		})
		for k, v := range records {
			if err == nil {
				err = b.Put([]byte(k), v)
			}
		}
		if err == nil && len(records) == 0 {
			err = fs.ErrNotExist
		}
		return err
	})
}
