package hostile

import (
	"crypto/sha256"
	"sync"
	"time"
)

// replaysKept bounds the memory of Replays to less than a megabyte.
const replaysKept = 8192

// Replays remembers which body came with a signature that does not cover it,
// for as long as that signature is valid. It forgets at a restart; the ids of
// accepted messages do not. The zero value is not usable: see NewReplays.
type Replays struct {
	keep time.Duration
	mu   sync.Mutex
	seen map[digest]sighting
}

type digest = [sha256.Size]byte

type sighting struct {
	body  digest
	until time.Time
}

// NewReplays returns an empty memory; a signature is remembered for keep.
func NewReplays(keep time.Duration) *Replays {
	return &Replays{keep: keep, seen: map[digest]sighting{}}
}

// Fresh reports whether this signature came with no other body before. The same
// body again is fresh: it is a redelivery, which its id tells apart.
func (r *Replays) Fresh(signature string, body []byte, now time.Time) bool {
	key, sum := sha256.Sum256([]byte(signature)), sha256.Sum256(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.seen[key]; ok && now.Before(old.until) {
		return old.body == sum
	}
	if len(r.seen) >= replaysKept {
		r.forget(now)
	}
	r.seen[key] = sighting{body: sum, until: now.Add(r.keep)}
	return true
}

// forget drops what has expired, and the oldest one if nothing has.
func (r *Replays) forget(now time.Time) {
	var oldest digest
	var first time.Time
	for key, s := range r.seen {
		if !now.Before(s.until) {
			delete(r.seen, key)
			continue
		}
		if first.IsZero() || s.until.Before(first) {
			oldest, first = key, s.until
		}
	}
	if len(r.seen) >= replaysKept {
		delete(r.seen, oldest)
	}
}
