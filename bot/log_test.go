package bot

import (
	"bytes"
	"strings"
	"sync"
)

// quietLog keeps what is logged.
type quietLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *quietLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *quietLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *quietLog) count(text string) int { return strings.Count(l.String(), text) }
