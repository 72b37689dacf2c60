package bot

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"
)

func readBody(b *bodies, r io.Reader, limit int64) ([]byte, func(), error) {
	return b.read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", r), limit)
}

func TestBodiesShareOneBudget(t *testing.T) {
	b := newBodies(100, 0)
	_, release, err := readBody(b, strings.NewReader(strings.Repeat("x", 80)), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBody(b, strings.NewReader(strings.Repeat("x", 30)), 1000); !errors.Is(err, errBodiesFull) {
		t.Errorf("got %v", err)
	}
	release()
	if _, _, err := readBody(b, strings.NewReader(strings.Repeat("x", 99)), 1000); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

// unannounced hides the length of a body.
type unannounced struct{ io.Reader }

func TestABodyIsReadWholeWhateverItsLength(t *testing.T) {
	b := newBodies(4<<20, 64<<20)
	for _, n := range []int{0, 1, firstPart - 1, firstPart, firstPart + 1, smallBody, smallBody + 1, 5 << 20} {
		want := bytes.Repeat([]byte("ab"), n/2+1)[:n]
		for _, r := range []io.Reader{bytes.NewReader(want), unannounced{bytes.NewReader(want)}} {
			got, release, err := readBody(b, r, 5<<20)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes by %T: %d, %v", n, r, len(got), err)
			}
			release()
		}
		for _, r := range []io.Reader{bytes.NewReader(want), unannounced{bytes.NewReader(want)}} {
			if _, _, err := readBody(b, r, int64(n)-1); n > 0 && !errors.Is(err, errBodyTooBig) {
				t.Errorf("%d bytes where one less is taken, by %T: %v", n, r, err)
			}
		}
	}
	empty(t, b.small, 4<<20)
	empty(t, b.large, 64<<20)
}

func empty(t *testing.T, s *semaphore.Weighted, size int64) {
	t.Helper()
	if !s.TryAcquire(size) {
		t.Error("memory was not given back")
	}
}

func TestAnAnnouncedLengthTakesNoMemoryBeforeItsBytesCome(t *testing.T) {
	b := newBodies(smallBody, 4<<20)
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("x"), broken{}))
		r.ContentLength = 25 << 20
		if _, _, err := b.read(httptest.NewRecorder(), r, 25<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	}
	empty(t, b.large, 4<<20)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLargeBodiesLeaveRoomForSmallOnes(t *testing.T) {
	b := newBodies(2<<20, 8<<20)
	_, release, err := readBody(b, unannounced{&endless{left: 3 << 20}}, 25<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBody(b, &endless{left: 7 << 20}, 25<<20); !errors.Is(err, errBodiesFull) {
		t.Errorf("a second large body: %v", err)
	}
	_, small, err := readBody(b, strings.NewReader(strings.Repeat("x", smallBody)), 25<<20)
	if err != nil {
		t.Fatalf("a small body beside it: %v", err)
	}
	small()
	release()
	empty(t, b.small, 2<<20)
	empty(t, b.large, 8<<20)
}
