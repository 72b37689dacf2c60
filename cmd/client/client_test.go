package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipublish/deploy"
)

func brief() patience {
	return patience{answer: 100 * time.Millisecond, plan: 10 * time.Second, silence: 200 * time.Millisecond, gone: 300 * time.Millisecond, retry: time.Millisecond}
}

func TestAServerThatAcceptsAndStaysMuteIsGivenUp(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s")) // the kernel accepts, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newClient("unix:"+l.Addr().String(), "", brief())
	_, err = c.Command(t.Context(), "status", "k")
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(deploy.MessageOf(err), "accepts the connection and does not answer") {
		t.Errorf("%v", err)
	}
}

func TestAPlanHasMoreTimeThanOtherCommands(t *testing.T) {
	answer := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
			fmt.Fprint(w, `{"text":"planned"}`)
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	c := newClient(server.URL, "t", brief())
	if _, err := c.Command(t.Context(), "deploy main", "k"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	close(answer)
	c.waits.plan = 0
	if a, err := c.Command(t.Context(), "plan main", "k"); err != nil || a.Text != "planned" {
		t.Errorf("%+v, %v", a, err)
	}
	if c.slow.Transport.(*http.Transport).ResponseHeaderTimeout != brief().plan {
		t.Error("a plan has no more time")
	}
}

func TestAServerThatIsNotThereIsUnreachableAndTheCauseIsTold(t *testing.T) {
	_, err := New("unix:"+filepath.Join(t.TempDir(), "none"), "").Status(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestAnAddressWithoutASchemeIsRefusedWithTheForms(t *testing.T) {
	for _, bad := range []string{"127.0.0.1:8090", "ipublish.example.com", "unix:", "http://", "ftp://a", "localhost:80"} {
		if err := CheckAddress(bad); deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "unix:/path") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, good := range []string{"http://127.0.0.1:8090", "https://ipublish.example.com", "unix:/run/ipublish.sock"} {
		if err := CheckAddress(good); err != nil {
			t.Error(err)
		}
	}
}

func event(n uint64, kind deploy.Kind) string {
	return fmt.Sprintf("id: %d\ndata: {\"n\":%d,\"deploy\":7,\"kind\":%q,\"v\":1,\"at\":\"2026-01-02T03:04:05Z\"}\n\n", n, n, kind)
}

// streaming answers each request for events with the next text.
func streaming(t *testing.T, texts ...string) (c *Client, asked func() []string) {
	t.Helper()
	queries := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries <- r.URL.RawQuery
		if n := len(queries); n <= len(texts) {
			fmt.Fprint(w, texts[n-1])
			return
		}
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	return newClient(server.URL, "", brief()), func() (all []string) {
		for len(queries) > 0 {
			all = append(all, <-queries)
		}
		return all
	}
}

func TestAStreamThatIsCutIsTakenUpWhereItEnded(t *testing.T) {
	c, asked := streaming(t,
		event(1, deploy.KindRequested)+event(2, deploy.KindNoted)+"data: {\"n\":", // cut within an event
		": waiting\n\n",
		event(2, deploy.KindNoted)+event(3, deploy.KindEnded))
	var told []uint64
	err := c.Follow(t.Context(), 7, func(ev deploy.Event) { told = append(told, ev.N) })
	if err != nil || fmt.Sprint(told) != "[1 2 3]" {
		t.Errorf("told %v, %v", told, err)
	}
	if got := fmt.Sprint(asked()); got != "[after=0 after=2 after=2]" {
		t.Errorf("asked %s", got)
	}
}

func TestAServerThatStaysAwayEndsTheFollowing(t *testing.T) {
	c, asked := streaming(t, event(1, deploy.KindRequested))
	err := c.Follow(t.Context(), 7, func(deploy.Event) {})
	if err == nil || !passing(err) {
		t.Errorf("%v", err)
	}
	if n := len(asked()); n < 3 {
		t.Errorf("it was asked %d times only", n)
	}
}

func TestAStreamWithoutASignOfLifeIsTakenUpAnew(t *testing.T) {
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !asked.Swap(true) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, event(1, deploy.KindEnded))
	}))
	defer server.Close()
	told := 0
	if err := newClient(server.URL, "", brief()).Follow(t.Context(), 7, func(deploy.Event) { told++ }); err != nil || told != 1 {
		t.Errorf("told %d, %v", told, err)
	}
}

func TestFollowingEndsWithItsContextAndAtARefusal(t *testing.T) {
	c, _ := streaming(t, event(1, deploy.KindRequested))
	c.waits.gone = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_ = c.Follow(ctx, 7, func(deploy.Event) { stop() })
	if ctx.Err() == nil {
		t.Error("it ended before its context")
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refusing.Close()
	if err := newClient(refusing.URL, "", c.waits).Follow(t.Context(), 7, nil); deploy.CodeOf(err) != deploy.CodeRefused {
		t.Errorf("%v", err)
	}
}
