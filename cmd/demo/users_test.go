package demo

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// door serves orders and returns its address.
func door(t *testing.T, order http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(order)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func taken(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Version", "2")
	fmt.Fprintln(w, "order 1 taken by version 2")
}

func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "order")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestEveryKindOfFailureOfAnOrderIsCounted(t *testing.T) {
	for _, c := range []struct {
		kind  string // empty: none
		order http.HandlerFunc
	}{
		{"", taken},
		{"status 502", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"answer cut", cut},
		{"garbled answer", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }},
	} {
		u := &users{door: door(t, c.order), tally: newTally()}
		conn := u.connect()
		more := u.order(conn, "keep-alive")
		conn.close()
		n := u.tally.now()
		if n.Requests != 1 || more != (c.kind == "") {
			t.Errorf("%q: %d requests, more %v", c.kind, n.Requests, more)
		}
		if c.kind == "" && (n.Failed != 0 || n.Versions["2"] != 1) || c.kind != "" && n.Kinds[c.kind] != 1 {
			t.Errorf("%q: %+v", c.kind, n)
		}
	}
}

func TestADoorThatIsClosedIsAFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &users{door: l.Addr().String(), tally: newTally()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if u.connect() != nil || u.tally.now().Kinds["no connection"] != 1 {
		t.Errorf("%+v", u.tally.now())
	}
}

func TestAConnectionThatTheServerClosesInGoodOrderIsNoFailure(t *testing.T) {
	u := &users{tally: newTally(), door: door(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		taken(w, r)
	})}
	c := u.connect()
	defer c.close()
	if more := u.order(c, "keep-alive"); more || u.tally.now().Failed != 0 {
		t.Errorf("more %v, %+v", more, u.tally.now())
	}
}

func TestACountIsToldInWords(t *testing.T) {
	before := count{Requests: 10, Versions: map[string]int{"1": 10}}
	now := count{Requests: 1214, Failed: 3, Kinds: map[string]int{"no answer": 2, "status 502": 1}, Versions: map[string]int{"1": 10, "2": 1201}}
	n := now.since(before)
	if got, want := n.String(), "3 of 1,204 requests failed (no answer: 2, status 502: 1)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := n.answers(), "version 2: 1,201"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
