package deployer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deployer"
	"ipublish/deployer/host/local"
)

const shortIdle = 400 * time.Millisecond

func TestOnlyConnectionsWithWorkInFlightAreBusy(t *testing.T) {
	app := startApp(t)
	h := localHost(t, "")
	app.mustHave(t, h, 0, 0)
	for _, ip := range []string{"127.0.0.1", "::1", "127.0.0.9"} {
		app.request(t, ip, "/quick")
	}
	app.mustHave(t, h, 3, 3)
	app.settles(t, h, 3, 0)

	app.send(t, "127.0.0.1", "/held") // no answer yet, and none before
	kept := app.request(t, "::1", "/quick")
	app.settles(t, h, 5, 1)
	app.ask(t, kept, "/held") // nor on a connection that had one
	app.settles(t, h, 5, 2)
	app.release()
	app.settles(t, h, 5, 0)
}

func TestAStreamIsBusyAlsoWhileTheClientDoesNotReadIt(t *testing.T) {
	app := startApp(t)
	h := localHost(t, "")
	stalled := app.send(t, "127.0.0.1", "/flood")
	reading := app.send(t, "127.0.0.1", "/drip")
	if _, err := bufio.NewReader(reading).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	app.staysBusy(t, h, 2)
	_ = stalled.Close()
	app.settles(t, h, 1, 1)
}

func TestAClientThatSendsNothingIsBusyUntilItGoes(t *testing.T) {
	app := startApp(t)
	h := localHost(t, "")
	silent := app.dial(t, "127.0.0.1")
	app.staysBusy(t, h, 1)
	_ = silent.Close()
	app.settles(t, h, 0, 0)
}

func TestAHalfClosedRequestIsBusyUntilItsAnswer(t *testing.T) {
	app := startApp(t)
	h := localHost(t, "")
	half := app.send(t, "127.0.0.1", "/held-open")
	if err := half.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	app.settles(t, h, 0, 1)
}

func TestWithoutSSEveryEstablishedConnectionIsBusyAndThatIsSaid(t *testing.T) {
	app := startApp(t)
	h := localHost(t, pathOf(t, "sh", "cat", "grep"))
	for _, ip := range []string{"127.0.0.1", "::1"} {
		app.request(t, ip, "/quick")
	}
	if c := app.mustHave(t, h, 2, 2); !strings.Contains(c.How, "iproute2") {
		t.Errorf("it was told by %q", c.How)
	}
}

func TestWhatOtherVersionsOfSSPrintIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		text       string
		open, busy int
	}{
		"nothing": {"State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n", 0, 0},
		"details on a line of their own": {"State  Recv-Q Send-Q Local Address:Port Peer Address:Port\n" +
			"ESTAB 0 0 10.0.0.1:80 10.0.0.2:4000\n\t cubic rto:204 bytes_acked:9 bytes_received:9 lastsnd:9000 lastrcv:9004\n" +
			"ESTAB 0 0 10.0.0.1:80 10.0.0.2:4001\n\t cubic rto:204 bytes_acked:9 bytes_received:9 lastsnd:9000 lastrcv:9000\n", 2, 0},
		"no details":         {"ESTAB 0 0 10.0.0.1:80 10.0.0.2:4000\n", 1, 1},
		"zero is left out":   {"ESTAB 0 0 a:80 b:4000 rto:204 bytes_sent:9 lastrcv:8\n", 1, 1},
		"the client's end":   {"CLOSE-WAIT 1 0 a:80 b:4000 rto:204 bytes_sent:9 bytes_received:9 lastsnd:9000 lastrcv:9000\n", 0, 0},
		"an unread request":  {"ESTAB 3 0 a:80 b:4000 rto:204 bytes_sent:9 bytes_received:9 lastsnd:9000 lastrcv:9000\n", 1, 1},
		"an unread answer":   {"ESTAB 0 5 a:80 b:4000 rto:204 bytes_sent:9 bytes_received:9 lastsnd:9000 lastrcv:9000\n", 1, 1},
		"an owed answer":     {"ESTAB 0 0 a:80 b:4000 rto:204 bytes_sent:9 bytes_received:9 lastsnd:99000 lastrcv:98996\n", 1, 1},
		"an answer just now": {"ESTAB 0 0 a:80 b:4000 rto:204 bytes_sent:9 bytes_received:9 lastsnd:4996 lastrcv:98996\n", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := deployer.CountSS(c.text, 5*time.Second); got.Established != c.open || got.Busy != c.busy {
				t.Errorf("%+v, want %d and %d busy", got, c.open, c.busy)
			}
		})
	}
}

