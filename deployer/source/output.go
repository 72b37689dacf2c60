package source

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a build's output: one line for people, what an error carries, and
// what the log file keeps.
const (
	maxLine = 2000
	maxTail = 4 << 10
	maxLog  = 64 << 20
)

// output takes what a build prints: line by line, with secrets replaced, to
// people, to the log file and to the tail that an error carries.
type output struct {
	tell   func(string)
	log    io.Writer
	hide   *strings.Replacer
	logged int64
	line   []byte
	tail   tail

	mu   sync.Mutex
	last time.Time
}

func newOutput(tell func(string), log io.Writer, secrets []string) *output {
	return &output{tell: tell, log: log, hide: hiding(secrets), last: time.Now()}
}

// hiding replaces every line of the secrets by ***; of one that begins with
// another nothing is left.
func hiding(secrets []string) *strings.Replacer {
	var hidden []string
	for _, s := range secrets {
		for line := range strings.SplitSeq(s, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestSecret {
				hidden = append(hidden, line)
			}
		}
	}
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, line := range hidden {
		pairs = append(pairs, line, "***")
	}
	return strings.NewReplacer(pairs...)
}

// shortestSecret keeps a value such as "1" from blotting out the whole log.
const shortestSecret = 4

// Write implements io.Writer; an error of the log file does not end the build.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.last = time.Now()
	o.mu.Unlock()
	for _, c := range b {
		switch {
		case c == '\n', c == '\r':
			o.flush()
		default:
			if o.line = append(o.line, c); len(o.line) >= longestLine {
				o.flush()
			}
		}
	}
	return len(b), nil
}

// longestLine is where a line without end is cut; the log keeps all pieces.
const longestLine = 32 << 10

func (o *output) flush() {
	if len(o.line) == 0 {
		return
	}
	text := o.hide.Replace(string(o.line))
	o.line = o.line[:0]
	_, _ = o.tail.Write([]byte(text + "\n"))
	if o.logged < maxLog {
		n, _ := io.WriteString(o.log, text+"\n")
		o.logged += int64(n)
	}
	o.tell(clip(text, maxLine))
}

// silence is how long nothing was printed.
func (o *output) silence() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.last)
}

// tail keeps the last maxTail bytes that were written.
type tail struct{ b []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// String gives what was kept, as valid UTF-8.
func (t *tail) String() string { return strings.ToValidUTF8(string(t.b), "\uFFFD") }
