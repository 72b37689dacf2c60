package store

import (
	"bytes"
	"errors"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// envRecord is an environment as it is stored: its hosts have records of their
// own, so that an event costs the same however many hosts there are.
type envRecord struct {
	deploy.Live
	HostCount int `json:"host_count,omitempty"`
}

// hostKey is the key of one host's record in the bucket of environments.
func hostKey(t deploy.Target, id deploy.HostID) []byte { return append(targetPrefix(t), id...) }

// isHostKey reports whether a key of the bucket of environments is a host's.
func isHostKey(key []byte) bool { return bytes.Count(key, []byte{0}) > 1 }

// putEnv writes an environment, and of its hosts those that changed.
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
	return b.putJSON(bucketEnv, targetKey(t), envRecord{Live: live, HostCount: hosts.Len()})
}

// replaceHosts deletes what is stored of the hosts and has all of them written.
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
	prefix := targetPrefix(t)
	cur := bucket.Cursor()
	for k, v := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cur.Next() {
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