// app is a server that answers as it is asked to.
type app struct {
	port int
	held chan struct{}
}

func startApp(t *testing.T) *app {
	t.Helper()
	l, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{port: l.Addr().(*net.TCPAddr).Port, held: make(chan struct{})}
	ended := make(chan struct{})
	pages := http.NewServeMux()
	pages.HandleFunc("/quick", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	pages.HandleFunc("/held", func(w http.ResponseWriter, _ *http.Request) { <-a.held; fmt.Fprintln(w, "ok") })
	pages.HandleFunc("/held-open", func(http.ResponseWriter, *http.Request) { <-ended })
	pages.HandleFunc("/flood", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) })
	pages.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(shortIdle / 8)
		defer tick.Stop()
		for {
			fmt.Fprintln(w, "drop")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	})
	server := &http.Server{Handler: pages}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() { close(ended); _ = server.Close(); <-served })
	return a
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func (a *app) dial(t *testing.T, ip string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(ip, strconv.Itoa(a.port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (a *app) ask(t *testing.T, c net.Conn, path string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
}

// send asks and does not wait for the answer.
func (a *app) send(t *testing.T, ip, path string) net.Conn {
	t.Helper()
	c := a.dial(t, ip)
	a.ask(t, c, path)
	return c
}

// request asks, reads the answer and keeps the connection.
func (a *app) request(t *testing.T, ip, path string) net.Conn {
	t.Helper()
	c := a.send(t, ip, path)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return c
}

func (a *app) release() { close(a.held) }

func (a *app) mustHave(t *testing.T, h deployer.Host, open, busy int) deployer.Connections {
	t.Helper()
	c, err := deployer.BusyConnections(t.Context(), h, a.port, shortIdle)
	if err != nil || c.Established != open || c.Busy != busy {
		t.Errorf("%+v, %v; want %d, of them %d busy", c, err, open, busy)
	}
	return c
}

// settles waits longer than a connection takes to become idle, then until it is so.
func (a *app) settles(t *testing.T, h deployer.Host, open, busy int) {
	t.Helper()
	<-time.After(shortIdle)
	eventually(t, fmt.Sprintf("%d connections are open and %d busy", open, busy), func() bool {
		c, err := deployer.BusyConnections(t.Context(), h, a.port, shortIdle)
		return err == nil && c.Established == open && c.Busy == busy
	})
}

// staysBusy looks often, for much longer than a connection takes to become idle.
func (a *app) staysBusy(t *testing.T, h deployer.Host, n int) {
	t.Helper()
	for over := time.After(4 * shortIdle); ; {
		a.mustHave(t, h, n, n)
		select {
		case <-over:
			return
		case <-time.After(shortIdle / 4):
		}
	}
}

// localHost runs commands with the given PATH; empty: the test's own.
func localHost(t *testing.T, path string) deployer.Host {
	t.Helper()
	if path == "" {
		return localHostWith(t)
	}
	return localHostWith(t, "/usr/bin/env", "PATH="+path)
}

// localHostWith is this machine, with a prefix to every command.
func localHostWith(t *testing.T, become ...string) deployer.Host {
	t.Helper()
	text, err := json.Marshal(map[string]any{"become": become})
	if err != nil {
		t.Fatal(err)
	}
	h, err := local.New(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// pathOf is a folder that holds these programs and no other.
func pathOf(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		full, err := exec.LookPath(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(full, filepath.Join(dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come true that %s", what)
		}
	}
}
