package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestAProxyWhoseRoutesWereSetInAnyOrderIsReplaced(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	other := route{Name: "api/production", Listen: freeAddr(t), Up: []string{a.addr}}
	if err := newClient(p.socket).put(t.Context(), order{route: other}); err != nil {
		t.Fatal(err)
	}
	p.route([]string{named(t).addr})
	p.route([]string{a.addr})
	p.replaced()
	for _, listen := range []string{p.listen, other.Listen} {
		if got, err := post(fresh(t), "http://"+listen, "x"); err != nil || got != a.addr {
			t.Errorf("%s answered %q, %v", listen, got, err)
		}
	}
}

func TestTheStateFileIsInTheOrderOfNames(t *testing.T) {
	file := stateFile(filepath.Join(t.TempDir(), "proxy.json"))
	saved := []route{{Name: "b/x", Listen: "127.0.0.1:1", Up: []string{"127.0.0.1:9"}}, {Name: "a/x", Listen: "127.0.0.1:2", Up: []string{"127.0.0.1:9"}}}
	if err := file.save(saved, nil); err != nil {
		t.Fatal(err)
	}
	if routes, _, err := file.load(); err != nil || len(routes) != 2 || routes[0].Name != "a/x" {
		t.Errorf("loaded %+v, %v", routes, err)
	}
}

func TestAStateFileInAnyOrderIsWhatIsServed(t *testing.T) {
	routes := []route{{Name: "b/x", Generation: 1}, {Name: "a/x", Generation: 2}}
	l := legacy{will: will{Form: willForm, Routes: byName(routes)}}
	if err := l.check(routes); err != nil {
		t.Error(err)
	}
}

// hanging never answers /hang, and answers all else at once.
func hanging(t *testing.T) (a *app, arrived <-chan struct{}) {
	t.Helper()
	came, hang := make(chan struct{}, 10), make(chan struct{})
	a = startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			came <- struct{}{}
			<-hang
		}
	}))
	t.Cleanup(func() { close(hang) })
	return a, came
}

func TestWhenTheSuccessorDiesAnotherServesWhileTheElderStillHasClientsAndTheElderEnds(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	first := startProcess(t, socket, state)
	a, arrived := hanging(t)
	listen := freeAddr(t)
	if err := openDriver(t, socket, listen).Route(t.Context(), step([]string{a.addr}, nil, nil)); err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), "http://"+listen+"/hang", "x")
		cut <- err
	}()
	<-arrived
	next := startNext(t, socket, state)
	killAndWait(t, next)
	startProcess(t, socket, state)
	if _, err := post(fresh(t), "http://"+listen, "x"); err != nil {
		t.Errorf("the one that was started then: %v", err)
	}
	if <-cut == nil {
		t.Error("the request that hangs was answered")
	}
	eventually(t, "the elder has ended", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", first.PID))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestAnElderServesOnWhenItsSuccessorWasReplacedInTurn(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	first := startProcess(t, socket, state)
	a := echo(t)
	listen := freeAddr(t)
	if err := openDriver(t, socket, listen).Route(t.Context(), step([]string{a.addr}, nil, nil)); err != nil {
		t.Fatal(err)
	}
	conn := dialWebSocket(t, listen)
	second := startNext(t, socket, state)
	startNext(t, socket, state)
	killAndWait(t, second) // it has nothing to serve any more
	until := time.Now().Add(orphanGrace + time.Second)
	eventually(t, "the elder would have ended", func() bool { return time.Now().After(until) })
	exchangeMessage(t, conn, "still there")
	if got, err := newClient(socket).ping(t.Context()); err != nil || !slices.Contains(got.Elders, first.PID) {
		t.Errorf("knows %+v, %v", got, err)
	}
}

// starting is a process that would take over, and never does.
func starting(t *testing.T) *os.Process {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() })
	return cmd.Process
}

func TestASuccessorThatIsTakingOverIsNotEndedAtItsLimit(t *testing.T) {
	g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json")}.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	p, late := &process{registry: g}, starting(t)
	if err := g.freeze(); err != nil {
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	go func() { outcome <- p.giveUp(late) }()
	g.retire()
	if err := <-outcome; err != nil {
		t.Errorf("it took over: %v", err)
	}
	if err := late.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("it was ended: %v", err)
	}
}

