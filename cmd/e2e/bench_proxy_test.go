package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/balancer/nginxtest"
)

// Variables that change the size of a bench, or name a peer's program.
const (
	roundsVar  = "E2E_ROUNDS"  // of every lane, of a second each
	kamalVar   = "KAMAL_PROXY" // kamal-proxy
	webhookVar = "WEBHOOK"     // adnanh/webhook
)

// The lanes from the load to the backend.
const (
	laneDirect  = "direct"
	laneOurs    = "ipublish proxy"
	laneBare    = "bare httputil.ReverseProxy, tuned"
	laneKept    = "nginx, upstream keep-alive"
	laneSource  = "nginx as in the source text"
	laneHAProxy = "HAProxy"
	laneKamal   = "kamal-proxy"
)

// steadyRate is the load under which the added latency is measured, a second.
const steadyRate = 500

// lanes are URLs that lead to one backend, and what was measured on each, a
// value a round.
type lanes struct {
	t     testing.TB
	names []string
	url   map[string]string
	rate  map[string][]float64       // requests a second
	p99   map[string][]float64       // of them, in seconds
	calm  map[string][]time.Duration // p50 at the steady rate
	pid   map[string]int             // of those whose processor time is compared
	work  map[string][]float64       // processor seconds a request
}

func (l *lanes) add(name, address string) {
	l.names = append(l.names, name)
	l.url[name] = strings.TrimSuffix(address, "/") + "/"
}

func (l *lanes) start(p *proxyProgram) {
	l.add(p.name, p.start(l.t).url)
	l.pid[p.name] = p.process.cmd.Process.Pid
}

// newLanes starts every proxy before one nginx that answers by itself: the least
// that a backend can cost.
func newLanes(t testing.TB) *lanes {
	t.Helper()
	l := &lanes{
		t: t, url: map[string]string{}, rate: map[string][]float64{}, p99: map[string][]float64{}, calm: map[string][]time.Duration{},
		pid: map[string]int{}, work: map[string][]float64{},
	}
	backend := plainBackend(t)
	l.add(laneDirect, "http://"+backend)
	l.start(newOwnProxy(t, backend))
	l.start(newBareProxy(t, backend))
	l.add(laneKept, nginxtest.Start(t, nginxtest.Options{Own: nginxKept(backend)}).URL)
	l.add(laneSource, nginxtest.Start(t, nginxtest.Options{Own: nginxOfTheSource(backend)}).URL)
	l.add(laneHAProxy, haproxytest.Start(t, haproxytest.Options{Servers: []string{backend}}).URL)
	if k := newKamalProxy(t, backend); k != nil {
		l.start(k)
	}
	return l
}

// plainBackend is the address of an nginx that answers a few bytes.
func plainBackend(t testing.TB) string {
	t.Helper()
	n := nginxtest.Start(t, nginxtest.Options{Own: `
    keepalive_requests 100000000;
    server { listen {front}; location / { return 200 "hello, world\n"; } }
`})
	return strings.Trim(strings.TrimPrefix(n.URL, "http://"), "/")
}

func nginxKept(backend string) string {
	return fmt.Sprintf(`
    keepalive_requests 100000000;
    upstream app { server %s; keepalive 64; keepalive_requests 100000000; }
    server { listen {front}; location / {
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    } }
`, backend)
}

// nginxOfTheSource opens a connection to the backend for every request.
func nginxOfTheSource(backend string) string {
	return fmt.Sprintf(`
    upstream app { server %s weight=1; server 127.0.0.1:9 weight=1 down; }
    server { listen {front}; location / {
        proxy_pass http://app;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header REMOTE-HOST $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    } }
`, backend)
}

// crowdRound loads every lane for a second; each round begins with another one.
func (l *lanes) crowdRound(round int) {
	for i := range l.names {
		name := l.names[(round+i)%len(l.names)]
		before := l.worked(name)
		h := crowd(l.t, l.url[name])
		l.rate[name] = append(l.rate[name], h.Rate)
		l.p99[name] = append(l.p99[name], h.P99.Seconds())
		l.work[name] = append(l.work[name], (l.worked(name)-before).Seconds()/float64(max(h.Requests, 1)))
	}
}

func (l *lanes) worked(name string) time.Duration {
	if l.pid[name] == 0 {
		return 0
	}
	return worked(l.t, l.pid[name])
}

// calmRound sends POSTs at the steady rate over every lane for a second.
func (l *lanes) calmRound(round int) {
	for i := range l.names {
		name := l.names[(round+i)%len(l.names)]
		h := volley{URL: l.url[name], Connections: 8, Rate: steadyRate, For: time.Second, Post: "item=basket&count=1"}.send(l.t)
		l.calm[name] = append(l.calm[name], h.P50)
	}
}

