package slbtest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// front is the listener of a group as its users meet it.
type front struct {
	group *Group
	ln    net.Listener
	work  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // open tunnels; nil once the test ended
}

// Listen opens the listener on a free loopback port and returns its address:
// requests (protocol http) or connections (tcp) go to the servers by their
// weights in force, smoothly in turn, and only to those whose health is not
// abnormal. Without any, a request is answered 503 and a connection closed. What
// is under way when a weight changes is finished.
func (g *Group) Listen() string {
	t := g.cloud.t
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{group: g, ln: ln, conns: map[net.Conn]bool{}}
	if g.Protocol == "tcp" {
		f.work.Go(f.accept)
		t.Cleanup(f.close)
	} else {
		f.serveHTTP(t.Cleanup)
	}
	return ln.Addr().String()
}

// next is the address of the server whose turn it is; empty: there is none.
func (g *Group) next() string {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	g.settle(time.Now())
	best, total := -1, 0
	for i, st := range g.states {
		if st.force == 0 || st.health == "abnormal" || g.Check != nil && st.health != "normal" {
			continue
		}
		st.current += st.force
		total += st.force
		if best < 0 || st.current > g.states[best].current {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	g.states[best].current -= total
	return g.Servers[best].Addr
}

func (f *front) serveHTTP(cleanup func(func())) {
	quiet := log.New(io.Discard, "", 0)
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	proxy := &httputil.ReverseProxy{Transport: transport, ErrorLog: quiet, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Header.Get(chosen)
		r.Out.Header.Del(chosen)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := f.group.next()
		if addr == "" {
			http.Error(w, "no server has a weight and is healthy", http.StatusServiceUnavailable)
			return
		}
		r.Header.Set(chosen, addr)
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Handler: handler, ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	f.work.Go(func() { _ = server.Serve(f.ln) }) // ends with the listener
	cleanup(func() {
		server.Close()
		f.work.Wait()
		transport.CloseIdleConnections()
	})
}

// chosen carries the server from the front's choice to its proxy.
const chosen = "X-Slbtest-Server"

// accept tunnels connections until the listener is closed.
func (f *front) accept() {
	for {
		client, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.work.Go(func() { f.tunnel(client) })
	}
}

func (f *front) tunnel(client net.Conn) {
	if !f.keep(client) {
		return
	}
	defer f.drop(client)
	addr := f.group.next()
	if addr == "" {
		return
	}
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(f.group.cloud.t.Context(), "tcp", addr)
	if err != nil || !f.keep(server) {
		return
	}
	defer f.drop(server)
	var both sync.WaitGroup
	both.Go(func() { pour(server, client) })
	both.Go(func() { pour(client, server) })
	both.Wait()
}

// pour copies until the source ends, and tells the other side.
func pour(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either end may hang up
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// keep remembers a connection; false, and it is closed, once the test ended.
func (f *front) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		c.Close()
		return false
	}
	f.conns[c] = true
	return true
}

func (f *front) drop(c net.Conn) {
	c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

func (f *front) close() {
	f.ln.Close()
	f.mu.Lock()
	open := f.conns
	f.conns = nil
	for c := range open {
		c.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
}
