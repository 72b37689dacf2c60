package haproxy_test

import (
	"net"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxytest"
)

func TestAServerIsFoundByItsLabel(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	for _, label := range []string{"s2", "app/s2"} {
		r.targets[0].Labels = map[string]string{"haproxy": label}
		r.route(r.step(deploy.OpOut, 0))
		if up := r.observe(deploy.Step{}).Traffic.Up; len(up) != 1 || up[0] == r.targets[1].Addr {
			t.Errorf("label %s: up %v", label, up)
		}
		ev := r.observe(r.step(deploy.OpOut, 0))
		if down := ev.Traffic.Down; len(down) != 1 || down[0] != r.targets[0].Addr {
			t.Errorf("label %s: the evidence does not tell the target's own address: %+v", label, ev.Traffic)
		}
		r.route(r.step(deploy.OpIn, 0))
	}
	r.driver = r.open(map[string]any{"backend": ""})
	r.targets[0].Labels["haproxy"] = "app/s1"
	r.route(r.step(deploy.OpOut, 0))
}

func TestAServerIsFoundByItsAddressHoweverItIsWritten(t *testing.T) {
	r := newRig(t, 1, haproxytest.Options{Backend: "first", More: "backend app\n server six [::1]:8080\n server name localhost:8081\n"}, map[string]any{"backend": "app"})
	for _, addr := range []string{"[::1]:8080", "[0:0:0:0:0:0:0:1]:8080", "localhost:8081", "LOCALHOST:8081", "127.0.0.1:8081"} {
		s := r.step(deploy.OpOut, 0)
		s.Targets[0].Addr = addr
		if ev := r.observe(s); len(ev.Traffic.Up) != 1 || ev.Note != "" {
			t.Errorf("%s: %+v, %s", addr, ev.Traffic, ev.Note)
		}
	}
}

func TestAServerThatCannotBeToldIsRefusedWithTheLabelToWrite(t *testing.T) {
	other, _ := net.ResolveTCPAddr("tcp", "127.0.0.1:8082")
	r := newRig(t, 1, haproxytest.Options{More: "backend two\n server x " + other.String() + "\n server y " + other.String() + "\n"}, nil)
	anywhere, inTwo := r.open(map[string]any{"backend": ""}), r.open(map[string]any{"backend": "two"})
	here := r.driver
	for _, c := range []struct {
		name   string
		driver deployer.Balancer
		target deploy.Endpoint
		says   []string
	}{
		{"an unknown address", here, deploy.Endpoint{Host: "web-7", Addr: "10.0.0.7:80"}, []string{"web-7", "10.0.0.7:80", "`haproxy: SERVER`", "app/s1 (" + r.targets[0].Addr + ")"}},
		{"an unknown label", here, deploy.Endpoint{Host: "web-7", Addr: "10.0.0.7:80", Labels: map[string]string{"haproxy": "s7"}}, []string{"web-7", "app/s7", "app/s1 ("}},
		{"an unknown backend", here, deploy.Endpoint{Host: "web-7", Labels: map[string]string{"haproxy": "ap/s1"}}, []string{"ap/s1", "app/s1", "two/x"}},
		{"two servers of one address", inTwo, deploy.Endpoint{Host: "web-7", Addr: other.String()}, []string{"several", "two/x", "two/y"}},
		{"no backend at all", anywhere, deploy.Endpoint{Host: "web-7", Addr: "10.0.0.7:80"}, []string{"`backend`", "`haproxy: BACKEND/SERVER`", "two/x"}},
		{"a label without a backend", anywhere, deploy.Endpoint{Host: "web-7", Labels: map[string]string{"haproxy": "s1"}}, []string{"BACKEND/SERVER", "app/s1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.driver = c.driver
			s := deploy.Step{Op: deploy.OpOut, Targets: []deploy.Endpoint{c.target}}
			refused(t, c.driver.Route(t.Context(), s), deploy.CodeInvalid, c.says...)
			ev, err := c.driver.Observe(t.Context(), s)
			if err != nil || len(ev.Traffic.Up)+len(ev.Traffic.Down) != 0 || !strings.Contains(ev.Note, c.says[0]) {
				t.Errorf("observe: %+v, %q, %v", ev.Traffic, ev.Note, err)
			}
		})
	}
}

func TestTwoTargetsOnOneServerAreRefused(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	for i := range r.targets {
		r.targets[i].Labels = map[string]string{"haproxy": "s1"}
	}
	r.refused(r.table(0), deploy.CodeInvalid, "web-1", "web-2", "app/s1")
}
