package proxy

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
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
	log := Options{}.filled().Log
	g, err := restoreRegistry(stateFile(filepath.Join(b.TempDir(), "proxy.json")), DefaultDrain, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.close(); g.wait() })
	listen := freeAddr(b)
	if _, err := g.put(route{Name: shop.String(), Listen: listen, Up: []string{backend}}, turn{}); err != nil {
		b.Fatal(err)
	}
	return "http://" + listen
}

// BenchmarkAgainstBare runs both beside each other in slices of 64 connections
// and reports their ratio, bare ÷ ours in time a request: the goal is ≥ 0.95.
// Slices alternate, so that a noisy machine disturbs both alike.
func BenchmarkAgainstBare(b *testing.B) {
	a := startApp(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello, world")
	}))
	bare, ours := bareProxy(b, a.addr), ourProxy(b, a.addr)
	for name, body := range map[string]string{"get": "", "post": "name=value"} {
		b.Run(name, func(b *testing.B) {
			var ratios []float64
			var total time.Duration
			for b.Loop() {
				x, y := slice(b, bare, body), slice(b, ours, body)
				z := slice(b, bare, body)
				ratios = append(ratios, (x+z).Seconds()/2/y.Seconds())
				total += y
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "bare/ours")
			b.ReportMetric(float64(len(ratios)*sliceRequests)/total.Seconds(), "ours-req/s")
		})
	}
}

const sliceRequests = 4096

// slice is the time that 64 connections need for sliceRequests.
func slice(b *testing.B, url, body string) time.Duration {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	var workers sync.WaitGroup
	began := time.Now()
	for range 64 {
		workers.Go(func() {
			for range sliceRequests / 64 {
				if err := once(c, url, body); err != nil {
					b.Error(err)
				}
			}
		})
	}
	workers.Wait()
	return time.Since(began)
}

func once(c *http.Client, url, body string) error {
	if body != "" {
		_, err := post(c, url, body)
		return err
	}
	_, err := answerOf(c.Get(url))
	return err
}
