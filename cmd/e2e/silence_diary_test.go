package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is what became of one request.
type answer struct {
	user         int
	began, ended time.Time
	status       int    // 0: no answer, or a part of one
	version      string // that answered, well or with its own 500
	detail       string // of what is no 200
}

func (a answer) bad() bool { return a.status != http.StatusOK || a.version == "" }

func (a answer) String() string {
	return fmt.Sprintf("%s user %d: %d %s %s after %s", a.ended.Format("15:04:05.000"), a.user, a.status, a.version, a.detail, a.ended.Sub(a.began).Round(time.Millisecond))
}

// by reports whether a version answered, and well.
func by(version string) func(answer) bool {
	return func(a answer) bool { return !a.bad() && a.version == version }
}

// from reports whether a version answered at all.
func from(version string) func(answer) bool {
	return func(a answer) bool { return a.version == version }
}

// diary is users with a connection each, kept open over idle gaps, who POST and
// write down who answered and when. Nothing is sent twice.
type diary struct {
	url  string
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	answers []answer
	lates   []lateness
}

// lateness is how long after its time a request was sent, though its user was free.
type lateness struct {
	at time.Time
	by time.Duration
}

// startDiary sends so many users, each of them once in a while, until halt or
// the test's end.
func startDiary(t testing.TB, url string, users int, every time.Duration) *diary {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	d := &diary{url: url, stop: stop}
	for user := range users {
		d.done.Go(func() { d.write(ctx, user, every) })
	}
	t.Cleanup(d.halt)
	return d
}

// halt lets the requests in flight end, and ends the users.
func (d *diary) halt() {
	d.stop()
	d.done.Wait()
}

func (d *diary) write(ctx context.Context, user int, every time.Duration) {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}}
	defer c.CloseIdleConnections()
	due, free := time.Now().Add(rand.N(every)), time.Now()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		a := d.ask(c, user)
		d.keep(a, lateness{at: a.began, by: a.began.Sub(later(due, free))})
		free = time.Now()
		due = later(due.Add(every), free)
		timer.Reset(time.Until(due))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ask sends one POST whose body cannot be rewound, so that nothing repeats it.
func (d *diary) ask(c *http.Client, user int) answer {
	const order = "item=basket&count=1"
	a := answer{user: user, began: time.Now()}
	req, err := http.NewRequest(http.MethodPost, d.url, io.NopCloser(strings.NewReader(order)))
	if err != nil {
		panic(err) // a malformed URL in a test
	}
	req.ContentLength = int64(len(order))
	res, err := c.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	a.ended = time.Now()
	if err != nil {
		a.detail = err.Error()
		return a
	}
	a.status, a.detail = res.StatusCode, strings.TrimSpace(string(body))
	if a.status == http.StatusOK || a.status == http.StatusInternalServerError {
		a.version, _, _ = strings.Cut(a.detail, " ")
	}
	return a
}

func (d *diary) keep(a answer, l lateness) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, a)
	d.lates = append(d.lates, l)
}

// those lists the answers of a kind, in the order in which they ended.
func (d *diary) those(kind func(answer) bool) []answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []answer
	for _, a := range d.answers {
		if kind(a) {
			out = append(out, a)
		}
	}
	return out
}

// await waits for the first answer of a kind to a request that was sent after a
// moment, and fails the test after the limit.
func (d *diary) await(t testing.TB, limit time.Duration, what string, after time.Time, kind func(answer) bool) answer {
	t.Helper()
	var first answer
	seen := 0
	eventually(t, limit, what, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for ; seen < len(d.answers); seen++ {
			if a := d.answers[seen]; a.began.After(after) && kind(a) {
				first = a
				return true
			}
		}
		return false
	})
	return first
}

// late is the longest that a request which was due in a span of time was held
// back by this machine: no moment is known better than that.
func (d *diary) late(from, to time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var most time.Duration
	for _, l := range d.lates {
		if l.at.After(from) && l.at.Add(-l.by).Before(to) {
			most = max(most, l.by)
		}
	}
	return most
}

// within wants something to have happened at most a second after something else,
// as well as users can tell. A program that watches for races is only told of: it
// is many times slower.
func (d *diary) within(t testing.TB, what string, from, to time.Time) {
	t.Helper()
	took, late := to.Sub(from), d.late(from, to)
	t.Logf("%s: %s (the users themselves were up to %s late)", what, took.Round(time.Millisecond), late.Round(time.Millisecond))
	if len(buildFlags) == 0 && took > time.Second+late {
		t.Errorf("%s took %s, want at most 1s; the users themselves were up to %s late", what, took, late)
	}
}

// String gives the figures in one line.
func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	who, bad := map[string]int{}, 0
	for _, a := range d.answers {
		if a.bad() {
			bad++
			continue
		}
		who[a.version]++
	}
	return fmt.Sprintf("%d of %d requests went wrong; answered by %v", bad, len(d.answers), who)
}
