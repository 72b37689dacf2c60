package bot

import (
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	smallBody = 1 << 20  // bytes; larger bodies draw on a budget of their own
	firstPart = 16 << 10 // bytes held for a body before any of it came
	growth    = 4        // a full buffer is followed by one so many times as large
	stalled   = 10 * time.Second
	bodyLimit = time.Minute // for the whole body
)

var (
	// errBodiesFull: the bodies being read fill their memory already.
	errBodiesFull = errors.New("too many bodies at once")
	// errBodyTooBig: the body is larger than its endpoint takes.
	errBodyTooBig = errors.New("the body is too large")
)

// bodies reads request bodies within budgets of memory, so that a crowd of large
// or slow senders cannot exhaust the machine. Large bodies have a budget of
// their own: senders of many megabytes leave room for everybody else.
type bodies struct {
	small, large *semaphore.Weighted
}

func newBodies(small, large int64) *bodies {
	return &bodies{small: semaphore.NewWeighted(small), large: semaphore.NewWeighted(large)}
}

// read reads the whole body of at most limit bytes. It holds one buffer of the
// announced length, larger ones in steps as their bytes really come; a sender
// that pauses for stalled, or needs longer than bodyLimit, is given up with
// os.ErrDeadlineExceeded. release gives the memory back; it is nil after an error.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, limit int64) (raw []byte, release func(), err error) {
	if r.ContentLength > limit {
		return nil, nil, errBodyTooBig
	}
	whole := limit + 1 // one more, to see that there is more
	if r.ContentLength >= 0 {
		whole = r.ContentLength + 1
	}
	buf := &buffer{bodies: b, whole: whole}
	if err = buf.fill(newPatient(w, r.Body)); err == nil && int64(len(buf.raw)) > limit {
		err = errBodyTooBig
	}
	if err != nil {
		buf.free()
		return nil, nil, err
	}
	return buf.raw, buf.free, nil
}

// budget is where a buffer of so many bytes belongs.
func (b *bodies) budget(size int64) *semaphore.Weighted {
	if size <= smallBody+1 {
		return b.small
	}
	return b.large
}

// buffer holds one body; its whole capacity counts.
type buffer struct {
	*bodies
	whole int64 // never grown beyond
	raw   []byte
	held  int64
}

// fill reads until the end, or until the buffer holds whole bytes.
func (b *buffer) fill(r io.Reader) error {
	for int64(len(b.raw)) < b.whole {
		if len(b.raw) == cap(b.raw) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		n, err := r.Read(b.raw[len(b.raw):cap(b.raw)])
		b.raw = b.raw[:len(b.raw)+n]
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

func (b *buffer) grow() error {
	size := max(firstPart, growth*int64(cap(b.raw)))
	if size+firstPart >= b.whole {
		size = b.whole
	}
	if !b.budget(size).TryAcquire(size) {
		return errBodiesFull
	}
	raw := make([]byte, len(b.raw), size)
	copy(raw, b.raw)
	b.free()
	b.raw, b.held = raw, size
	return nil
}

func (b *buffer) free() {
	b.budget(b.held).Release(b.held)
	b.raw, b.held = nil, 0
}

// patient reads with a deadline for each part and one for all.
type patient struct {
	r    io.Reader
	conn *http.ResponseController
	end  time.Time
}

func newPatient(w http.ResponseWriter, r io.Reader) *patient {
	return &patient{r: r, conn: http.NewResponseController(w), end: time.Now().Add(bodyLimit)}
}

func (p *patient) Read(to []byte) (int, error) {
	at := time.Now().Add(stalled)
	if p.end.Before(at) {
		at = p.end
	}
	// Not every ResponseWriter has deadlines; the server's own always does.
	_ = p.conn.SetReadDeadline(at)
	n, err := p.r.Read(to)
	if errors.Is(err, io.EOF) {
		// Its passing would end the context of the request, which is read now.
		_ = p.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

func stack() string { return string(debug.Stack()) }
