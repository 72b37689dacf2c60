package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/bot/bottest"
)

// volley is what the load generator is asked to send. Every connection is open
// and has its first request ready before the first one is sent.
type volley struct {
	URL         string
	Connections int
	For         time.Duration // how long; or
	Count       int           // how many requests
	Rate        int           // a second, evenly; 0: each connection as soon as it has its answer
	Post        string        // body; empty: GET
	Pushes      string        // name of a series of Count signed pushes, each of its own commit; empty: none
	Accept      int           // the status that is no failure; default 200
}

// hits are what came of a volley.
type hits struct {
	Requests int
	Failures int
	Last     string  // failure
	Rate     float64 // answers a second
	P50, P99 time.Duration
	Slowest  time.Duration
}

func (h hits) String() string {
	return fmt.Sprintf("%d answered, %d failed %s (%.0f/s), p50 %s, p99 %s, slowest %s", h.Requests, h.Failures, h.Last, h.Rate, brief(h.P50), brief(h.P99), brief(h.Slowest))
}

// send has the load generator send a volley, and wants every request answered.
func (v volley) send(t testing.TB) hits {
	t.Helper()
	order, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), peerVar+"="+peerVolley)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(order), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the load generator: %v", err)
	}
	var h hits
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatal(err)
	}
	if h.Failures > 0 {
		t.Errorf("%s: %s", v.URL, h)
	}
	return h
}

// fire is the load generator.
func fire(in io.Reader, out io.Writer) error {
	var v volley
	if err := json.NewDecoder(in).Decode(&v); err != nil {
		return err
	}
	s, err := newSalvo(v)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s.run())
}

// salvo is a volley on its way.
type salvo struct {
	volley
	host    string
	request func(n int64) []byte
	sent    atomic.Int64
	ready   sync.WaitGroup
	start   chan struct{}
	began   time.Time

	mu     sync.Mutex
	took   []time.Duration
	failed int
	last   string
}

func newSalvo(v volley) (*salvo, error) {
	to, err := url.Parse(v.URL)
	if err != nil {
		return nil, err
	}
	if v.Accept == 0 {
		v.Accept = http.StatusOK
	}
	s := &salvo{volley: v, host: to.Host, start: make(chan struct{})}
	s.request, err = s.plain()
	if v.Pushes != "" {
		s.request = s.pushes()
	}
	return s, err
}

// plain is one and the same request.
func (s *salvo) plain() (func(int64) []byte, error) {
	method := http.MethodGet
	if s.Post != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, s.URL, strings.NewReader(s.Post))
	if err != nil {
		return nil, err
	}
	text := wire(req)
	return func(int64) []byte { return text }, nil
}

// pushes are GitHub's deliveries of one commit after another, all made before
// the first one is sent.
func (s *salvo) pushes() func(int64) []byte {
	made := make([][]byte, s.Count)
	var makers sync.WaitGroup
	for i := range runtime.GOMAXPROCS(0) {
		makers.Go(func() {
			for n := i; n < s.Count; n += runtime.GOMAXPROCS(0) {
				name := fmt.Sprint(s.Pushes, n)
				made[n] = wire(bottest.GitHub().Deliver(s.URL, hookSecret, bottest.Push{Delivery: bottest.Hash(name)}, pushBody(name)))
			}
		})
	}
	makers.Wait()
	return func(n int64) []byte { return made[min(n, int64(s.Count)-1)] }
}

// pushBody is the JSON of a push, pushBytes long; the text around the commit is
// made once.
func pushBody(name string) []byte {
	return bytes.ReplaceAll(samplePush(), []byte(bottest.Hash("sample")), []byte(bottest.Hash(name)))
}

var samplePush = sync.OnceValue(func() []byte {
	p := bottest.Push{After: bottest.Hash("sample"), Message: "Change\n\n"}
	bare := len(bottest.GitHub().Body(p))
	p.Message += strings.Repeat("The basket. ", (pushBytes-bare)/2/12) // it is told twice: of the head and in the list
	return bottest.GitHub().Body(p)
})

// wire is a request as it is sent.
func wire(req *http.Request) []byte {
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
}

func (s *salvo) run() hits {
	var gunners sync.WaitGroup
	s.ready.Add(s.Connections)
	for i := range s.Connections {
		gunners.Go(func() { s.gunner(i) })
	}
	s.ready.Wait()
	s.began = time.Now()
	close(s.start)
	gunners.Wait()
	return s.hits(time.Since(s.began))
}

