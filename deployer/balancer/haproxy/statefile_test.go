package haproxy_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
)

func withStateFile(t *testing.T, backends int) *rig {
	t.Helper()
	r := newRig(t, backends, haproxytest.Options{Params: checked}, nil)
	r.driver = r.open(map[string]any{"state_file": r.server.StateFile})
	return r
}

func TestAReloadKeepsWhoIsOut(t *testing.T) {
	r := withStateFile(t, 3)
	r.route(r.step(deploy.OpOut, 1))
	r.server.Reload()
	r.wantUp("out, reloaded", 0, 2)
	r.route(r.step(deploy.OpIn, 1))
	r.wantUp("in after a reload", 0, 1, 2)
	r.server.Reload()
	r.wantUp("in, reloaded", 0, 1, 2)
}

func TestWithoutAStateFileAReloadForgets(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.route(r.step(deploy.OpOut, 1))
	r.server.Reload()
	r.wantUp("out, reloaded", 0, 1)
}

func TestAllThatLeftAtOnceAreStillOutAfterAReload(t *testing.T) {
	r := withStateFile(t, 6)
	for range 5 {
		var calls sync.WaitGroup
		for i := range 5 {
			calls.Go(func() {
				if err := r.driver.Route(t.Context(), r.step(deploy.OpOut, i)); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		r.server.Reload()
		r.wantUp("five out at once, reloaded", 5)
		r.route(r.step(deploy.OpIn, 0, 1, 2, 3, 4))
	}
	r.server.Reload()
	r.wantUp("all in, reloaded", 0, 1, 2, 3, 4, 5)
}

func TestAReloadTakesServersInTrafficFromTheirConfiguration(t *testing.T) {
	r := withStateFile(t, 3)
	r.stop[r.targets[2].Addr]()
	eventually(t, "HAProxy notices", func() bool { return len(r.up()) == 2 })
	r.route(r.step(deploy.OpOut, 0))
	addr, _ := drivertest.StartBackend(t)
	cfg, err := os.ReadFile(r.server.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.server.Config, []byte(strings.ReplaceAll(string(cfg), r.targets[2].Addr, addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.targets[2].Addr = addr
	r.server.Reload()
	r.wantUp("a server that was down got another port", 1, 2)
}

func TestASomebodysMaintenanceSurvivesAReloadToo(t *testing.T) {
	r := withStateFile(t, 3)
	r.server.Command("set server app/s3 state maint")
	r.route(r.step(deploy.OpOut, 0))
	r.server.Reload()
	r.wantUp("one out, one in maintenance, reloaded", 1)
	r.refused(r.step(deploy.OpIn, 2), deploy.CodeDrift, "maintenance")
}
