package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

// detour stands between a driver and the proxy, and holds what sets a route up
// on the way until it is let go.
type detour struct {
	socket  string
	held    chan struct{} // one for each that is held
	letGo   chan struct{}
	arrived chan string // what the proxy answered to it
}

func takeDetour(t *testing.T, to string) *detour {
	t.Helper()
	d := &detour{
		socket: filepath.Join(shortDir(t), "d"),
		held:   make(chan struct{}, 10), letGo: make(chan struct{}), arrived: make(chan string, 10),
	}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { d.pass(c, to) })
		}
	})
	return d
}

func (d *detour) pass(c net.Conn, to string) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Method == http.MethodPut {
		d.held <- struct{}{}
		<-d.letGo
	}
	there, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer there.Close()
	_, _ = fmt.Fprintf(there, "%s %s HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", r.Method, r.RequestURI, len(body), body)
	answer, _ := io.ReadAll(there)
	if r.Method == http.MethodPut {
		d.arrived <- string(answer)
	}
	_, _ = c.Write(answer)
}

func TestARouteThatWasGivenUpIsNotPutInForceBehindALaterQuestion(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr})
	way := takeDetour(t, p.socket)
	ctx, cancel := context.WithCancel(t.Context())
	routed := make(chan error, 1)
	go func() { routed <- openDriver(t, way.socket, p.listen).Route(ctx, step([]string{b.addr}, nil, nil)) }()
	<-way.held
	cancel()
	began := time.Now()
	wantCode(t, <-routed, deploy.CodeCancelled)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it was given up %s later", took)
	}
	before := p.traffic()
	close(way.letGo)
	if answer := <-way.arrived; !strings.Contains(answer, " 503 ") {
		t.Errorf("it was answered %q", answer)
	}
	if after := p.traffic(); !slices.Equal(before.Up, []string{a.addr}) || !slices.Equal(after.Up, before.Up) {
		t.Errorf("up was %v and is %v: what was told became untrue", before.Up, after.Up)
	}
}

func TestGivingUpTowardsAProxyThatHangsDoesNotTakeLong(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	wantCode(t, openDriver(t, l.Addr().String(), "127.0.0.1:9000").Route(ctx, step([]string{"127.0.0.1:9"}, nil, nil)), deploy.CodeTimeout)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAnElderDoesNotGoBackToARouteThatArrivesLate(t *testing.T) {
	p := serveProxy(t)
	a, b := echo(t), named(t)
	p.route([]string{a.addr})
	conn := dialWebSocket(t, p.listen) // keeps the elder alive
	next := p.replaced()
	c := newClient(p.socket)
	var late turn
	if err := c.call(t.Context(), http.MethodPost, "/v1/turns/"+shop.String(), nil, &late); err != nil {
		t.Fatal(err)
	}
	next.route([]string{b.addr})
	elder := newClient(fmt.Sprintf("%s.%d", p.socket, os.Getpid()))
	stale := order{route: route{Name: shop.String(), Listen: p.listen, Up: []string{a.addr}}, turn: late.Turn}
	wantCode(t, elder.follow(t.Context(), stale), deploy.CodeUnavailable)
	if got, err := elder.get(t.Context(), shop.String()); err != nil || !slices.Equal(got.Up, []string{b.addr}) {
		t.Errorf("the elder has %v up, %v", got.Up, err)
	}
	_ = conn.Close()
}

func TestARemovedRouteIsNotBroughtBackByWhatArrivesLate(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	c := newClient(p.socket)
	var late turn
	if err := c.call(t.Context(), http.MethodPost, "/v1/turns/"+shop.String(), nil, &late); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.call(t.Context(), http.MethodDelete, routePath(shop.String()), nil, &struct{}{}), deploy.CodeNotFound)
	o := order{route: route{Name: shop.String(), Listen: p.listen, Up: []string{a.addr}}, turn: late.Turn}
	wantCode(t, c.follow(t.Context(), o), deploy.CodeUnavailable)
}

// What is asked of a process after it told its successor everything would be
// unknown to that one: two turns could then be the same.
func TestAProxyThatIsHandingOverSaysNothingOfItsOwn(t *testing.T) {
	g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json")}.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { g.close(); g.wait() }()
	if err := g.freeze(); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() error{
		"turn": func() error { _, err := g.turn(shop.String()); return err },
		"put": func() error {
			_, err := g.put(order{route: route{Name: shop.String(), Listen: "127.0.0.1:9000", Up: []string{"127.0.0.1:9"}}})
			return err
		},
		"get":    func() error { _, err := g.get(shop.String()); return err },
		"list":   func() error { _, err := g.list(); return err },
		"remove": func() error { return g.remove(shop.String()) },
		"estate": func() error { return g.inherit(estate{}) },
	} {
		if err := ask(); !errors.Is(err, errMoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.thaw()
	if _, err := g.turn(shop.String()); err != nil {
		t.Error(err)
	}
}
