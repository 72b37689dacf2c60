package haproxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
)

const (
	loadClients = 12
	loadGap     = 20 * time.Millisecond // idle time of a kept connection between two requests
	loadToggles = 50
)

// Each toggle drains a host, replaces its backend by one on the same address as
// a deploy does, and puts it back.
func TestFiftyTogglesUnderLoadLoseNoRequest(t *testing.T) {
	r := newRig(t, 3, haproxytest.Options{}, nil)
	r.driver = r.open(map[string]any{"state_file": r.server.StateFile})
	stop := load(t, r.server.URL)
	for i := range loadToggles {
		n := i % len(r.targets)
		r.route(r.step(deploy.OpOut, n))
		eventually(t, "nothing is in flight", func() bool {
			return r.observe(r.step(deploy.OpOut, n)).Traffic.InFlight[r.targets[n].Addr] == 0
		})
		r.replace(n)
		r.route(r.step(deploy.OpIn, n))
		r.wantUp("after the toggle", 0, 1, 2)
	}
	served, failures := stop()
	t.Logf("%d requests", served)
	if len(failures) > 0 || served < loadToggles {
		t.Errorf("%d of %d requests failed, first: %v", len(failures), served, failures[0])
	}
}

// replace stops a backend at once and has HAProxy find a new one in its place.
func (r *rig) replace(n int) {
	r.t.Helper()
	r.stop[r.targets[n].Addr]()
	addr, stop := drivertest.StartBackend(r.t)
	r.stop[addr] = stop
	r.targets[n].Addr = addr
	r.server.Command(fmt.Sprintf("set server app/s%d addr 127.0.0.1 port %s", n+1, addr[strings.LastIndex(addr, ":")+1:]))
}

// load posts over kept connections with idle gaps until stop is called, which
// tells how many requests were answered and what went wrong.
func load(t *testing.T, url string) (stop func() (served int, failures []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var mu sync.Mutex
	var served int
	var failures []error
	var clients sync.WaitGroup
	for range loadClients {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			tick := time.NewTicker(loadGap)
			defer tick.Stop()
			for ; ctx.Err() == nil; <-tick.C {
				err := post(client, url)
				mu.Lock()
				if served++; err != nil {
					failures = append(failures, err)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []error) {
		cancel()
		clients.Wait()
		return served, failures
	}
}

// post sends a request that Go does not silently repeat.
func post(client *http.Client, url string) error {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		return err
	}
	req.GetBody = nil
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}
