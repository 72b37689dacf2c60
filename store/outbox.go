package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
)

// Enqueue moves the reader's cursor to seq (never back) and makes the letters
// wanted, in one transaction. Of a letter that is known, WantN only grows, Final
// stays once set, and Ref, SentN and Data are kept. A letter whose record is
// damaged begins anew.
func (s *Store) Enqueue(reader string, seq uint64, letters []deploy.Letter) error {
	return s.write(context.Background(), "enqueue", func(b *batch) error {
		if err := b.moveCursor(reader, seq); err != nil {
			return err
		}
		for _, l := range letters {
			if err := b.want(l); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *batch) moveCursor(reader string, seq uint64) error {
	at, err := readCursor(b.tx, reader)
	if err == nil && at >= seq {
		return nil
	}
	return b.put(bucketCursors, []byte(reader), numberKey(seq))
}

func readCursor(tx *bolt.Tx, reader string) (uint64, error) {
	key := []byte(reader)
	n, err := unsealNumber(bucketCursors, key, tx.Bucket([]byte(bucketCursors)).Get(key))
	if errors.Is(err, errNoRecord) {
		return 0, nil
	}
	return n, err
}

func (b *batch) want(l deploy.Letter) error {
	known, err := readLetter(b.tx, letterKey(l.Deploy, l.Channel))
	if err == nil {
		known.WantN = max(known.WantN, l.WantN)
		known.Final = known.Final || l.Final
		l = known
	}
	return b.putLetter(l)
}

func (b *batch) putLetter(l deploy.Letter) error {
	key := letterKey(l.Deploy, l.Channel)
	content, err := json.Marshal(l)
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "store letter", Subject: l.Deploy.String(), Message: "the letter's data is not JSON", Err: err}
	}
	if err := b.put(bucketOutbox, key, content); err != nil {
		return err
	}
	if l.WantN > l.SentN {
		return b.put(bucketPending, key, nil)
	}
	return b.delete(bucketPending, key)
}

func readLetter(tx *bolt.Tx, key []byte) (deploy.Letter, error) {
	var l deploy.Letter
	err := unsealJSON(bucketOutbox, key, tx.Bucket([]byte(bucketOutbox)).Get(key), &l)
	return l, err
}

// Sent records that a letter was shown: its Ref, SentN and Data. WantN and Final
// stay as Enqueue made them, so that what came meanwhile is still pending.
// deploy.CodeNotFound: the letter was never wanted.
func (s *Store) Sent(l deploy.Letter) error {
	return s.write(context.Background(), "sent", func(b *batch) error {
		known, err := readLetter(b.tx, letterKey(l.Deploy, l.Channel))
		if err != nil {
			return missingLetter(err, l.Deploy, l.Channel)
		}
		known.Ref, known.SentN, known.Data = l.Ref, l.SentN, l.Data
		return b.putLetter(known)
	})
}

func missingLetter(err error, id deploy.ID, channel string) error {
	if errors.Is(err, errNoRecord) {
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "read letter", Subject: fmt.Sprintf("%s %s", id, channel), Message: "there is no letter of this deploy for this channel"}
	}
	return err
}

// Pending returns the letters with WantN > SentN, by deploy and channel.
// deploy.CodeDamaged tells of letters that cannot be read; the others are right.
func (s *Store) Pending() (letters []deploy.Letter, err error) {
	var unreadable []error
	err = s.read("pending", "", func(tx *bolt.Tx) error {
		cur := tx.Bucket([]byte(bucketPending)).Cursor()
		for k, _ := cur.First(); k != nil; k, _ = cur.Next() {
			l, err := readLetter(tx, k)
			if err != nil {
				unreadable = append(unreadable, missingLetter(err, deploy.ID(leading(k)), string(k[min(8, len(k)):])))
				continue
			}
			letters = append(letters, l)
		}
		return nil
	})
	return letters, errors.Join(err, errors.Join(unreadable...))
}

// Letter returns the letter of a deploy for a channel: deploy.CodeNotFound.
func (s *Store) Letter(id deploy.ID, channel string) (l deploy.Letter, err error) {
	err = s.read("read letter", channel, func(tx *bolt.Tx) (err error) {
		l, err = readLetter(tx, letterKey(id, channel))
		return missingLetter(err, id, channel)
	})
	return l, err
}

// Cursor returns how far a reader came; 0 for an unknown one.
func (s *Store) Cursor(reader string) (seq uint64, err error) {
	err = s.read("cursor", reader, func(tx *bolt.Tx) (err error) {
		seq, err = readCursor(tx, reader)
		return err
	})
	return seq, err
}
