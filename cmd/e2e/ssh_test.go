package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/host/sshtest"
)

// overSSH puts the app on a host that is reached over a real sshd.
func overSSH(sshd *sshtest.Server) func(r *rig) {
	return func(r *rig) {
		r.env()["hosts"] = []any{object{
			"name": "web-1", "ssh": "ssh://" + sshd.User + "@" + sshd.Addr, "address": "127.0.0.1",
			"identity_file": sshd.IdentityFile, "known_hosts": sshd.KnownHosts,
		}}
	}
}

func TestTwoTomcatsOnAHostOverSSHTakeTurnsAndAChangedHostKeyChangesNothing(t *testing.T) {
	sshd := sshtest.Start(t)
	r := newRig(t, onTomcat, overSSH(sshd))
	front := r.frontNginx()
	l := r.switchUnderLoad(front, users{KeepAlive: 200, OneShot: 20, Slow: 10, SlowPath: "/slow.jsp?ms=3000"})

	r.mustCLI("unlock", "shop", "production") // the rollback paused pushes
	before, tree := r.api.live(), r.releases()
	r.server.stop()
	sshd.ChangeHostKeys()
	r.serve()
	id := r.pushed(r.commitWAR("v3"))
	st := r.api.ends(id, deploy.Failed)
	said := deploy.MessageOf(st.Err)
	t.Logf("a changed host key is answered: %s", said)
	mustHold(t, "the refusal", said, "the key of "+sshd.Addr+" changed", sshd.KnownHosts, "ssh-keygen -R")
	mustHold(t, "the channel", r.told(id, "failed", "changed"), "serving now")
	mustServe(t, front, "v1")
	l.mustBeSilent(t)
	if after := r.api.live(); after.Deploy != before.Deploy || after.Slot != before.Slot {
		t.Errorf("live is %s on %s, was %s on %s", after.Deploy, after.Slot, before.Deploy, before.Slot)
	}
	if now := r.releases(); now != tree {
		t.Errorf("the release folder changed from\n%s\nto\n%s", tree, now)
	}
	out, _, exit := r.cli("check")
	if exit != 1 {
		t.Errorf("check exits %d, want 1", exit)
	}
	mustHold(t, "check", out, "FAIL", "web-1", "the key of", "changed")
}

// releases lists the releases on the host.
func (r *rig) releases() string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, "releases", "shop", "production", "releases"))
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, "\n")
}