// added is what a lane adds to the direct one, round by round.
func (l *lanes) added(name string) []float64 {
	var out []float64
	for i, p50 := range l.calm[name] {
		out = append(out, (p50 - l.calm[laneDirect][i]).Seconds())
	}
	return out
}

// against is the median of the rounds' ratios: a machine that is disturbed for a
// while disturbs both.
func against(ours, peer []float64) float64 {
	var ratios []float64
	for i := range min(len(ours), len(peer)) {
		ratios = append(ratios, ours[i]/peer[i])
	}
	return middle(ratios)
}

func TestBenchProxy(t *testing.T) {
	bench(t, "The built-in proxy, beside its peers before one backend; load by "+crowdBy(), compareProxies)
}

func compareProxies(t *testing.T, f *figures) {
	l := newLanes(t)
	for _, name := range l.names {
		volley{URL: l.url[name], Connections: connections, For: time.Second / 2}.send(t)
	}
	for round := range amount(t, roundsVar, 7) {
		l.crowdRound(round)
		l.calmRound(round)
	}
	l.throughput(f)
	l.latency(f)
	l.workload(f)
	l.others(f)
}

func (l *lanes) throughput(f *figures) {
	ours := fmt.Sprintf("%.0f", middle(l.rate[laneOurs]))
	const figure = "requests/s, 64 connections"
	f.row(l.judged(entry{Figure: figure, Ours: ours, Goal: "≥ 0.95 ×"}, laneBare, l.rate, perSecond, atLeast(0.95)))
	f.row(l.judged(entry{Figure: figure, Ours: ours, Goal: "≥ 1.2 ×"}, laneKamal, l.rate, perSecond, atLeast(1.2)))
	f.row(l.judged(entry{Figure: "p99, 64 connections", Ours: inTime(middle(l.p99[laneOurs])), Goal: "≤ 0.8 ×"}, laneKamal, l.p99, inTime, atMost(0.8)))
}

func (l *lanes) latency(f *figures) {
	added := map[string][]float64{}
	for _, name := range l.names {
		added[name] = l.added(name)
	}
	f.row(l.judged(entry{Figure: "added to p50 at 500/s", Ours: inTime(middle(added[laneOurs])), Goal: "≤ 1.1 ×"}, laneBare, added, inTime, atMost(1.1)))
}

// workload is printed as it is: on a busy machine it tells more than the clock.
func (l *lanes) workload(f *figures) {
	for name := range maps.Keys(l.pid) {
		if name != laneOurs {
			f.row(entry{
				Figure: "processor time a request, 64 connections", Ours: inTime(middle(l.work[laneOurs])),
				Peer: name + " " + inTime(middle(l.work[name])), Ratio: fmt.Sprintf("%.2f", against(l.work[laneOurs], l.work[name])),
			})
		}
	}
}

// judged compares our values with a lane's, round by round.
func (l *lanes) judged(e entry, lane string, values map[string][]float64, form func(float64) string, good func(float64) bool) entry {
	if !slices.Contains(l.names, lane) {
		e.Peer, e.Result = lane+": set "+kamalVar+" to its program", notCompared
		return e
	}
	ratio := against(values[laneOurs], values[lane])
	e.Peer = lane + " " + form(middle(values[lane]))
	e.Ratio, e.Result = fmt.Sprintf("%.2f", ratio), reached(good(ratio))
	return e
}

// others are printed as they are.
func (l *lanes) others(f *figures) {
	for _, name := range l.names {
		if name == laneOurs {
			continue
		}
		f.row(entry{
			Figure: "requests/s · p99 · added p50",
			Ours:   l.figures(laneOurs), Peer: name + " " + l.figures(name),
			Ratio: fmt.Sprintf("%.2f", against(l.rate[laneOurs], l.rate[name])),
		})
	}
}

func (l *lanes) figures(name string) string {
	added := "–"
	if name != laneDirect {
		added = inTime(middle(l.added(name)))
	}
	return fmt.Sprintf("%.0f · %s · %s", middle(l.rate[name]), inTime(middle(l.p99[name])), added)
}

func perSecond(v float64) string { return fmt.Sprintf("%.0f/s", v) }
func inTime(seconds float64) string {
	return brief(time.Duration(seconds * float64(time.Second)))
}
func atLeast(goal float64) func(float64) bool { return func(v float64) bool { return v >= goal } }
func atMost(goal float64) func(float64) bool  { return func(v float64) bool { return v <= goal } }
