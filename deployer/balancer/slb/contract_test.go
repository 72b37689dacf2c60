package slb_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/slb"
	"ipublish/deployer/balancer/slbtest"
	"ipublish/deployer/drivertest"
)

func TestSLBKeepsTheContractOfARollingBalancer(t *testing.T) {
	g := &slbtest.Group{Check: &slbtest.Check{Interval: 10 * time.Millisecond}, Lag: slbtest.Lag{Readable: 10 * time.Millisecond}}
	rig := drivertest.RollingRig{Unknown: deploy.Endpoint{Host: "web-9", Addr: "10.0.0.9:80", Labels: map[string]string{"slb": "i-none"}}}
	stops := map[string]func(){}
	for i := range 4 {
		addr, stop := drivertest.StartBackend(t)
		stops[addr] = stop
		_, port, _ := strings.Cut(addr, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		g.Servers = append(g.Servers, slbtest.Server{ID: serverID(i), Port: n, Addr: addr, Weight: 25})
		rig.Targets = append(rig.Targets, deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%d", i)), Addr: addr, Labels: map[string]string{"slb": serverID(i)}})
	}
	cloud := slbtest.Start(t)
	cloud.Add(g)
	rig.URL = "http://" + g.Listen() + "/"
	rig.Stop = func(addr string) { stops[addr]() }
	var turns slb.Turns
	rig.Open = func(t *testing.T) deployer.Balancer {
		d, err := turns.New(cloud.Settings(g), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	awaitUp(t, rig)
	drivertest.Rolling(t, rig)
}

// awaitUp waits for the first results of the health check.
func awaitUp(t *testing.T, rig drivertest.RollingRig) {
	t.Helper()
	d := rig.Open(t)
	eventually(t, "every backend is up", func() bool {
		ev, err := d.Observe(t.Context(), deploy.Step{Targets: rig.Targets})
		if err != nil {
			t.Fatal(err)
		}
		return len(ev.Traffic.Up) == len(rig.Targets) && ev.Note == ""
	})
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(10 * time.Second); !so(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("never so: %s", what)
		}
	}
}

// The weight can be read before the front follows it: Settle is what covers that.
func TestAfterSettleNoRequestReachesAHostThatIsOut(t *testing.T) {
	g := &slbtest.Group{Lag: slbtest.Lag{InForce: 300 * time.Millisecond}}
	hosts := map[string]deploy.Endpoint{}
	for i := range 2 {
		addr, _ := drivertest.StartBackend(t)
		_, port, _ := strings.Cut(addr, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		g.Servers = append(g.Servers, slbtest.Server{ID: serverID(i), Port: n, Addr: addr, Weight: 1})
		hosts[addr] = deploy.Endpoint{Host: "web-1", Addr: addr, Labels: map[string]string{"slb": serverID(i)}}
	}
	r := rigOf(t, g)
	r.driver = open(t, r.cloud.Settings(g), map[string]any{"settle": "500ms"})
	front := "http://" + g.Listen() + "/"
	gone := slices.Sorted(maps.Keys(hosts))[0]
	step := deploy.Step{Op: deploy.OpOut, Targets: []deploy.Endpoint{hosts[gone]}}
	r.route(t, step)
	ev, err := r.driver.Observe(t.Context(), step)
	if err != nil || !slices.Equal(ev.Traffic.Down, []string{gone}) {
		t.Fatalf("%v, %+v", err, ev.Traffic)
	}
	if !slices.Contains(reached(t, front, 4), gone) {
		t.Error("the front of this test followed at once: it proves nothing")
	}
	<-time.After(ev.Traffic.Settle.D())
	if slices.Contains(reached(t, front, 8), gone) {
		t.Error("a request reached the host after Settle")
	}
}

func reached(t *testing.T, front string, requests int) []string {
	t.Helper()
	var out []string
	for range requests {
		res, err := http.Get(front)
		if err != nil {
			t.Fatal(err)
		}
		var who [64]byte
		n, _ := res.Body.Read(who[:])
		res.Body.Close()
		out = append(out, string(who[:n]))
	}
	return out
}
