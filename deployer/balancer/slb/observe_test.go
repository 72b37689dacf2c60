package slb_test

import (
	"fmt"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/slbtest"
)

func TestUpIsAWeightWithANormalHealth(t *testing.T) {
	r := newRig(t, 50, 0, 50, 50)
	r.group.SetHealth(serverID(3), port, "abnormal")
	seen, note := r.observe(t, 3, 1, 2)
	if got := fmt.Sprint(seen.Up, seen.Down); got != fmt.Sprintf("[%s] [%s %s]", addr(1), addr(2), addr(3)) || note != "" {
		t.Errorf("%s, note %q", got, note)
	}
	if seen.InFlight[addr(1)] != -1 || seen.Weights[addr(2)] != 0 || seen.Weights[addr(1)] != 50 || len(seen.Weights) != 3 {
		t.Errorf("in flight %v, weights %v", seen.InFlight, seen.Weights)
	}
}

func TestAHealthThatIsNeverNormalIsNeverUp(t *testing.T) {
	r := newRig(t, 0, 50)
	r.group.SetHealth(serverID(1), port, "abnormal")
	r.route(t, in(1, 37))
	for range 3 {
		if seen, _ := r.observe(t, 1); len(seen.Up) != 0 || seen.Weights[addr(1)] != 37 {
			t.Errorf("up %v with weight %v", seen.Up, seen.Weights)
		}
	}
}

func TestAHealthWithoutResultBesideOthersIsNeitherUpNorDown(t *testing.T) {
	r := newRig(t, 50, 50)
	r.group.SetHealth(serverID(1), port, "unavailable")
	seen, note := r.observe(t, 1, 2)
	if len(seen.Down) != 0 || fmt.Sprint(seen.Up) != "["+addr(2)+"]" || note != "the health check of web-1 has no result yet" {
		t.Errorf("up %v, down %v, note %q", seen.Up, seen.Down, note)
	}
}

func TestWhereNobodyIsCheckedTheWeightCounts(t *testing.T) {
	r := newRig(t, 50, 0)
	r.group.SetHealth(serverID(1), port, "unavailable")
	r.group.SetHealth(serverID(2), port, "unavailable")
	seen, note := r.observe(t, 1, 2)
	if fmt.Sprint(seen.Up, seen.Down) != fmt.Sprintf("[%s] [%s]", addr(1), addr(2)) || note != "the listener on port 80 checks nobody's health: only the weight counts" {
		t.Errorf("up %v, down %v, note %q", seen.Up, seen.Down, note)
	}
}

func TestAListenerThatDoesNotListTheHostProvesNothing(t *testing.T) {
	r := newRig(t, 50, 0)
	r.driver = open(t, r.cloud.Settings(r.group), map[string]any{"listener_port": 443})
	seen, note := r.observe(t, 1, 2)
	if len(seen.Up) != 0 || fmt.Sprint(seen.Down) != "["+addr(2)+"]" || note != "the listener on port 443 does not check web-1: does it send requests to the vServer group rsp-test1?" {
		t.Errorf("up %v, down %v, note %q", seen.Up, seen.Down, note)
	}
}

func TestSettleIsAskedForWhereAHostIsDown(t *testing.T) {
	r := newRig(t, 50, 0)
	r.driver = open(t, r.cloud.Settings(r.group), map[string]any{"settle": "3s"})
	if seen, _ := r.observe(t, 1); seen.Settle != 0 {
		t.Errorf("settle %s of a host that is up", seen.Settle)
	}
	if seen, _ := r.observe(t, 2); seen.Settle.D() != 3*time.Second {
		t.Errorf("settle %s of a host that is down", seen.Settle)
	}
}

func TestAnInterfaceWithTwoAddressesIsFoundByTheHostsOwn(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Servers: []slbtest.Server{
		{ID: "eni-1", Type: "eni", IP: "10.0.0.1", Port: port, Weight: 10}, {ID: "eni-1", Type: "eni", IP: "10.0.0.2", Port: port, Weight: 20},
	}})
	s := deploy.Step{Targets: []deploy.Endpoint{{Host: "web-2", Addr: addr(2), Labels: map[string]string{"slb": "eni-1"}}}}
	r.route(t, s)
	ev, err := r.driver.Observe(t.Context(), s)
	if err != nil || fmt.Sprint(ev.Traffic.Down) != "["+addr(2)+"]" {
		t.Errorf("%v, %+v", err, ev.Traffic)
	}
	calls := r.cloud.Calls(slbtest.Set)
	if len(calls) != 1 || calls[0].Servers()[0]["ServerIp"] != "10.0.0.2" {
		t.Errorf("%v", calls)
	}
}
