package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/source/gittest"
)

const (
	benchBytes  = 5 << 20 // of an artifact
	benchRounds = 3       // of each way but the slow one
	benchHosts  = 20      // from which on the figures are judged
)

// way is one means to bring a release to every host of a fleet, one host after
// another: upload, unpack, flip a link, restart, check. Each way has a fleet of
// its own, and its rolls say how long they took.
type way struct {
	name  string
	fleet *fleet
	roll  func(v benchVersion) time.Duration
	took  []time.Duration
}

// best is the roll that the rest of the machine disturbed least.
func (w *way) best() time.Duration { return slices.Min(w.took) }

// benchVersion is one version of the application with its ballast.
type benchVersion struct {
	name  string
	files gittest.Files
}

func newBenchVersion(name string) benchVersion {
	files := behaviour{Version: name}.files()
	const parts = 50
	for i := range parts {
		files[fmt.Sprintf("assets/%02d/page.js", i)] = gittest.Text(noise(benchBytes / parts))
	}
	return benchVersion{name, files}
}

// tree is the version as a tar.
func (v benchVersion) tree(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		body := v.files[name].Body
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))})
		if err == nil {
			_, err = w.Write([]byte(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// With E2E_HOSTS=20 it is the bench; with the default of a few hosts it proves
// that the hand-written loop and ipublish do their work, once.
func TestBenchFleetOneHostAtATime(t *testing.T) {
	n := fleetSize(t)
	full := n >= benchHosts
	loop, ours := newLoopWay(t, n), newIpublishWay(t, n)
	ways := []*way{loop, ours}
	for i := range benchRounds {
		if i > 0 && !full {
			break
		}
		v := newBenchVersion(fmt.Sprintf("v%d", i+2))
		for _, w := range ways {
			w.run(v)
		}
	}
	if !full {
		t.Log(table(n, ways))
		return
	}
	ansible := newAnsibleWay(t, n)
	if ansible != nil {
		ways = append(ways, ansible)
		ansible.run(newBenchVersion("v2"))
	}
	t.Log(table(n, ways))
	judge(t, loop, ours, ansible)
}

// run brings a version to every host, and wants it to serve there.
func (w *way) run(v benchVersion) {
	w.fleet.t.Helper()
	w.took = append(w.took, w.roll(v).Round(time.Millisecond))
	w.fleet.mustRun(v.name, w.fleet.Hosts...)
}

// table compares every way with the first one.
func table(n int, ways []*way) string {
	var b strings.Builder
	first := ways[0].best().Seconds()
	fmt.Fprintf(&b, "%d hosts, one at a time, %d MiB: upload, unpack, flip, restart, check\n", n, benchBytes>>20)
	fmt.Fprintf(&b, "%-34s %10s %10s %8s  %s\n", "way", "total", "a host", "ratio", "rolls")
	for _, w := range ways {
		fmt.Fprintf(&b, "%-34s %9.2fs %8.0fms %7.2f×  %v\n", w.name, w.best().Seconds(),
			float64(w.best().Milliseconds())/float64(n), w.best().Seconds()/first, w.took)
	}
	return b.String()
}

// judge wants what the product promises; ansible is nil where it is not installed.
func judge(t *testing.T, loop, ours, ansible *way) {
	t.Helper()
	if ratio := ours.best().Seconds() / loop.best().Seconds(); ratio > 1.2 {
		t.Errorf("ipublish took %.2f × the hand-written loop, want at most 1.2", ratio)
	}
	if ansible == nil {
		t.Log("ansible-playbook, serial: 1: not compared, it is not installed")
		return
	}
	if ratio := ansible.best().Seconds() / ours.best().Seconds(); ratio < 5 {
		t.Errorf("ipublish is %.1f × faster than the playbook, want at least 5", ratio)
	}
}

// benchRestart is the program with which the loop and the playbook restart the
// application: FOLDER holds the link current.
const benchRestart = `#!/bin/sh
cd "$1" || exit 1
if [ -s app.pid ]; then
  kill "$(cat app.pid)"
  while kill -0 "$(cat app.pid)" 2>/dev/null; do sleep 0.02; done
fi
home=$PWD
cd current/ || exit 1
PORT=9001 %s=shop setsid %s >>"$home/app.log" 2>&1 </dev/null &
echo $! >"$home/app.pid"
`

// newBenchFleet is a fleet of n whose SLB asks seldom, so as not to disturb. The
// machines have the restart program.
func newBenchFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := newFleet(t, fleetOptions{Hosts: n, Interval: 10 * time.Second})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Hosts {
		write(t, m.path("app/bin/restart.sh"), fmt.Sprintf(benchRestart, appVar, self))
		m.must(os.Chmod(m.path("app/bin/restart.sh"), 0o755))
	}
	return f
}

// appHome is the folder of the loop's and the playbook's application on a machine.
func (f *fleet) appHome() string { return filepath.Join(f.Common, "app") }
