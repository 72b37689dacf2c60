package proxy

import (
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"ipublish/deploy"
)

// mute accepts and never answers, as a process that hangs.
func mute(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "e")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { close(hang); _ = server.Close(); <-done })
	return socket
}

func TestAnElderThatHangsHoldsUpNoChangeButADrain(t *testing.T) {
	g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json"), Log: slog.New(slog.DiscardHandler)}.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.elders.living = nil; g.close(); g.wait() })
	a := named(t)
	seen := map[string]counts{shop.String(): {a.addr: {InFlight: 2, Counter: deploy.Counter{Requests: 5}}}}
	for pid := range 3 {
		g.elders.living = append(g.elders.living, &elder{PID: pid, Socket: mute(t), Seen: seen})
	}
	r := route{Name: shop.String(), Listen: freeAddr(t), Up: []string{a.addr}}
	began := time.Now()
	s, err := g.put(order{route: r})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*elderPatience {
		t.Errorf("took %v", took)
	}
	if got := s.Addresses[a.addr]; got.InFlight != 6 || got.Requests != 15 {
		t.Errorf("counted %+v", got)
	}
	none := time.Duration(0)
	_, err = g.put(order{route: r, drain: &none})
	wantCode(t, err, deploy.CodeUnavailable)
	g.elders.living[0].Seen = map[string]counts{}
	_, err = g.get(shop.String())
	wantCode(t, err, deploy.CodeUnavailable)
}
