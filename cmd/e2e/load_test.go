package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The kinds of clients.
const (
	keepAlive = "keep-alive"
	oneShot   = "one-shot"
	slow      = "slow"
)

// patience bounds one request of the load.
const patience = 20 * time.Second

// users says what a load is made of.
type users struct {
	KeepAlive int    // requests a second over connections that are kept, with idle gaps
	OneShot   int    // requests a second, each on a connection of its own
	Slow      int    // long requests that are in flight at every moment
	SlowPath  string // of a long request; default /slow?ms=3000
}

// everybody is the load of PERFORMANCE: both kinds of connections, and ten
// 3-second requests in flight.
func everybody(rate int) users { return users{KeepAlive: rate, OneShot: max(rate/10, 10), Slow: 10} }

// failure is one request that a user would have noticed.
type failure struct {
	Client, Kind, Detail string
	At                   time.Time
	Took                 time.Duration
}

func (f failure) String() string {
	return fmt.Sprintf("%s %s %s after %s: %s", f.At.Format("15:04:05.000"), f.Client, f.Kind, f.Took.Round(time.Millisecond), f.Detail)
}

// load is users at work.
type load struct {
	url  string
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex
	requests map[string]int // by kind of client
	versions map[string]int // by who answered
	slowest  map[string]time.Duration
	failures []failure
}

// startLoad sends users to a front door until halt or the test's end.
func startLoad(t testing.TB, front string, u users) *load {
	t.Helper()
	l := &load{
		url: strings.TrimSuffix(front, "/"), stop: make(chan struct{}),
		requests: map[string]int{}, versions: map[string]int{}, slowest: map[string]time.Duration{},
	}
	l.paced(keepAlive, u.KeepAlive, 40)
	l.paced(oneShot, u.OneShot, 10)
	path := u.SlowPath
	if path == "" {
		path = "/slow?ms=3000"
	}
	for range u.Slow {
		l.done.Go(func() { l.user(slow, path, 0) })
	}
	t.Cleanup(func() { l.halt() })
	return l
}

// paced splits a rate over clients, so that each pauses between its requests.
func (l *load) paced(client string, rate, clients int) {
	if rate == 0 {
		return
	}
	clients = min(clients, rate)
	for range clients {
		l.done.Go(func() { l.user(client, "/", time.Second*time.Duration(clients)/time.Duration(rate)) })
	}
}

// user sends one request after another, every so often or without a pause.
func (l *load) user(client, path string, every time.Duration) {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: client == oneShot, DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}}
	defer c.CloseIdleConnections()
	if every > 0 && !l.pause(time.Duration(rand.Int64N(int64(every)))) {
		return
	}
	var tick <-chan time.Time
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	} else {
		always := make(chan time.Time)
		close(always)
		tick = always
	}
	for {
		l.ask(c, client, path)
		select {
		case <-l.stop:
			return
		case <-tick:
		}
		if l.stopped() {
			return
		}
	}
}

// pause waits; false if the load was stopped first.
func (l *load) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stop:
		return false
	}
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// ask sends one POST that nothing can repeat and records what became of it.
func (l *load) ask(c *http.Client, client, path string) {
	const order = "item=basket&count=1"
	began := time.Now()
	// The body's type is not one that the client could rewind: GetBody stays nil.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, l.url+path, io.NopCloser(strings.NewReader(order)))
	if err != nil {
		panic(err) // a malformed URL in a test
	}
	req.ContentLength = int64(len(order))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	l.record(client, began, res, body, err)
}

func (l *load) record(client string, began time.Time, res *http.Response, body []byte, err error) {
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[client]++
	l.slowest[client] = max(l.slowest[client], took)
	version, _, _ := strings.Cut(strings.TrimSpace(string(body)), " ")
	switch {
	case err != nil:
		l.failures = append(l.failures, failure{client, kindOf(err), err.Error(), time.Now(), took})
	case res.StatusCode != http.StatusOK:
		l.failures = append(l.failures, failure{client, res.Status, strings.TrimSpace(string(body[:min(len(body), 200)])), time.Now(), took})
	case version == "":
		l.failures = append(l.failures, failure{client, "empty answer", "", time.Now(), took})
	default:
		l.versions[version]++
	}
}

func kindOf(err error) string {
	var u *url.Error
	switch {
	case errors.As(err, &u) && u.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connect refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	return "other"
}

// halt lets the requests in flight end, and ends the load.
func (l *load) halt() {
	l.mu.Lock()
	if !l.stopped() {
		close(l.stop)
	}
	l.mu.Unlock()
	l.done.Wait()
}

// answered reports how often a version answered so far.
func (l *load) answered(version string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.versions[version]
}

// failed lists the failures of the kinds of clients; of all without any.
func (l *load) failed(clients ...string) []failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []failure
	for _, f := range l.failures {
		if len(clients) == 0 || slices.Contains(clients, f.Client) {
			out = append(out, f)
		}
	}
	return out
}

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, n := range l.requests {
		sum += n
	}
	return sum
}

// String gives the figures in one line.
func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parts []string
	for _, client := range slices.Sorted(maps.Keys(l.requests)) {
		bad := 0
		for _, f := range l.failures {
			if f.Client == client {
				bad++
			}
		}
		parts = append(parts, fmt.Sprintf("%s %d of %d failed (slowest %s)", client, bad, l.requests[client], l.slowest[client].Round(time.Millisecond)))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf("; answered by %v", l.versions)
}

// mustBeSilent ends the load and fails the test if any user noticed.
func (l *load) mustBeSilent(t *testing.T, clients ...string) {
	t.Helper()
	l.halt()
	t.Log(l)
	bad := l.failed(clients...)
	for _, f := range bad[:min(len(bad), 20)] {
		t.Error(f)
	}
	if len(bad) > 20 {
		t.Errorf("and %d more failures", len(bad)-20)
	}
	if l.total() == 0 {
		t.Error("the load sent nothing")
	}
}