func TestASuccessorThatDoesNotAskInTimeIsEnded(t *testing.T) {
	g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json")}.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close(); g.wait() })
	p := &process{registry: g}
	if err := g.freeze(); err != nil { // somebody else's handover
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	go func() { outcome <- p.giveUp(starting(t)) }()
	g.thaw()
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "did not take over within") {
		t.Errorf("told %v", err)
	}
	if err := g.freeze(); err != nil {
		t.Errorf("nobody can take over any more: %v", err)
	}
}

func TestAConnectThatThisMachineCannotTryIsAShortage(t *testing.T) {
	foreign := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}} // bind: EADDRNOTAVAIL
	var short *shortageError
	if _, err := dialBackend(t.Context(), foreign, "tcp", "127.0.0.1:9"); !errors.As(err, &short) {
		t.Errorf("failed with %v", err)
	}
}

func TestAShortageHereIsNotCountedAgainstTheRelease(t *testing.T) {
	var told strings.Builder
	o := Options{StateFile: filepath.Join(t.TempDir(), "proxy.json"), Log: slog.New(slog.NewTextHandler(&told, nil))}
	g, err := restoreRegistry(o.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close(); g.wait() })
	a := named(t)
	if _, err := g.put(order{route: route{Name: shop.String(), Listen: freeAddr(t), Up: []string{a.addr}}}); err != nil {
		t.Fatal(err)
	}
	l := g.lanes[shop.String()]
	l.backends[a.addr].transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, undialed(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)})
	}
	for range 3 {
		w := httptest.NewRecorder()
		l.door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("answered %d", w.Code)
		}
	}
	if got := l.status().Addresses[a.addr]; got.Refused != 0 || got.Failures != 0 || got.Requests != 0 || got.InFlight != 0 {
		t.Errorf("counted %+v", got)
	}
	if n := strings.Count(told.String(), "too few open files"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestAnEndedProxysEstateHasNothingInFlight(t *testing.T) {
	e := elders{living: []*elder{{PID: 7}}, past: map[string]counts{}}
	e.bury(estate{PID: 7, Counts: map[string]counts{"shop/production": {"a:1": {InFlight: 3, Counter: deploy.Counter{Requests: 5}}}}})
	if got := e.past["shop/production"]["a:1"]; got.InFlight != 0 || got.Requests != 5 {
		t.Errorf("inherited %+v", got)
	}
}

func TestAnEstateOfManyAddressesIsTaken(t *testing.T) {
	p := serveProxy(t)
	left := estate{PID: 1 << 30, Counts: map[string]counts{"shop/production": {strings.Repeat("a", 2*maxControlBody): {}}}}
	if err := newClient(p.socket).leave(t.Context(), left); err != nil {
		t.Error(err)
	}
}

func TestAProcessOfAnotherUserDoesNotTakeOver(t *testing.T) {
	p := &process{}
	if err := p.sameUser(os.Geteuid()); err != nil {
		t.Error(err)
	}
	wantCode(t, p.sameUser(os.Geteuid()+1), deploy.CodeRefused)
}

func TestAWillWithoutAllItsFilesIsRefused(t *testing.T) {
	for _, n := range []int{2, 4} {
		sender, receiver := socketPair(t)
		var files []syscall.Conn
		for range n {
			f, err := os.Open(os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files = append(files, f)
		}
		sent := make(chan error, 1)
		go func() { sent <- sendFrame(sender, will{Form: willForm}, files...) }()
		l, err := receiveLegacy(receiver)
		l.drop()
		if err == nil || !strings.Contains(err.Error(), "files") {
			t.Errorf("%d files: %v", n, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

func TestNoAddressIsOpenedWhileASuccessorTakesOver(t *testing.T) {
	g, err := restoreRegistry(Options{StateFile: filepath.Join(t.TempDir(), "proxy.json"), Log: slog.New(slog.DiscardHandler)}.filled(), legacy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close(); g.wait() })
	l := newLane()
	l.enforce(route{Name: shop.String(), Listen: freeAddr(t), Up: []string{"127.0.0.1:9"}})
	g.lanes[shop.String()] = l
	if err := g.freeze(); err != nil {
		t.Fatal(err)
	}
	if g.reopen() || l.door != nil {
		t.Error("it was opened")
	}
	g.thaw()
	if !g.reopen() {
		t.Error("it was not opened afterwards")
	}
}
