package haproxy_test

import (
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/ssh"
	"ipublish/deployer/host/sshtest"
)

func TestContractOfRolling(t *testing.T) {
	for name, params := range map[string]string{"without checks": "", "with checks": "check inter 100ms fall 2 rise 2"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4, haproxytest.Options{Params: params, Sockets: 2}, nil)
			state := map[string]any{"state_file": r.server.StateFile}
			drivertest.Rolling(t, drivertest.RollingRig{
				Open: func(t *testing.T) deployer.Balancer { return openOn(t, r.server, localHost(t), state) },
				URL:  r.server.URL, Targets: r.targets, Unknown: deploy.Endpoint{Host: "web-9", Addr: "127.0.0.1:9"},
				Stop: func(addr string) { r.stop[addr]() },
			})
		})
	}
}

func TestContractOfRollingOverSSH(t *testing.T) {
	r := newRig(t, 3, haproxytest.Options{}, nil)
	d := sshtest.Start(t)
	h, err := ssh.New(d.Settings(nil), ssh.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	drivertest.Rolling(t, drivertest.RollingRig{
		Open: func(t *testing.T) deployer.Balancer {
			return openOn(t, r.server, h, map[string]any{"state_file": r.server.StateFile})
		},
		URL: r.server.URL, Targets: r.targets, Unknown: deploy.Endpoint{Host: "web-9", Addr: "127.0.0.1:9"},
		Stop: func(addr string) { r.stop[addr]() },
	})
}

func TestContractOfBlueGreen(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: "check inter 100ms fall 2 rise 2"}, nil)
	drivertest.Balancer(t, drivertest.BalancerRig{
		Open: func(t *testing.T) deployer.Balancer { return openOn(t, r.server, localHost(t), nil) },
		URL:  r.server.URL, Targets: r.targets,
		Stop: func(addr string) { r.stop[addr]() },
	})
}
