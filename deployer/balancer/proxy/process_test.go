package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipublish/deploy"
)

// startProcess runs a proxy as a process of its own, by Ensure.
func startProcess(t *testing.T, socket, state string) ping {
	t.Helper()
	logfile := filepath.Join(filepath.Dir(socket), "log")
	if err := Ensure(t.Context(), socket, []string{os.Args[0], "proxy", socket, state}, logfile); err != nil {
		t.Fatal(err)
	}
	p, err := newClient(socket).ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killAndWait(t, p.PID) })
	return p
}

func killAndWait(t *testing.T, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the killed process is gone", func() bool {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		return got == pid || err == syscall.ECHILD
	})
}

func TestAProxyKilledWithoutWarningServesTheSameAfterItsStart(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	first := startProcess(t, socket, state)
	a, spare := named(t), named(t)
	listen := freeAddr(t)
	driver := openDriver(t, socket, listen)
	wanted := step([]string{a.addr}, nil, []string{spare.addr})
	if err := driver.Route(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	before, err := driver.Observe(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	killAndWait(t, first.PID)
	if _, err := driver.Observe(t.Context(), wanted); deploy.CodeOf(err) != deploy.CodeUnavailable || !strings.Contains(deploy.MessageOf(err), "ipublish proxy") {
		t.Errorf("while nothing runs: %v", err)
	}
	second := startProcess(t, socket, state)
	if second.PID == first.PID {
		t.Fatal("the process was not replaced")
	}
	if got, err := post(fresh(t), "http://"+listen, "x"); err != nil || got != a.addr {
		t.Errorf("answered %q, %v", got, err)
	}
	after, err := driver.Observe(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(after.Traffic.Up, after.Traffic.Down, after.Traffic.Generation) != fmt.Sprint(before.Traffic.Up, before.Traffic.Down, before.Traffic.Generation) {
		t.Errorf("before %+v, after %+v", before.Traffic, after.Traffic)
	}
}

func TestEnsureLeavesARunningProxyAlone(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	first := startProcess(t, socket, state)
	if err := Ensure(t.Context(), socket, []string{"/nonexistent"}, filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if again, err := newClient(socket).ping(t.Context()); err != nil || again.PID != first.PID {
		t.Errorf("process %d answers, %v", again.PID, err)
	}
	if sid, err := getsid(first.PID); err != nil || sid != first.PID {
		t.Errorf("session %d, %v: the proxy would end with its starter's", sid, err)
	}
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func TestEnsureTellsWhyTheProxyDidNotStart(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Ensure(t.Context(), socket, []string{os.Args[0], "proxy", socket, state}, filepath.Join(dir, "log"))
	wantCode(t, err, deploy.CodeFailed)
	if e := deploy.AsError(err); !strings.Contains(e.Log, "cannot be read") {
		t.Errorf("log told: %q", e.Log)
	}
	wantCode(t, Ensure(t.Context(), socket, []string{"/nonexistent"}, filepath.Join(dir, "log")), deploy.CodeFailed)
}

func TestEnsureGivesTheProxyNoSecretOfItsStarter(t *testing.T) {
	got := passedOn([]string{"PATH=/bin", "SLACK_BOT_TOKEN=xoxb", "NOTIFY_SOCKET=/run/n", "TZ=UTC"})
	if strings.Join(got, " ") != "PATH=/bin TZ=UTC" {
		t.Errorf("passed on %v", got)
	}
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	dir := shortDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	sleeper, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = Ensure(ctx, filepath.Join(dir, "s"), []string{sleeper, "1"}, filepath.Join(dir, "log"))
	wantCode(t, err, deploy.CodeTimeout)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestASecondProxyOnTheSameSocketRefuses(t *testing.T) {
	p := serveProxy(t)
	for _, o := range []Options{
		{Socket: p.socket, StateFile: p.state + "2"},
		{Socket: p.socket + "2", StateFile: p.state},
	} {
		wantCode(t, Serve(t.Context(), o), deploy.CodeRefused)
	}
	err := Serve(t.Context(), Options{Socket: p.socket, StateFile: p.state + "2"})
	if !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("does not say who holds it: %v", err)
	}
}

func TestAStaleSocketIsReplacedAndOnlyItsOwnerMayConnect(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	serveProxyWith(t, Options{Socket: socket, StateFile: filepath.Join(dir, "proxy.json")})
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAFileInTheSocketsPlaceIsNotReplaced(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "s")
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, Serve(t.Context(), Options{Socket: socket, StateFile: filepath.Join(dir, "proxy.json")}), deploy.CodeRefused)
	if data, err := os.ReadFile(socket); err != nil || string(data) != "precious" {
		t.Errorf("left %q, %v", data, err)
	}
}

func TestAStateFileThatCannotBeReadRefusesToStart(t *testing.T) {
	for name, content := range map[string]string{
		"empty":           "",
		"cut":             `{"version":1,"routes":[{"sha256":"ab`,
		"foreign":         `{"version":1,"routes":[],"extra":true}`,
		"other version":   `{"version":2,"routes":[]}`,
		"only damaged":    `{"version":1,"routes":[{"sha256":"00","route":{"name":"shop/production","listen":"127.0.0.1:9","up":["127.0.0.1:8"]}}]}`,
		"something after": `{"version":1,"routes":[]} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			state := filepath.Join(dir, "proxy.json")
			if err := os.WriteFile(state, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			wantCode(t, Serve(t.Context(), Options{Socket: filepath.Join(dir, "s"), StateFile: state}), deploy.CodeDamaged)
			if data, err := os.ReadFile(state); err != nil || string(data) != content {
				t.Errorf("left %q, %v", data, err)
			}
		})
	}
}

func TestADamagedRecordHidesNoOtherAndIsKeptUntilItsRouteIsSetAnew(t *testing.T) {
	dir := shortDir(t)
	state := filepath.Join(dir, "proxy.json")
	a := named(t)
	good := route{Name: "api/production", Listen: freeAddr(t), Up: []string{a.addr}, Generation: 4}
	bad := json.RawMessage(`{"sha256":"00","route":{"name":"shop/production","listen":"127.0.0.1:1","up":["127.0.0.1:8"]}}`)
	if err := stateFile(state).save([]route{good}, []damagedRecord{{raw: bad}}); err != nil {
		t.Fatal(err)
	}
	p := serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: state})
	if got, err := post(fresh(t), "http://"+good.Listen, "x"); err != nil || got != a.addr {
		t.Errorf("the good route answered %q, %v", got, err)
	}
	if err := newClient(p.socket).put(t.Context(), order{route: route{Name: "web/production", Listen: freeAddr(t), Up: []string{a.addr}}}); err != nil {
		t.Fatal(err)
	}
	if _, damaged, err := stateFile(state).load(); err != nil || len(damaged) != 1 {
		t.Errorf("%d damaged records kept, %v", len(damaged), err)
	}
	p.route([]string{a.addr})
	if routes, damaged, err := stateFile(state).load(); err != nil || len(damaged) != 0 || len(routes) != 3 {
		t.Errorf("%d routes and %d damaged records, %v", len(routes), len(damaged), err)
	}
}

func TestATakenAddressKeepsNoOtherRouteClosedAndIsOpenedWhenItIsFree(t *testing.T) {
	dir := shortDir(t)
	state := filepath.Join(dir, "proxy.json")
	a := named(t)
	holder, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	routes := []route{
		{Name: "api/production", Listen: freeAddr(t), Up: []string{a.addr}},
		{Name: shop.String(), Listen: holder.Addr().String(), Up: []string{a.addr}},
	}
	if err := stateFile(state).save(routes, nil); err != nil {
		t.Fatal(err)
	}
	p := serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: state})
	if _, err := post(fresh(t), "http://"+routes[0].Listen, "x"); err != nil {
		t.Errorf("the free one: %v", err)
	}
	err = openDriver(t, p.socket, routes[1].Listen).Route(t.Context(), step([]string{a.addr}, nil, nil))
	wantCode(t, err, deploy.CodeRefused)
	_ = holder.Close()
	eventually(t, "the freed address is opened", func() bool {
		_, err := post(fresh(t), "http://"+routes[1].Listen, "x")
		return err == nil
	})
}

func TestAtItsEndRunningRequestsAreAnsweredAndASuccessorServesMeanwhile(t *testing.T) {
	p := serveProxy(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	a := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
	}))
	p.route([]string{a.addr})
	type result struct {
		res *http.Response
		err error
	}
	slow := make(chan result, 1)
	go func() {
		res, err := keeping(t).Post(p.url()+"/slow", "text/plain", strings.NewReader("x"))
		slow <- result{res, err}
	}()
	<-arrived
	p.stop()
	eventually(t, "a successor may start", func() bool { _, err := os.Stat(p.socket); return err != nil })
	successor := serveProxyWith(t, Options{Socket: p.socket, StateFile: p.state})
	if got, err := newClient(successor.socket).get(t.Context(), shop.String()); err != nil || !got.Listening {
		t.Errorf("the successor serves %+v, %v", got, err)
	}
	if _, err := post(fresh(t), p.url(), "x"); err != nil {
		t.Errorf("through the successor: %v", err)
	}
	close(release)
	got := <-slow
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.res.Body.Close()
	if got.res.StatusCode != http.StatusOK || !got.res.Close {
		t.Errorf("answered %s, connection closing: %v", got.res.Status, got.res.Close)
	}
}

func TestADrainThatTakesTooLongIsCut(t *testing.T) {
	dir := shortDir(t)
	p := serveProxyWith(t, Options{Socket: filepath.Join(dir, "s"), StateFile: filepath.Join(dir, "proxy.json"), Drain: 50 * time.Millisecond})
	closed := make(chan struct{})
	upgrader := websocket.Upgrader{}
	a := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		_, _, _ = conn.ReadMessage()
		close(closed)
	}))
	p.route([]string{a.addr})
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+p.listen, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.end()
	<-closed
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the WebSocket outlived the drain")
	}
}
