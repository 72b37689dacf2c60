package nginx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/drivertest"
)

func TestSwitchesUnderLoadLoseNoRequest(t *testing.T) {
	r := newRig(t, nil)
	r.route(r.a)
	client := load(t, r.server.URL, 4)
	up, left := r.a, r.b
	for range 20 {
		r.stop[left]()
		addr, stop := drivertest.StartBackend(t)
		r.stop[addr] = stop
		left, up = up, addr
		r.a, r.b = up, left
		r.route(up)
		eventually(t, "nothing is in flight to "+left, func() bool {
			n, told := r.observe(up).InFlight[left]
			return told && n == 0
		})
	}
	requests, failures := client()
	t.Logf("%d requests", requests)
	if len(failures) > 0 || requests == 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(failures), requests, failures[0])
	}
}

// load posts from several clients, one connection a request, until the returned function is called.
func load(t *testing.T, url string, clients int) (stop func() (requests int, failures []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	results := make(chan error)
	ended := make(chan struct{})
	for range clients {
		go func() {
			defer func() { ended <- struct{}{} }()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ; ctx.Err() == nil; <-tick.C {
				_, err := post(url)
				results <- err
			}
		}()
	}
	done := make(chan struct{})
	var requests int
	var failures []error
	go func() {
		defer close(done)
		for running := clients; running > 0; {
			select {
			case err := <-results:
				requests++
				if err != nil {
					failures = append(failures, err)
				}
			case <-ended:
				running--
			}
		}
	}()
	return func() (int, []error) {
		cancel()
		<-done
		return requests, failures
	}
}

// post sends one request on a connection of its own, which Go does not repeat.
func post(url string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		return "", err
	}
	req.GetBody, req.Close = nil, true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}
