package store

import (
	"bytes"
	"errors"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// envRecord is an environment as it is stored: its hosts and what it remembers of
// releases have records of their own, so that an event costs the same however
// many hosts and releases there are.
type envRecord struct {
	deploy.Live
	HostCount int `json:"host_count,omitempty"`
	Releases  int `json:"releases,omitempty"` // in the record of the memory; 0: there may be none, and the lists may be here
}

// memory is what an environment remembers of releases. It changes with some
// deploys' ends, and is many times as large as the rest.
type memory struct {
	Good []deploy.Past `json:"good,omitempty"`
	Bad  []string      `json:"bad,omitempty"`
	Left []string      `json:"left,omitempty"`
}

func memoryOf(l deploy.Live) memory { return memory{Good: l.Good, Bad: l.Bad, Left: l.Left} }

func (m memory) size() int { return len(m.Good) + len(m.Bad) + len(m.Left) }

// same reports whether it is one and the same: a fold replaces lists and never
// changes them.
func (m memory) same(o memory) bool {
	return sameList(m.Good, o.Good) && sameList(m.Bad, o.Bad) && sameList(m.Left, o.Left)
}

func sameList[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// memoryKey is where the memory is: a host's key without a host.
func memoryKey(t deploy.Target) []byte { return targetPrefix(t) }

// hostKey is the key of one host's record in the bucket of environments.
func hostKey(t deploy.Target, id deploy.HostID) []byte { return append(targetPrefix(t), id...) }

// isHostKey reports whether a key of the bucket of environments is a host's, or
// that of a memory.
func isHostKey(key []byte) bool { return bytes.Count(key, []byte{0}) > 1 }

// putEnv writes an environment, and of its hosts and its memory what changed.
func (b *batch) putEnv(t deploy.Target, live deploy.Live, changed map[deploy.HostID]bool) error {
	hosts := live.Hosts
	live.Hosts = deploy.Roster{}
	for id := range changed {
		key := hostKey(t, id)
		if !hosts.Has(id) {
			if err := b.delete(bucketEnv, key); err != nil {
				return err
			}
			continue
		}
		if err := b.putJSON(bucketEnv, key, hosts.Get(id)); err != nil {
			return err
		}
	}
	mem := memoryOf(live)
	if err := b.putMemory(t, mem); err != nil {
		return err
	}
	live.Good, live.Bad, live.Left = nil, nil, nil
	return b.putJSON(bucketEnv, targetKey(t), envRecord{Live: live, HostCount: hosts.Len(), Releases: mem.size()})
}

// putMemory writes what the environment remembers, unless just that is stored.
func (b *batch) putMemory(t deploy.Target, mem memory) error {
	key := memoryKey(t)
	stored := b.tx.Bucket([]byte(bucketEnv)).Get(key) != nil
	switch {
	case mem.size() == 0 && stored:
		return b.delete(bucketEnv, key)
	case mem.size() == 0, stored && mem.same(memoryOf(b.base.env[t].live)):
		return nil
	}
	return b.putJSON(bucketEnv, key, mem)
}

// replaceHosts deletes what is stored of the hosts and the memory, and has all of
// it written.
func (b *batch) replaceHosts(t deploy.Target, live deploy.Live) error {
	var stale [][]byte
	prefix := targetPrefix(t)
	cur := b.tx.Bucket([]byte(bucketEnv)).Cursor()
	for k, _ := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cur.Next() {
		stale = append(stale, bytes.Clone(k))
	}
	for _, k := range stale {
		if err := b.delete(bucketEnv, k); err != nil {
			return err
		}
	}
	b.touch(t, live.Hosts.IDs())
	return nil
}

// readEnv reads what putEnv wrote; deploy.CodeDamaged or errNoRecord when a part
// of it is not there.
func readEnv(tx *bolt.Tx, t deploy.Target) (deploy.Live, error) {
	var r envRecord
	key, bucket := targetKey(t), tx.Bucket([]byte(bucketEnv))
	if err := unsealJSON(bucketEnv, key, bucket.Get(key), &r); err != nil {
		return deploy.Live{}, err
	}
	if err := r.recall(bucket, t); err != nil {
		return deploy.Live{}, err
	}
	prefix := targetPrefix(t)
	cur := bucket.Cursor()
	for k, v := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		if len(k) == len(prefix) {
			continue
		}
		var h deploy.HostState
		if err := unsealJSON(bucketEnv, k, v, &h); err != nil {
			return deploy.Live{}, err
		}
		r.Hosts = r.Hosts.With(deploy.HostID(k[len(prefix):]), h)
	}
	if r.Hosts.Len() != r.HostCount {
		return deploy.Live{}, errors.Join(errNoRecord, errors.New("a host's record is missing"))
	}
	return r.Live, nil
}

// recall reads the memory into the record, which says how large it is.
func (r *envRecord) recall(bucket *bolt.Bucket, t deploy.Target) error {
	if r.Releases == 0 {
		return nil
	}
	var mem memory
	key := memoryKey(t)
	if err := unsealJSON(bucketEnv, key, bucket.Get(key), &mem); err != nil {
		return err
	}
	if mem.size() != r.Releases {
		return errors.Join(errNoRecord, errors.New("a part of what it remembers is missing"))
	}
	r.Good, r.Bad, r.Left = mem.Good, mem.Bad, mem.Left
	return nil
}
