package statusfile_test

import (
	"fmt"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/sshtest"
)

// contract runs the suite of rolling balancers with a real HAProxy in front.
func contract(t *testing.T, r *rig, over map[string]any) {
	front := r.inFront(checks("100ms"))
	if over == nil {
		over = observing(nil, front)
	}
	over["path"], over["url"] = r.server.Dir+"/status/{host}/nginx-status.html", "http://{host}:"+r.port+"/nginx-status.html"
	var targets []deploy.Endpoint
	for i, app := range r.apps {
		targets = append(targets, deploy.Endpoint{
			Host: deploy.HostID(hostOf(r.targets[i])), Slot: deploy.Main, Addr: app, Labels: map[string]string{"haproxy": fmt.Sprintf("s%d", i+1)},
		})
	}
	drivertest.Rolling(t, drivertest.RollingRig{
		Open: func(*testing.T) deployer.Balancer { return r.openWith(over) },
		URL:  front.URL, Targets: targets, Stop: func(addr string) { r.stops[addr]() },
	})
}

func TestTheContractOfRollingIsKeptByComputedWaits(t *testing.T) {
	t.Parallel()
	contract(t, newRig(t, 3, "", nil), map[string]any{
		"check_interval": "100ms", "check_timeout": "1s", "unhealthy_threshold": 2, "healthy_threshold": 2, "margin": "300ms",
	})
}

func TestTheContractOfRollingIsKeptByHAProxysWord(t *testing.T) {
	t.Parallel()
	contract(t, newRig(t, 3, "", nil), nil)
}

func TestTheContractOfRollingIsKeptOverSSH(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, "", nil)
	r.open = sshHosts(t, sshtest.Start(t))
	contract(t, r, nil)
}
