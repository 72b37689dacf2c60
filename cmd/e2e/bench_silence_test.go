package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/balancer/proxy"
	"ipublish/deployer/host/local"
)

// front is a kind of front door; open puts one before each pair.
type front struct {
	name string
	open func(r *rig, pairs []*pair)
}

// The front doors through which nobody is to notice a switch.
func builtIn() front     { return front{"built-in proxy", throughProxy} }
func nginxBefore() front { return front{"nginx in front of the proxy", throughNginxAndProxy} }
func runtimeAPI() front  { return front{"HAProxy Runtime API", throughHAProxy} }

func TestBenchSilence(t *testing.T) {
	s := silence{
		lanes: 6, rate: amount(t, rateVar, 2700), slow: "/slow?ms=3000",
		requests: amount(t, requestsVar, 1_000_000), switches: amount(t, switchesVar, 500),
	}
	table := newTable(t, fmt.Sprintf("requests lost at switches of %d applications: %d keep-alive POSTs/s with idle gaps where the machine keeps up, a tenth as many on a connection each, ten 3-second requests in flight of each", s.lanes, s.rate))
	for _, f := range []front{builtIn(), nginxBefore(), runtimeAPI()} {
		t.Run(f.name, func(t *testing.T) { table.row(s.run(t, f)) })
	}
}

func TestSwitchesAreSilent(t *testing.T) {
	s := silence{lanes: 2, rate: 600, slow: "/slow?ms=300", requests: 1000, switches: 10}
	for _, f := range []front{builtIn(), runtimeAPI()} {
		t.Run(f.name, func(t *testing.T) { s.run(t, f) })
	}
}

// silence is how long and under what load releases take turns. The lanes are
// applications of their own behind one balancer: each waits for its own drains.
type silence struct {
	lanes, rate        int    // keep-alive requests a second of all lanes
	slow               string // path of the ten long requests in flight of each lane
	requests, switches int    // at least
}

// run switches until both are reached, and wants nobody to have noticed.
func (s silence) run(t *testing.T, f front) entry {
	r := newBenchRig(t)
	pairs := newPairs(t, r, s.lanes)
	f.open(r, pairs)
	rate := s.rate / s.lanes
	for _, p := range pairs {
		p.begin(users{KeepAlive: rate, OneShot: rate / 10, Slow: 10, SlowPath: s.slow})
	}
	began := time.Now()
	s.takeTurns(t, pairs)
	kept := float64(sentBy(loadsOf(pairs), keepAlive)) / time.Since(began).Seconds()
	for _, p := range pairs {
		p.users.mustBeSilent(t)
	}
	e := s.figure(f, pairs)
	e.Ours += fmt.Sprintf(", %.0f/s", kept)
	return e
}

// takeTurns has each lane switch, one switch after another.
func (s silence) takeTurns(t *testing.T, pairs []*pair) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loads := loadsOf(pairs)
	var all sync.WaitGroup
	var switches atomic.Int64
	for _, p := range pairs {
		all.Go(func() {
			for int(switches.Load()) < s.switches || sentBy(loads, keepAlive) < s.requests {
				if err := p.turn(ctx); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("switch %d of %s: %v", p.turns+1, p.front, err)
					}
					cancel()
					return
				}
				if n := switches.Add(1); n%100 == 0 {
					t.Logf("%d switches, %d keep-alive requests, %d of all lost", n, sentBy(loads, keepAlive), len(lostBy(loads)))
				}
			}
		})
	}
	all.Wait()
}

func (s silence) figure(f front, pairs []*pair) entry {
	loads, turns := loadsOf(pairs), 0
	for _, p := range pairs {
		turns += p.turns
	}
	lost := len(lostBy(loads))
	enough := sentBy(loads, keepAlive) >= s.requests && turns >= s.switches
	return entry{
		Figure: f.name + ": lost", Ours: losses(loads, keepAlive, oneShot, slow) + fmt.Sprintf(", %d switches", turns),
		Goal: fmt.Sprintf("0 of ≥ %d over ≥ %d", s.requests, s.switches), Result: reached(lost == 0 && enough),
	}
}

func loadsOf(pairs []*pair) []*load {
	var out []*load
	for _, p := range pairs {
		out = append(out, p.users)
	}
	return out
}

// newBenchRig is a rig without server and repository: what starts processes and
// ends them with the test.
func newBenchRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	if err := os.Mkdir(r.state(""), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.sweep)
	return r
}

// startProxy starts `ipublish proxy` and returns its process; it may not answer yet.
func (r *rig) startProxy(more ...string) *os.Process {
	r.t.Helper()
	out, err := os.OpenFile(r.state("proxy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(binary, append([]string{"proxy", "--socket", r.state("proxy.sock"), "--state", r.state("proxy.json")}, more...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), r.mark())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // sweep sees that it is gone
	return cmd.Process
}

// throughProxy gives each pair a route of one built-in proxy.
func throughProxy(r *rig, pairs []*pair) {
	r.t.Helper()
	r.startProxy()
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("the proxy's log ends so:\n%s", tail(r.state("proxy.log")))
		}
	})
	for n, p := range pairs {
		listen := nginxtest.FreeAddr(r.t)
		section, err := json.Marshal(object{"listen": listen})
		if err != nil {
			r.t.Fatal(err)
		}
		d, err := proxy.New(r.state("proxy.sock"), deploy.Target{App: fmt.Sprintf("shop%d", n+1), Env: "production"}, section)
		if err != nil {
			r.t.Fatal(err)
		}
		eventually(r.t, startLimit, "the proxy answers", func() bool {
			_, err := d.Observe(r.t.Context(), deploy.Step{})
			return err == nil
		})
		p.front, p.by = "http://"+listen, &driven{driver: d}
	}
}

// throughNginxAndProxy puts an nginx that never changes before each route.
func throughNginxAndProxy(r *rig, pairs []*pair) {
	r.t.Helper()
	throughProxy(r, pairs)
	for _, p := range pairs {
		edge := &rig{t: r.t, front: strings.TrimPrefix(p.front, "http://")}
		p.front = edge.frontNginx()
	}
}

// throughHAProxy gives each pair a frontend and a backend of one HAProxy.
func throughHAProxy(r *rig, pairs []*pair) {
	r.t.Helper()
	h, err := local.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var more strings.Builder
	for n, p := range pairs[1:] {
		door := nginxtest.FreeAddr(r.t)
		p.front = "http://" + door
		fmt.Fprintf(&more, "frontend door%d\n    bind %s\n    default_backend app%[1]d\nbackend app%[1]d\n    server s1 %[3]s\n    server s2 %[4]s\n",
			n+2, door, p.live.addr(), p.idle.addr())
	}
	s := haproxytest.Start(r.t, haproxytest.Options{Servers: []string{pairs[0].live.addr(), pairs[0].idle.addr()}, More: more.String()})
	pairs[0].front = strings.TrimSuffix(s.URL, "/")
	for n, p := range pairs {
		backend := s.Backend
		if n > 0 {
			backend = fmt.Sprintf("app%d", n+1)
		}
		d, err := haproxy.New(s.Settings(object{"backend": backend}), func(string) (deployer.Host, error) { return h, nil })
		if err != nil {
			r.t.Fatal(err)
		}
		p.by = &driven{driver: d}
	}
}
