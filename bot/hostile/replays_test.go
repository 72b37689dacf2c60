package hostile

import (
	"strconv"
	"testing"
	"time"
)

func TestReplaysRefusesASecondBodyWithACapturedSignature(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r, sig := NewReplays(time.Hour), []byte("sig")
	if !r.Fresh(sig, []byte("a"), now) || !r.Fresh(sig, []byte("a"), now.Add(time.Minute)) {
		t.Fatal("a redelivery of the same body was refused")
	}
	if r.Fresh(sig, []byte("b"), now.Add(59*time.Minute)) {
		t.Error("another body under the same signature was let in")
	}
	if !r.Fresh(sig, []byte("b"), now.Add(time.Hour)) {
		t.Error("the memory outlived the signature")
	}
}

func TestReplaysIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := NewReplays(time.Hour)
	for i := range replaysKept + 100 {
		r.Fresh([]byte(strconv.Itoa(i)), nil, now.Add(time.Duration(i)))
	}
	if len(r.seen) > replaysKept {
		t.Errorf("%d entries, at most %d wanted", len(r.seen), replaysKept)
	}
	if r.Fresh([]byte(strconv.Itoa(replaysKept+99)), []byte("other"), now.Add(time.Minute)) {
		t.Error("the newest entry was forgotten first")
	}
	r.Fresh([]byte("later"), nil, now.Add(2*time.Hour))
	if len(r.seen) != 1 {
		t.Errorf("%d entries after all others expired, 1 wanted", len(r.seen))
	}
}
