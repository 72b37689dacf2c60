package posix

import "io"

const (
	// MaxOutput is how much of a command's standard output is kept, in bytes.
	MaxOutput = 8 << 20
	// MaxStderr is how much of the end of its standard error is kept, in bytes.
	MaxStderr = 4 << 10
)

// Capture keeps the beginning of a command's standard output and the end of its
// standard error. What exceeds the limits is read and dropped, so that the
// command never blocks on it. The two writers may be used at the same time;
// results may be read once both are no longer written to.
type Capture struct {
	out head
	err tail
}

// Stdout takes the command's standard output.
func (c *Capture) Stdout() io.Writer { return &c.out }

// Stderr takes the command's standard error.
func (c *Capture) Stderr() io.Writer { return &c.err }

// Output is the first MaxOutput bytes of standard output.
func (c *Capture) Output() []byte { return c.out.kept }

// Complaint is the last MaxStderr bytes of standard error.
func (c *Capture) Complaint() string { return string(c.err.kept) }

type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	room := MaxOutput - len(h.kept)
	h.kept = append(h.kept, p[:min(room, len(p))]...)
	return len(p), nil
}

type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - MaxStderr; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}
