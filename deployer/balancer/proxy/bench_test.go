package proxy

import (
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The peer: the standard library's reverse proxy with tuned connections and
// nothing else.
func bareProxy(b *testing.B, backend string) string {
	b.Helper()
	to := &url.URL{Scheme: "http", Host: backend}
	tr := &http.Transport{MaxIdleConnsPerHost: maxIdle, DisableCompression: true}
	b.Cleanup(tr.CloseIdleConnections)
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.Out.Host = pr.In.Host; pr.SetXForwarded() },
		Transport:  tr,
		BufferPool: &buffers{},
		ErrorLog:   log.New(io.Discard, "", 0),
	})
	b.Cleanup(s.Close)
	return s.URL
}

func ourProxy(b *testing.B, backend string) string {
	b.Helper()
	g, err := restoreRegistry(Options{StateFile: filepath.Join(b.TempDir(), "proxy.json")}.filled(), legacy{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.close(); g.wait() })
	listen := freeAddr(b)
	if _, err := g.put(order{route: route{Name: shop.String(), Listen: listen, Up: []string{backend}}}); err != nil {
		b.Fatal(err)
	}
	return "http://" + listen
}

// BenchmarkAgainstBare runs both beside each other in slices of 64 connections
// and reports their ratios, bare ÷ ours: in time a request, of which the goal is
// ≥ 0.95, and in processor time a request, client and application included, which
// a machine with other work blurs less. Slices alternate, so that a noisy machine
// disturbs both alike.
func BenchmarkAgainstBare(b *testing.B) {
	a := startApp(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello, world")
	}))
	bare, ours := newCrowd(b, bareProxy(b, a.addr)), newCrowd(b, ourProxy(b, a.addr))
	for name, body := range map[string]string{"get": "", "post": "name=value"} {
		b.Run(name, func(b *testing.B) {
			var ratios, work []float64
			var total time.Duration
			for b.Loop() {
				x, y := bare.slice(body), ours.slice(body)
				z := bare.slice(body)
				ratios = append(ratios, (x.wall+z.wall).Seconds()/2/y.wall.Seconds())
				work = append(work, (x.work+z.work).Seconds()/2/y.work.Seconds())
				total += y.wall
			}
			b.ReportMetric(median(ratios), "bare/ours")
			b.ReportMetric(median(work), "bare/ours-cpu")
			b.ReportMetric(float64(len(ratios)*sliceRequests)/total.Seconds(), "ours-req/s")
		})
	}
}

func median[T float64 | time.Duration](of []T) T {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkLatencyAgainstBare sends 500 POSTs a second through both in turns and
// reports the medians: the goal of ours ÷ bare, less the application's own, is ≤ 1.1.
// The order is drawn each time: who comes after whom makes a difference of a third.
func BenchmarkLatencyAgainstBare(b *testing.B) {
	a := startApp(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello, world")
	}))
	urls := []string{"http://" + a.addr, bareProxy(b, a.addr), ourProxy(b, a.addr)}
	var took [3][]time.Duration
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 3}}
	defer c.CloseIdleConnections()
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for b.Loop() {
		for _, i := range rand.Perm(len(urls)) {
			<-pace.C
			began := time.Now()
			if err := once(c, urls[i], "name=value"); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	direct, bare, ours := median(took[0]), median(took[1]), median(took[2])
	b.ReportMetric(float64(direct.Microseconds()), "direct-µs")
	b.ReportMetric(float64((bare - direct).Microseconds()), "bare-adds-µs")
	b.ReportMetric(float64((ours - direct).Microseconds()), "ours-adds-µs")
	b.ReportMetric(float64(ours-direct)/float64(bare-direct), "ours/bare")
}

const sliceRequests = 1024

// cost is what some requests took.
type cost struct{ wall, work time.Duration }

// crowd is 64 connections to one proxy.
type crowd struct {
	b   *testing.B
	url string
	c   *http.Client
}

func newCrowd(b *testing.B, url string) *crowd {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(tr.CloseIdleConnections)
	return &crowd{b, url, &http.Client{Transport: tr}}
}

// slice is the cost of sliceRequests.
func (w *crowd) slice(body string) cost {
	var workers sync.WaitGroup
	began, worked := time.Now(), work(w.b)
	for range 64 {
		workers.Go(func() {
			for range sliceRequests / 64 {
				if err := once(w.c, w.url, body); err != nil {
					w.b.Error(err)
				}
			}
		})
	}
	workers.Wait()
	return cost{time.Since(began), work(w.b) - worked}
}

// work is this process's processor time.
func work(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func once(c *http.Client, url, body string) error {
	if body != "" {
		_, err := post(c, url, body)
		return err
	}
	_, err := answerOf(c.Get(url))
	return err
}
