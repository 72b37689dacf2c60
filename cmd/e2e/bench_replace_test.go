package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// The proxy's process is replaced as an operator and as systemd does it, in
// turns, and after each time the application behind it as well.
func TestTheProxyIsReplacedUnderLoad(t *testing.T) {
	const rate = 1000
	table := newTable(t, fmt.Sprintf("the built-in proxy replaced under %d keep-alive POSTs/s with idle gaps, a tenth as many on a connection each, ten long requests in flight", rate))
	times, path := amount(t, replacementsVar, 4), "/slow?ms=1000"
	if os.Getenv(replacementsVar) != "" {
		path = "/slow?ms=3000"
	}
	r := newBenchRig(t)
	pairs := newPairs(t, r, 1)
	throughProxy(r, pairs)
	p := pairs[0]
	p.begin(users{KeepAlive: rate, OneShot: rate / 10, Slow: 10, SlowPath: path})
	ways := []func(){r.replaceProxy, r.hangUpProxy}
	for n := range times {
		ways[n%len(ways)]()
		if err := p.turn(t.Context()); err != nil {
			t.Fatalf("the switch after replacement %d: %v", n+1, err)
		}
	}
	p.users.mustBeSilent(t)
	eventually(t, startLimit, "every older process is gone", func() bool { return len(r.proxies()) == 1 })
	table.row(entry{
		Figure: fmt.Sprintf("lost over %d replacements", times), Ours: losses(loadsOf(pairs), keepAlive, oneShot, slow),
		Goal: "0", Result: reached(len(lostBy(loadsOf(pairs))) == 0),
	})
}

// replaceProxy is `ipublish proxy --replace`, until the new process is the proxy.
func (r *rig) replaceProxy() {
	r.t.Helper()
	next := r.startProxy("--replace")
	eventually(r.t, startLimit, "the new process is the proxy", func() bool { return r.proxyPID() == next.Pid })
}

// hangUpProxy is SIGHUP, at which the proxy starts its successor itself.
func (r *rig) hangUpProxy() {
	r.t.Helper()
	old := r.proxyPID()
	if err := syscall.Kill(old, syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, startLimit, "a successor is the proxy", func() bool {
		now := r.proxyPID()
		return now != 0 && now != old
	})
}

// proxyPID asks on the control socket who answers; 0 when nobody does.
func (r *rig) proxyPID() int {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", r.state("proxy.sock"))
		},
	}}
	res, err := client.Get("http://proxy/v1/ping")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	var answer struct {
		PID int `json:"pid"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return 0
	}
	return answer.PID
}

// proxies are the processes that serve, or served, the rig's control socket.
func (r *rig) proxies() []process {
	var out []process
	for _, p := range processes() {
		if p.has("proxy") && p.has(r.state("proxy.sock")) {
			out = append(out, p)
		}
	}
	return out
}
