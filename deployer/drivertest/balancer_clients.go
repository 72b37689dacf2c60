package drivertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

// StartBackend runs a backend as BalancerRig wants it until stop is called or
// the test ends. stop cuts what is in flight.
func StartBackend(t testing.TB) (addr string, stop func()) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	addr = srv.Listener.Addr().String()
	srv.Config.Handler = balancerBackend(addr)
	srv.Start()
	stop = sync.OnceFunc(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	t.Cleanup(stop)
	return addr, stop
}

func balancerBackend(addr string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that left is no concern of the backend
		wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil {
			_, _ = io.WriteString(w, addr)
			return
		}
		w.Header().Set("X-Accel-Buffering", "no")
		_, _ = io.WriteString(w, addr)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
	})
}

// watchFrontDoor posts on fresh connections until stop is called, which joins
// it and fails the test if a request had no answer.
func (s *balancerSuite) watchFrontDoor(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var served int
	var failures []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		client := balancerClient(balancerFresh)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ; ctx.Err() == nil; <-tick.C {
			got, err := balancerPost(context.WithoutCancel(ctx), client, s.rig.URL)
			served++
			if err != nil || !s.isTarget(got) {
				failures = append(failures, fmt.Sprintf("%q, %v", got, err))
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		t.Logf("the front door was asked %d times", served)
		if len(failures) > 0 || served == 0 {
			t.Errorf("the front door failed %d of %d requests, first: %v", len(failures), served, failures[:min(3, len(failures))])
		}
	})
	t.Cleanup(stop)
	return stop
}

func balancerCheckCode(t *testing.T, err error) {
	t.Helper()
	var e *deploy.Error
	if !errors.As(err, &e) || e.Code == "" || e.Code == deploy.CodeInternal {
		t.Errorf("%v: an error of the balancer without a code of its own", err)
	}
}

type balancerConnections int

const (
	balancerFresh balancerConnections = iota // one connection a request
	balancerKept                             // kept alive
)

func balancerClient(c balancerConnections) *http.Client {
	return &http.Client{
		Timeout:   balancerLimit,
		Transport: &http.Transport{DisableKeepAlives: c == balancerFresh},
	}
}

// balancerPost sends a request that Go does not silently repeat, and returns the answer's body.
func balancerPost(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		return "", err
	}
	req.GetBody = nil
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return strings.TrimSpace(string(body)), err
}