func (s *salvo) hits(lasted time.Duration) hits {
	slices.Sort(s.took)
	h := hits{Requests: len(s.took), Failures: s.failed, Last: s.last, Rate: float64(len(s.took)) / lasted.Seconds()}
	if len(s.took) > 0 {
		h.P50, h.P99, h.Slowest = quantile(s.took, 0.5), quantile(s.took, 0.99), s.took[len(s.took)-1]
	}
	return h
}

// gunner is one connection.
func (s *salvo) gunner(own int) {
	g := &gun{to: s.host}
	defer g.close()
	dialled := g.dial()
	n := s.sent.Add(1) - 1
	next := s.request(n)
	s.ready.Done()
	<-s.start
	if dialled != nil {
		s.fail(dialled)
		return
	}
	var took []time.Duration
	for round := 0; s.more(n) && s.pace(own+round*s.Connections); round++ {
		began := time.Now()
		status, err := g.ask(next)
		took = append(took, time.Since(began))
		if err == nil && status != s.Accept {
			err = fmt.Errorf("status %d", status)
		}
		if err != nil {
			took = took[:len(took)-1]
			s.fail(err)
		}
		n = s.sent.Add(1) - 1
		next = s.request(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took...)
}

// more reports whether the request n is still to be sent.
func (s *salvo) more(n int64) bool {
	if s.Count > 0 {
		return n < int64(s.Count)
	}
	return time.Since(s.began) < s.For
}

// pace waits for a shot's time; false when the volley is over before.
func (s *salvo) pace(shot int) bool {
	if s.Rate == 0 {
		return true
	}
	at := time.Duration(float64(shot) / float64(s.Rate) * float64(time.Second))
	<-time.After(time.Until(s.began.Add(at)))
	return s.Count > 0 || at < s.For
}

func (s *salvo) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	s.last = err.Error()
}

// gun is one connection that is opened anew when the other side closed it.
type gun struct {
	to   string
	conn net.Conn
	in   *bufio.Reader
}

func (g *gun) dial() error {
	conn, err := net.Dial("tcp", g.to)
	if err == nil {
		g.conn, g.in = conn, bufio.NewReader(conn)
	}
	return err
}

func (g *gun) close() {
	if g.conn != nil {
		g.conn.Close()
		g.conn = nil
	}
}

func (g *gun) ask(request []byte) (status int, err error) {
	if g.conn == nil {
		if err := g.dial(); err != nil {
			return 0, err
		}
	}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if err := g.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := g.conn.Write(request); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(g.in, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.Close {
		g.close()
	}
	return res.StatusCode, nil
}

// crowd is what 64 connections get in a second, by wrk where it is installed.
func crowd(t testing.TB, address string) hits {
	t.Helper()
	program, err := exec.LookPath("wrk")
	if err != nil {
		return volley{URL: address, Connections: connections, For: time.Second}.send(t)
	}
	out, err := exec.Command(program, "-t2", "-c"+strconv.Itoa(connections), "-d1s", "--latency", address).CombinedOutput()
	if err != nil {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	h, err := readWrk(string(out))
	if err != nil || h.Failures > 0 {
		t.Errorf("wrk: %v\n%s", err, out)
	}
	return h
}

// crowdBy says who sends crowd's load.
func crowdBy() string {
	if _, err := exec.LookPath("wrk"); err != nil {
		return "the load generator of this package, since wrk is not installed"
	}
	return "wrk"
}

// readWrk reads the lines of wrk's report that tell the figures.
func readWrk(report string) (h hits, err error) {
	for line := range strings.Lines(report) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "99%":
			h.P99, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "50%":
			h.P50, err = time.ParseDuration(f[1])
		case strings.Contains(line, " requests in "):
			h.Requests, err = strconv.Atoi(f[0])
		case len(f) == 2 && f[0] == "Requests/sec:":
			h.Rate, err = strconv.ParseFloat(f[1], 64)
		case strings.Contains(line, "Non-2xx") || strings.Contains(line, "Socket errors"):
			h.Failures, h.Last = 1, strings.TrimSpace(line)
		}
		if err != nil {
			return h, err
		}
	}
	if h.Rate == 0 || h.P99 == 0 {
		return h, fmt.Errorf("its report lacks the rate or the 99th percentile")
	}
	return h, nil
}
