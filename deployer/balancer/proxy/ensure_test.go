package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestAGuardedProxyHandsOverToItsOwnSuccessorOnly(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	if err := Ensure(t.Context(), socket, command(socket, state, "guarded"), filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	first := pid(t, socket)
	t.Cleanup(func() { killAndWait(t, first) })
	err := Serve(t.Context(), Options{Socket: socket, StateFile: state, Replace: true})
	wantCode(t, err, deploy.CodeRefused)
	if !strings.Contains(deploy.MessageOf(err), "systemctl reload") {
		t.Error(err)
	}
	hangUp(t, socket)
	wantCode(t, Serve(t.Context(), Options{Socket: socket, StateFile: state, Replace: true}), deploy.CodeRefused)
}

func TestEnsureHasAProxyOfAnotherVersionReplaced(t *testing.T) {
	dir := shortDir(t)
	socket, state, log := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json"), filepath.Join(dir, "log")
	if err := Ensure(t.Context(), socket, command(socket, state, "v0.0.1"), log); err != nil {
		t.Fatal(err)
	}
	first := pid(t, socket)
	t.Cleanup(func() { killAndWait(t, first) })
	a := named(t)
	listen := freeAddr(t)
	if err := openDriver(t, socket, listen).Route(t.Context(), step([]string{a.addr}, nil, nil)); err != nil {
		t.Fatal(err)
	}
	endAtLast(t, socket)
	if err := ensure(t.Context(), socket, command(socket, state), log, "v0.0.2"); err != nil {
		t.Fatal(err)
	}
	if pid(t, socket) == first {
		t.Error("the older one still serves")
	}
	if got, err := post(fresh(t), "http://"+listen, "x"); err != nil || got != a.addr {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestEnsureLeavesAProxyThatCannotBeReplacedServing(t *testing.T) {
	dir := shortDir(t)
	socket, state, log := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json"), filepath.Join(dir, "log")
	p := serveProxyWith(t, Options{Socket: socket, StateFile: state, version: "v0.0.1"})
	if err := ensure(t.Context(), p.socket, command(socket, state), log, "v0.0.2"); err != nil {
		t.Fatal(err)
	}
	failing := filepath.Join(dir, "f")
	q := serveProxyWith(t, Options{Socket: failing, StateFile: state + "2", version: "v0.0.1", Successor: []string{"/bin/false"}})
	if err := ensure(t.Context(), q.socket, command(failing, state), log, "v0.0.2"); err != nil {
		t.Fatal(err)
	}
	if told, err := os.ReadFile(log); err != nil || strings.Count(string(told), "of another version") != 2 {
		t.Errorf("logged %q, %v", told, err)
	}
	wantCode(t, newClient(failing).succeed(t.Context()), deploy.CodeFailed)
	if pid(t, socket) != os.Getpid() || pid(t, failing) != os.Getpid() {
		t.Error("another one answers")
	}
}
