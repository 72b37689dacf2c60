package store

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// purgeAtOnce bounds how many expired nonces one call removes; as it is more than
// one, their number shrinks to those that still count.
const purgeAtOnce = 16

// Remember records a nonce until a wall time, durable. fresh is false when it was
// recorded before and its time has not passed: the request is a replay. On an
// error nothing may be concluded.
func (s *Store) Remember(key string, until time.Time) (fresh bool, err error) {
	err = s.write(context.Background(), "remember", func(b *batch) (err error) {
		fresh, err = b.remember(key, until)
		return err
	})
	return fresh && err == nil, err
}

func (b *batch) remember(key string, until time.Time) (bool, error) {
	record := b.tx.Bucket([]byte(bucketNonces)).Get([]byte(key))
	known, err := unsealNumber(bucketNonces, []byte(key), record)
	switch {
	case err != nil && !errors.Is(err, errNoRecord):
		return false, err
	case err == nil && known > instant(b.now()):
		return false, nil
	case err == nil:
		err = b.delete(bucketExpiry, expiryKey(known, key))
	default:
		err = nil
	}
	return true, errors.Join(err,
		b.put(bucketNonces, []byte(key), numberKey(instant(until))),
		b.put(bucketExpiry, expiryKey(instant(until), key), nil),
		b.purge())
}

// purge removes some nonces whose time has passed.
func (b *batch) purge() error {
	var expired [][]byte
	cur := b.tx.Bucket([]byte(bucketExpiry)).Cursor()
	for k, _ := cur.First(); k != nil && len(expired) < purgeAtOnce && leading(k) <= instant(b.now()); k, _ = cur.Next() {
		expired = append(expired, bytes.Clone(k))
	}
	for _, k := range expired {
		if err := errors.Join(b.delete(bucketExpiry, k), b.delete(bucketNonces, k[min(8, len(k)):])); err != nil {
			return err
		}
	}
	return nil
}

// instant counts nanoseconds since 1970; times before are 0.
func instant(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }
