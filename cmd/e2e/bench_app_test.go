package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// marksVar tells the application of a bench where it writes down when it did
// what: one file a version and mark.
const marksVar = "E2E_MARKS"

// The marks.
const (
	markListens = "listens" // it accepts connections
	markHealthy = "healthy" // its first good answer to a health check left
)

// serveMarkedApp is the application of app.json that leaves marks.
func serveMarkedApp(ctx context.Context) error {
	text, err := os.ReadFile("app.json")
	if err != nil {
		return err
	}
	var b behaviour
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	if err := b.boot(ctx); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	mark(b.Version, markListens)
	var once sync.Once
	pages := b.pages(time.Now())
	return serveUntil(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages.ServeHTTP(w, r)
		if r.URL.Path == "/healthz" {
			once.Do(func() { mark(b.Version, markHealthy) })
		}
	}))
}

func markFile(dir, version, what string) string { return filepath.Join(dir, version+"."+what) }

func mark(version, what string) {
	now := strconv.FormatInt(time.Now().UnixNano(), 10)
	path := markFile(os.Getenv(marksVar), version, what)
	if err := os.WriteFile(path+".new", []byte(now), 0o600); err == nil {
		_ = os.Rename(path+".new", path) // a mark that is missing fails the bench
	}
}

// marked is when a version left a mark.
func marked(t testing.TB, dir, version, what string) time.Time {
	t.Helper()
	var text []byte
	eventually(t, startLimit, version+" has its mark "+what, func() bool {
		var err error
		text, err = os.ReadFile(markFile(dir, version, what))
		return err == nil
	})
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, n)
}

// lookout asks a front door a thousand times a second and remembers when each
// version answered there for the first time.
type lookout struct {
	front string
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu    sync.Mutex
	first map[string]time.Time
}

func newLookout(t testing.TB, front string) *lookout {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &lookout{front: front, stop: stop, first: map[string]time.Time{}}
	for range 2 {
		l.done.Go(func() { l.watch(ctx) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *lookout) end() {
	l.stop()
	l.done.Wait()
}

func (l *lookout) watch(ctx context.Context) {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer c.CloseIdleConnections()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if version := whoAnswers(ctx, c, l.front); version != "" {
			l.see(version)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *lookout) see(version string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, seen := l.first[version]; !seen {
		l.first[version] = now
	}
}

// forget makes the next answer of a version its first one.
func (l *lookout) forget(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.first, version)
}

// seen waits for a version's first answer and gives its time.
func (l *lookout) seen(t testing.TB, version string) time.Time {
	t.Helper()
	var at time.Time
	eventually(t, endLimit, version+" answers at the front door", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		at = l.first[version]
		return !at.IsZero()
	})
	return at
}

// whoAnswers is the version at a front door; empty if nobody answers well.
func whoAnswers(ctx context.Context, c *http.Client, front string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, front, nil)
	if err != nil {
		return ""
	}
	res, err := c.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	version, _, _ := strings.Cut(string(text), " ")
	return version
}
