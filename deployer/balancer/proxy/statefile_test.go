package proxy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ipublish/deploy"
)

func TestTheStateFileIsWholeAtEveryMoment(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr})
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for i := range 200 {
			up := []string{a.addr, b.addr}[i%2 : i%2+1]
			if err := p.driver().Route(t.Context(), step(up, nil, nil)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	reads := 0
	for done := false; !done; reads++ {
		select {
		case <-changed:
			done = true
		default:
		}
		if routes, damaged, err := stateFile(p.state).load(); err != nil || len(routes) != 1 || len(damaged) != 0 {
			t.Fatalf("%d routes, %d damaged, %v", len(routes), len(damaged), err)
		}
	}
	t.Logf("read %d times", reads)
}

func TestAProxyKilledAmidChangesStartsWithTheLastThatItAcknowledgedOrTheNext(t *testing.T) {
	dir := shortDir(t)
	socket, state := filepath.Join(dir, "s"), filepath.Join(dir, "proxy.json")
	listen := freeAddr(t)
	up := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", 1+n%60000) }
	acknowledged, n := 0, 1
	for range 8 {
		running := startProcess(t, socket, state)
		driver := openDriver(t, socket, listen)
		if acknowledged > 0 {
			ev, err := driver.Observe(t.Context(), deploy.Step{})
			if err != nil {
				t.Fatal(err)
			}
			if got := ev.Traffic.Up; !slices.Equal(got, []string{up(acknowledged)}) && !slices.Equal(got, []string{up(n)}) {
				t.Errorf("up is %v: %s was acknowledged, %s asked for", got, up(acknowledged), up(n))
			}
		}
		killed := make(chan struct{})
		for first := n; ; n++ {
			if n == first+20 {
				go func() { defer close(killed); killAndWait(t, running.PID) }()
			}
			if err := driver.Route(t.Context(), step([]string{up(n)}, nil, nil)); err != nil {
				break
			}
			acknowledged = n
		}
		<-killed
	}
}

func TestAStateFileThatIsThereAndCannotBeReadIsNotTakenForNone(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a folder":          func(path string) error { return os.Mkdir(path, 0o755) },
		"a link to nowhere": func(path string) error { return os.Symlink(path+"x", path) },
		"a link to itself":  func(path string) error { return os.Symlink(path, path) },
		"behind what is none": func(path string) error {
			return errors.Join(os.WriteFile(path+"x", nil, 0o600), os.Symlink(path+"x/y", path))
		},
	} {
		dir := shortDir(t)
		state := filepath.Join(dir, "proxy.json")
		if err := spoil(state); err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), Options{Socket: filepath.Join(dir, "s"), StateFile: state}); deploy.CodeOf(err) != deploy.CodeDamaged {
			t.Errorf("%s: %v", name, err)
		}
	}
}
