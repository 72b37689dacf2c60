package drivertest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// slowRequest sends slow requests until one reached addr; finish checks that this one ended whole.
func (s *rollingSuite) slowRequest(t *testing.T, addr string) (finish func()) {
	t.Helper()
	url := s.rig.URL + "?wait=" + (2*time.Second + 4*s.door.whole).String()
	for range rollingShare * len(s.rig.Targets) {
		body, err := rollingSlow(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if body.reached == addr {
			t.Cleanup(body.close)
			return func() {
				if err := body.rest(); err != nil {
					t.Errorf("the slow request was cut: %v", err)
				}
			}
		}
		body.close()
	}
	t.Fatalf("no request reached %s", addr)
	return nil
}

// rollingBody is an answer that still runs.
type rollingBody struct {
	reached string // the address of the backend that answers
	body    io.ReadCloser
}

// rollingSlow posts to url and returns once a backend began to answer, with its address.
func rollingSlow(ctx context.Context, url string) (rollingBody, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("slow"))
	if err != nil {
		return rollingBody{}, err
	}
	resp, err := balancerClient(balancerFresh).Do(req)
	if err != nil {
		return rollingBody{}, err
	}
	head := make([]byte, 256)
	n, err := resp.Body.Read(head)
	if err != nil {
		resp.Body.Close()
		return rollingBody{}, err
	}
	return rollingBody{string(head[:n]), resp.Body}, nil
}

// rest waits for the end of the answer.
func (b rollingBody) rest() error {
	_, err := io.Copy(io.Discard, b.body)
	return err
}

func (b rollingBody) close() { b.body.Close() }
