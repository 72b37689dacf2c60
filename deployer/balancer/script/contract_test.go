package script_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
)

// door is the balancer that the programs of a rig steer: before each request it
// reads which backends are up, and takes them in turn.
type door struct {
	dir   string
	addrs []string
	turn  atomic.Uint64
}

func (d *door) next() string {
	first := d.turn.Add(1)
	for i := range d.addrs {
		addr := d.addrs[(first+uint64(i))%uint64(len(d.addrs))]
		if says, err := os.ReadFile(filepath.Join(d.dir, addr)); err == nil && string(says) == "up\n" {
			return addr
		}
	}
	return "127.0.0.1:0"
}

func (d *door) open(t *testing.T) (url string) {
	t.Helper()
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", d.next() }}
	s := httptest.NewServer(proxy)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return s.URL + "/"
}

func TestScriptKeepsTheContractOfARollingBalancer(t *testing.T) {
	programs := newRig(t)
	d := &door{dir: programs.dir}
	rig := drivertest.RollingRig{Unknown: deploy.Endpoint{Host: "web-9", Addr: "10.0.0.9:80"}}
	stops := map[string]func(){}
	for i := range 4 {
		addr, stop := drivertest.StartBackend(t)
		stops[addr] = stop
		programs.is(t, addr, "up\n")
		d.addrs = append(d.addrs, addr)
		rig.Targets = append(rig.Targets, deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%d", i)), Addr: addr})
	}
	rig.URL = d.open(t)
	rig.Stop = func(addr string) { stops[addr]() }
	rig.Open = func(t *testing.T) deployer.Balancer {
		return programs.open(t, map[string]any{
			"out": []string{programs.program, "out", "{addr}"}, "in": []string{programs.program, "in", "{addr}"},
			"status": []string{programs.program, "status", "{addr}"},
		})
	}
	drivertest.Rolling(t, rig)
}
