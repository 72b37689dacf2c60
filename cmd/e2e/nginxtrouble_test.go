package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
)

// behindNginx is an installation whose balancer is nginx, with v1 live and
// users at work.
func behindNginx(t *testing.T, over object) (*rig, *nginxtest.Server, *load) {
	t.Helper()
	var n *nginxtest.Server
	r := newRig(t, func(r *rig) { n = r.byNginx(over) })
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	mustServe(t, n.URL, "v1")
	return r, n, startLoad(t, n.URL, users{KeepAlive: 50, OneShot: 20, Slow: 10, SlowPath: "/slow?ms=1000"})
}

func TestAFileOfSomebodyElseThatNginxRefusesStopsTheSwitchAndIsNamed(t *testing.T) {
	t.Parallel()
	r, n, l := behindNginx(t, nil)
	ours := read(t, n.Include)
	other := n.Write("ipublish/other-team.conf", "upstream theirs { server 127.0.0.1:9 wieght=2; }\n")
	sha := r.commit(behaviour{Version: "v2"})
	id := r.pushed(sha)
	r.api.ends(id, deploy.Failed)
	t.Logf("the channel says:\n%s", r.told(id, "nginx refuses its configuration", other, "wieght", "nothing was switched", "serving now"))
	mustServe(t, n.URL, "v1")
	if read(t, n.Include) != ours {
		t.Error("ipublish's own file was changed")
	}
	l.mustBeSilent(t)
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	mustHold(t, "the next deploy", r.mustCLI("deploy", deploy.Short(sha)), "succeeded")
	mustServe(t, n.URL, "v2")
}

func TestAReloadThatReportsSuccessAndDoesNothingIsFoundOut(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken")
	r, n, l := behindNginx(t, nil)
	r.reloadUnless(broken, n)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ours := read(t, n.Include)
	sha := r.commit(behaviour{Version: "v2"})
	id := r.pushed(sha)
	r.api.ends(id, deploy.Failed)
	t.Logf("the channel says:\n%s", r.told(id, "nginx did not take the new table within", "reported success", "serving now"))
	mustServe(t, n.URL, "v1")
	if read(t, n.Include) != ours {
		t.Error("the file from before was not put back")
	}
	l.mustBeSilent(t)
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	mustHold(t, "the next deploy", r.mustCLI("deploy", deploy.Short(sha)), "succeeded")
	mustServe(t, n.URL, "v2")
}

// reloadUnless makes the reload command do nothing, and exit 0, while a file is there.
func (r *rig) reloadUnless(file string, n *nginxtest.Server) {
	r.t.Helper()
	r.rewrite(func() {
		nginx := r.env()["balancer"].(object)["nginx"].(object)
		nginx["reload"] = append([]string{"sh", "-c", `[ -e "$0" ] || exec "$@"`, file}, n.ReloadArgv()...)
		nginx["reload_timeout"] = "2s"
	})
}

func TestAnIncludeEditedByHandIsKeptUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	r, n, l := behindNginx(t, nil)
	r.edit(n)
	edited := read(t, n.Include)
	sha := r.commit(behaviour{Version: "v2"})
	id := r.pushed(sha)
	r.api.ends(id, deploy.Failed)
	t.Logf("the channel says:\n%s", r.told(id, "failed", n.Include, "edited by hand", "accept shop production", "serving now"))
	if read(t, n.Include) != edited {
		t.Error("the edited file was changed")
	}
	mustServe(t, n.URL, "v1")
	l.mustBeSilent(t)

	mustHold(t, "accept", r.mustCLI("accept", "shop", "production"), "succeeded")
	if read(t, n.Include) != edited {
		t.Error("accept changed the file")
	}
	mustHold(t, "the next deploy", r.mustCLI("deploy", deploy.Short(sha)), "succeeded")
	mustServe(t, n.URL, "v2")
}

func TestAnIncludeEditedDuringADeployIsLeftAloneAndAccepted(t *testing.T) {
	t.Parallel()
	r, n, l := behindNginx(t, nil)
	sha := r.commit(behaviour{Version: "v2"})
	id := r.pushed(sha)
	r.api.follow(id, atStep(deploy.OpCheck, func() { r.edit(n) }))
	r.api.ends(id, deploy.Failed)
	t.Logf("the channel says:\n%s", r.told(id, n.Include, "was edited, so nothing was written", "by hand", "traffic never moved", "serving now"))
	mustServe(t, n.URL, "v1")
	l.mustBeSilent(t)

	edited := read(t, n.Include)
	mustHold(t, "accept", r.mustCLI("accept", "shop", "production"), "succeeded")
	if read(t, n.Include) != edited {
		t.Error("accept changed the file")
	}
	mustHold(t, "the next deploy", r.mustCLI("deploy", deploy.Short(sha)), "succeeded")
	mustServe(t, n.URL, "v2")
}

// edit adds a line to the managed file, as somebody in a hurry would.
func (r *rig) edit(n *nginxtest.Server) {
	r.t.Helper()
	write(r.t, n.Include, read(r.t, n.Include)+"# by hand\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
