package haproxy_test

import (
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxytest"
)

func advice(t *testing.T, r *rig) []string {
	t.Helper()
	return r.driver.(deployer.Adviser).Advise(t.Context(), localHost(t), r.step(deploy.OpOut, 0, 1))
}

func TestTheAdviceForAReloadHasTheLinesToWrite(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	got := advice(t, r)
	if len(got) != 1 {
		t.Fatalf("%q", got)
	}
	for _, part := range []string{"`state_file: /", "`server-state-file /", "`load-server-state-from-file global`"} {
		if !strings.Contains(got[0], part) {
			t.Errorf("%q does not say %q", got[0], part)
		}
	}
	r.driver = r.open(map[string]any{"state_file": r.server.StateFile})
	if got := advice(t, r); len(got) != 0 {
		t.Errorf("with a state file: %q", got)
	}
	r.server.Stop()
	if got := advice(t, r); len(got) != 0 {
		t.Errorf("of a HAProxy that is gone: %q", got)
	}
}

func TestTheAdviceNamesWhatWouldStopADeploy(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: "cookie c", Lines: []string{"cookie SRV insert indirect"}}, nil)
	r.driver = r.open(map[string]any{"state_file": r.server.StateFile})
	r.server.Command("set server app/s1 state maint")
	r.targets[1].Addr = "10.0.0.9:80"
	got := advice(t, r)
	if len(got) != 2 || !strings.Contains(got[0], "app/s1") || !strings.Contains(got[1], "10.0.0.9:80") {
		t.Errorf("%q", got)
	}
	r.server.Command("set server app/s1 state drain")
	got = advice(t, r)
	if len(got) != 2 || !strings.Contains(got[0], "cookie") || !strings.Contains(got[0], "drain_timeout") {
		t.Errorf("%q", got)
	}
	if !strings.Contains(r.server.Command("show stat -1 4 -1"), ",DRAIN,") {
		t.Error("the advice changed something")
	}
}
