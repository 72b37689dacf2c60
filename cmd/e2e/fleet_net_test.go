package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// network is a switch of a fleet's own: machine i is 10.77.N.i, the test .1.
type network struct {
	t    *testing.T
	n    int
	held io.Closer // the name that makes N ours; the kernel frees it with the process
}

// newNetwork makes a switch until the test ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	w := &network{t: t}
	if err := w.claim(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.held.Close() })
	_ = ip("link delete " + w.bridge()) // of a test that was killed
	t.Cleanup(func() { _ = ip("link delete " + w.bridge()) })
	if err := ip(
		"link add "+w.bridge()+" type bridge",
		"address add "+w.addr(1)+"/24 dev "+w.bridge(),
		"link set "+w.bridge()+" up",
	); err != nil {
		t.Fatal(err)
	}
	return w
}

// claim takes the first number that no test holds.
func (w *network) claim() error {
	for n := range 250 {
		held, err := net.Listen("unix", fmt.Sprintf("@ipublish-e2e-network-%d", n))
		if err == nil {
			w.n, w.held = n, held
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return errors.New("every network 10.77.0.0 to 10.77.249.0 is in use")
}

// plug connects machines' namespaces, by the pids of their first processes.
func (w *network) plug(pids map[int]int) {
	w.t.Helper()
	var lines []string
	for i, pid := range pids {
		port := w.port(i)
		_ = ip("link delete " + port)                         // of a test that was killed
		w.t.Cleanup(func() { _ = ip("link delete " + port) }) // it may have gone with the machine
		lines = append(lines,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %d", port, pid),
			"link set "+port+" master "+w.bridge(),
			"link set "+port+" up",
		)
	}
	if err := ip(lines...); err != nil {
		w.t.Fatal(err)
	}
}

// cut and mend are the cable of machine i.
func (w *network) cut(i int)  { w.set(i, "down") }
func (w *network) mend(i int) { w.set(i, "up") }

func (w *network) set(i int, state string) {
	w.t.Helper()
	if err := ip("link set " + w.port(i) + " " + state); err != nil {
		w.t.Error(err)
	}
}

// slow makes what is sent to machine i pass at a rate, such as 20mbit.
func (w *network) slow(i int, rate string) {
	w.t.Helper()
	out, err := exec.Command("tc", "qdisc", "replace", "dev", w.port(i), "root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms").CombinedOutput()
	if err != nil {
		w.t.Fatalf("tc: %v: %s", err, out)
	}
}

func (w *network) bridge() string        { return fmt.Sprintf("e2e%d", w.n) }
func (w *network) port(i int) string     { return fmt.Sprintf("e2e%dp%d", w.n, i) }
func (w *network) addr(i int) string     { return fmt.Sprintf("10.77.%d.%d", w.n, i) }
func (w *network) prefixed(i int) string { return w.addr(i) + "/24" }

// ip runs lines of the program ip, and stops at the first that fails.
func ip(lines ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
