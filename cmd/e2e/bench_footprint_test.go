package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/balancer/proxy"
)

// TestBenchFootprint compares how soon a proxy that is started anew answers from
// its backend by what it remembers, and what it then holds of the memory.
func TestBenchFootprint(t *testing.T) {
	bench(t, "Footprint of a proxy that is started anew", compareStarts)
}

func compareStarts(t *testing.T, f *figures) {
	backend := plainBackend(t)
	programs := []*proxyProgram{newOwnProxy(t, backend), newBareProxy(t, backend)}
	if k := newKamalProxy(t, backend); k != nil {
		programs = append(programs, k)
	}
	starts, rss := map[string][]float64{}, map[string]float64{}
	for range amount(t, roundsVar, 15) {
		for _, p := range programs {
			if !p.known {
				p.start(t).process.kill()
			}
			began := time.Now()
			p.process = startBeside(t, p.environ, p.argv[0], p.argv[1:]...)
			starts[p.name] = append(starts[p.name], firstAnswer(t, p.process, p.url).Sub(began).Seconds())
			if rss[p.name] == 0 {
				rss[p.name] = settled(t, p.process.cmd.Process.Pid, "Rss")
			}
			p.process.kill()
		}
	}
	compareFootprint(f, starts, rss)
}

func compareFootprint(f *figures, starts map[string][]float64, rss map[string]float64) {
	start := entry{Figure: "start to first answer", Ours: inTime(middle(starts[laneOurs]))}
	idle := entry{Figure: "idle RSS", Ours: fmt.Sprintf("%.1f MiB", rss[laneOurs])}
	for _, name := range slices.Sorted(maps.Keys(starts)) {
		if name == laneOurs {
			continue
		}
		s, i := start, idle
		ratio := against(starts[laneOurs], starts[name])
		s.Peer, s.Ratio = name+" "+inTime(middle(starts[name])), fmt.Sprintf("%.2f", ratio)
		i.Peer, i.Ratio = fmt.Sprintf("%s %.1f MiB", name, rss[name]), ratioOf(rss[laneOurs], rss[name])
		if name == laneKamal {
			s.Goal, s.Result = "≤ 1 ×", reached(ratio <= 1)
			i.Goal, i.Result = "≤ 1 ×", reached(rss[laneOurs] <= rss[name])
		}
		f.row(s)
		f.row(i)
	}
	if starts[laneKamal] == nil {
		for _, e := range []entry{start, idle} {
			e.Peer, e.Goal, e.Result = laneKamal+": set "+kamalVar+" to its program", "≤ 1 ×", notCompared
			f.row(e)
		}
	}
}

// proxyProgram is a proxy that can be started again and again on what it
// remembers of its only route.
type proxyProgram struct {
	name    string
	url     string // of its front door
	environ []string
	argv    []string
	ready   func(b *beside) // after the very first start: tells it the route
	known   bool            // it remembers the route
	process *beside         // of the last start
}

// start starts it, and waits until it answers from its backend.
func (p *proxyProgram) start(t testing.TB) *proxyProgram {
	t.Helper()
	p.process = startBeside(t, p.environ, p.argv[0], p.argv[1:]...)
	if p.ready != nil && !p.known {
		p.ready(p.process)
		p.known = true
	}
	firstAnswer(t, p.process, p.url)
	return p
}

// newOwnProxy is `ipublish proxy`.
func newOwnProxy(t testing.TB, backend string) *proxyProgram {
	t.Helper()
	dir := shortFolder(t)
	socket, listen := filepath.Join(dir, "s"), nginxtest.FreeAddr(t)
	return &proxyProgram{
		name: laneOurs, url: "http://" + listen + "/",
		argv:  []string{binary, "proxy", "--socket", socket, "--state", filepath.Join(dir, "proxy.json")},
		ready: func(b *beside) { setRoute(t, socket, listen, backend) },
	}
}

// setRoute gives a proxy its route as the engine does.
func setRoute(t testing.TB, socket, listen, backend string) {
	t.Helper()
	driver, err := proxy.New(socket, deploy.Target{App: "shop", Env: "production"}, fmt.Appendf(nil, `{"listen":%q}`, listen))
	if err != nil {
		t.Fatal(err)
	}
	step := deploy.Step{Op: deploy.OpRoute, Slot: deploy.Blue, Targets: []deploy.Endpoint{{Host: "local", Slot: deploy.Blue, Addr: backend, Up: true}}}
	eventually(t, startLimit, "the proxy takes its route", func() bool { return driver.Route(t.Context(), step) == nil })
}

func newBareProxy(t testing.TB, backend string) *proxyProgram {
	t.Helper()
	listen := nginxtest.FreeAddr(t)
	return &proxyProgram{name: laneBare, url: "http://" + listen + "/", environ: []string{peerVar + "=" + peerProxy}, argv: []string{testBinary(t), listen, backend}}
}

// newKamalProxy is nil where no variable names the program. It listens on every
// address of the machine: it has no option for one of them.
func newKamalProxy(t testing.TB, backend string) *proxyProgram {
	t.Helper()
	k := newKamal(t)
	if k == nil {
		return nil
	}
	return &proxyProgram{
		name: laneKamal, url: k.url, environ: k.environ, argv: k.argv,
		ready: func(b *beside) { k.mustDeploy(t, backend, "/") },
	}
}

// kamal is a kamal-proxy with a folder and ports of its own.
type kamal struct {
	program string
	socket  string
	url     string
	argv    []string
	environ []string
}

// newKamal is nil where no variable names the program.
func newKamal(t testing.TB) *kamal {
	t.Helper()
	program := os.Getenv(kamalVar)
	if program == "" {
		return nil
	}
	dir, port := shortFolder(t), itoa(freePort(t))
	return &kamal{
		program: program, socket: filepath.Join(dir, "kamal-proxy.sock"), url: "http://127.0.0.1:" + port + "/",
		argv:    []string{program, "run", "--http-port", port, "--https-port", itoa(freePort(t))},
		environ: []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir},
	}
}

// mustDeploy makes a backend the one that gets the traffic.
func (k *kamal) mustDeploy(t testing.TB, backend, health string) {
	t.Helper()
	eventually(t, startLimit, "kamal-proxy listens for commands", func() bool {
		_, err := os.Stat(k.socket)
		return err == nil
	})
	cmd := exec.Command(k.program, "deploy", "shop", "--target", backend, "--health-check-path", health)
	cmd.Env = append(os.Environ(), k.environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kamal-proxy deploy: %v\n%s", err, out)
	}
}

// shortFolder is one whose sockets fit the 107 bytes that the kernel allows.
func shortFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
