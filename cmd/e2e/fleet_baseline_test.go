package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// byScript installs the script and the application on every machine, and starts
// version v1 there as the script does.
func (f *fleet) byScript(b behaviour) {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	first := f.release(b)
	for _, m := range f.Hosts {
		write(m.t, m.path("app/bin/appctl.sh"), read(m.t, "testdata/fleet/appctl.sh"))
		write(m.t, m.path("app/bin/app"), fmt.Sprintf("#!/bin/sh\nexport %s=shop %s=%s\nexec %s\n", appVar, placeVar, f.Common, self))
		m.must(os.Chmod(m.path("app/bin/appctl.sh"), 0o755))
		m.must(os.Chmod(m.path("app/bin/app"), 0o755))
		m.must(os.CopyFS(m.path("app/release"), os.DirFS(first)))
	}
	began := make(chan error, len(f.Hosts))
	for _, m := range f.Hosts {
		go func() { began <- m.command(m.on("app/bin/appctl.sh"), "start").Run() }()
	}
	for range f.Hosts {
		if err := <-began; err != nil {
			f.t.Fatalf("appctl.sh start: %v", err)
		}
	}
	f.SLB.awaitUp(len(f.Hosts))
}

// release is a folder with one version of the application.
func (f *fleet) release(b behaviour) string {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), b.Version)
	if err := os.Mkdir(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		f.t.Fatal(err)
	}
	write(f.t, filepath.Join(dir, "app.json"), string(text))
	return dir
}

// rollByScript releases a version to every machine with the script of fixed
// waits, one machine after another over ssh, and says how long that took.
func (f *fleet) rollByScript(b behaviour) time.Duration {
	f.t.Helper()
	args := []string{"testdata/fleet/roll.sh", f.release(b), filepath.Join(f.Common, "app"), f.identity, f.known}
	for _, m := range f.Hosts {
		args = append(args, m.Addr)
	}
	began := time.Now()
	if out, err := exec.Command("bash", args...).CombinedOutput(); err != nil {
		f.t.Fatalf("roll.sh: %v: %s", err, out)
	}
	return time.Since(began)
}

// slowBoot is a version of the application that boots as long as a real one.
func slowBoot(version string) behaviour { return behaviour{Version: version, Boot: 3000} }

// cycles is the application started and stopped over and over, beside a roll, so
// that what it takes by itself is known for the machine as it was.
type cycles struct {
	stop chan struct{}
	done chan struct{}
	took []time.Duration
	err  error
}

// cycles begins; mean ends it.
func (f *fleet) cycles(b behaviour) *cycles {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	c := &cycles{stop: make(chan struct{}), done: make(chan struct{})}
	dir, port := f.release(b), freePort(f.t)
	go func() {
		defer close(c.done)
		for c.err == nil {
			select {
			case <-c.stop:
				return
			default:
			}
			cmd := exec.Command(self)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), appVar+"=shop", "PORT="+itoa(port))
			c.err = c.once(cmd, port)
		}
	}()
	return c
}

// once boots the application until it is healthy, and stops it.
func (c *cycles) once(cmd *exec.Cmd, port int) error {
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if _, body, err := ask(fmt.Sprintf("http://127.0.0.1:%d/healthz", port)); err == nil && body == "ok\n" {
			break
		}
		<-tick.C
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	err := cmd.Wait()
	c.took = append(c.took, time.Since(began))
	return err
}

// mean ends the cycles and gives how long one took.
func (c *cycles) mean(t *testing.T) time.Duration {
	t.Helper()
	close(c.stop)
	<-c.done
	if c.err != nil || len(c.took) == 0 {
		t.Fatalf("the application alone, after %d cycles: %v", len(c.took), c.err)
	}
	var sum time.Duration
	for _, d := range c.took {
		sum += d
	}
	return sum / time.Duration(len(c.took))
}
