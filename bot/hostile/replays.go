package hostile

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// ErrCaptured is in the chain of the refusal of a genuine signature that came
// with another body before: it is worth a warning to the operator.
var ErrCaptured = errors.New("a signature came a second time with another body")

// replaysKept bounds the memory of Replays to less than a megabyte.
const replaysKept = 8192

// Replays remembers which body came with a signature that does not cover it,
// for as long as that signature is valid. It forgets at a restart; the ids of
// accepted messages do not. The zero value is not usable: see NewReplays.
//
// Its users keep the window of one hour that DingTalk and Gitee document, though
// five minutes would narrow what a captured header is good for: both platforms
// queue, and a delivery keeps the timestamp it was queued with.
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
// body again is fresh: it is a redelivery, which its id tells apart. mac is the
// signature decoded, because one signature has several spellings in base64.
func (r *Replays) Fresh(mac, body []byte, now time.Time) bool {
	key, sum := sha256.Sum256(mac), sha256.Sum256(body)
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
