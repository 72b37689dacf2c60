package store

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// foldDeploy folds the whole journal of one deploy: deploy.CodeNotFound,
// deploy.CodeDamaged.
func foldDeploy(tx *bolt.Tx, id deploy.ID) (deploy.State, error) {
	events, err := readEvents(tx, id, 0)
	if err != nil {
		return deploy.State{}, err
	}
	st := deploy.Fold(events)
	if st.Ended() {
		return st, nil
	}
	return st, complete(tx, id, st.N)
}

// complete compares how many events were read of a deploy with how many it has.
func complete(tx *bolt.Tx, id deploy.ID, n uint64) error {
	recorded, err := readSummary(tx, id)
	switch {
	case errors.Is(err, errNoRecord) && n == 0:
		return notFound("read", id)
	case errors.Is(err, errNoRecord):
		return damaged("read", id.String(), "the deploy's record is missing", nil)
	case err != nil:
		return err
	case recorded.N != n:
		return damaged("read", id.String(), fmt.Sprintf("the deploy has %d events, of which %d are found", recorded.N, n), nil)
	}
	return nil
}

// readSummary returns what lists tell of a deploy; of an open one only N.
func readSummary(tx *bolt.Tx, id deploy.ID) (deploy.State, error) {
	var st deploy.State
	key := deployKey(id)
	err := unsealJSON(bucketDeploys, key, tx.Bucket([]byte(bucketDeploys)).Get(key), &st)
	return st, err
}

// readEvents returns the events of a deploy with N > afterN. On
// deploy.CodeDamaged the events before the damage are returned besides.
func readEvents(tx *bolt.Tx, id deploy.ID, afterN uint64) ([]deploy.Event, error) {
	var events []deploy.Event
	journal := tx.Bucket([]byte(bucketJournal))
	cur := tx.Bucket([]byte(bucketIndex)).Cursor()
	next := afterN + 1
	for k, v := cur.Seek(indexKey(id, next)); k != nil && deploy.ID(leading(k)) == id; k, v = cur.Next() {
		ev, err := readIndexed(journal, k, v)
		if err == nil && (ev.Deploy != id || ev.N != next) {
			err = damaged("read", name(bucketIndex, indexKey(id, next)), "the record is missing", nil)
		}
		if err != nil {
			return events, err
		}
		events = append(events, ev)
		next++
	}
	return events, nil
}

func readIndexed(journal *bolt.Bucket, k, v []byte) (deploy.Event, error) {
	seq, err := unsealNumber(bucketIndex, k, v)
	if err != nil {
		return deploy.Event{}, err
	}
	return unsealEvent(seq, journal.Get(numberKey(seq)))
}

func notFound(op string, id deploy.ID) error {
	return &deploy.Error{Code: deploy.CodeNotFound, Op: op, Subject: id.String(), Message: "there is no deploy " + id.String()}
}
