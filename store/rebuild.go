package store

import (
	"bytes"
	"cmp"
	"slices"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// entry is where an event of an environment is in the journal.
type entry struct {
	seq uint64
	id  deploy.ID
	n   uint64
}

// rebuildLive folds an environment anew from the journals of all its deploys, in
// the order of Seq. It returns deploy.CodeDamaged if any of them is damaged.
func rebuildLive(tx *bolt.Tx, t deploy.Target) (deploy.Live, error) {
	entries, err := entriesOf(tx, t)
	if err != nil {
		return deploy.Live{}, err
	}
	var live deploy.Live
	journal := tx.Bucket([]byte(bucketJournal))
	states := map[deploy.ID]deploy.State{}
	for _, at := range entries {
		ev, err := unsealEvent(at.seq, journal.Get(numberKey(at.seq)))
		if err != nil {
			return deploy.Live{}, err
		}
		st := states[at.id].Apply(ev)
		live = deploy.FoldEnv(live, st, ev)
		states[at.id] = st
		if st.Ended() {
			delete(states, at.id)
		}
	}
	return live, nil
}

func entriesOf(tx *bolt.Tx, t deploy.Target) ([]entry, error) {
	var entries []entry
	prefix := targetPrefix(t)
	cur := tx.Bucket([]byte(bucketTargets)).Cursor()
	for k, _ := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cur.Next() {
		id := deploy.ID(leading(k[len(prefix):]))
		more, err := entriesOfDeploy(tx, id)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	return entries, nil
}

func entriesOfDeploy(tx *bolt.Tx, id deploy.ID) ([]entry, error) {
	var entries []entry
	cur := tx.Bucket([]byte(bucketIndex)).Cursor()
	for k, v := cur.Seek(deployKey(id)); k != nil && deploy.ID(leading(k)) == id; k, v = cur.Next() {
		seq, err := unsealNumber(bucketIndex, k, v)
		if err != nil {
			return nil, err
		}
		n := leading(k[8:])
		if n != uint64(len(entries))+1 {
			return nil, damaged("read", name(bucketIndex, indexKey(id, uint64(len(entries))+1)), "the record is missing", nil)
		}
		entries = append(entries, entry{seq: seq, id: id, n: n})
	}
	return entries, nil
}
