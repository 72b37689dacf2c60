package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
)

// wrong is one use of the command line and what has to come of it.
type wrong struct {
	args  []string
	exit  int
	holds []string
}

func (r *rig) badCommands() {
	for _, w := range []wrong{
		{[]string{"deplyo", "main"}, 2, []string{"deplyo", "deploy"}},
		{[]string{"deploy", "main", "to", "prodcution"}, 2, []string{"did you mean production?"}},
		{[]string{"deploy", "main", "--froce", "x"}, 2, []string{"--froce"}},
		{[]string{"status", "shpo"}, 2, []string{"shpo", "did you mean shop?"}},
		{[]string{"history", "-n", "many"}, 2, []string{"many"}},
		{[]string{"history", "-n", "1000"}, 2, []string{"50"}},
		{[]string{"cancel", "#999"}, 2, []string{"there is no deploy #999"}},
		{[]string{"cancel", "first"}, 2, []string{"first"}},
		{[]string{"cancel"}, 3, []string{"there is nothing to cancel"}},
		{[]string{"resume"}, 3, []string{"there is nothing to resume"}},
		{[]string{"abandon"}, 2, []string{"abandon #"}},
		{[]string{"abandon", "#1", "why not"}, 3, []string{"has ended already"}},
		{[]string{"help", "dploy"}, 2, []string{"did you mean deploy?"}},
		{[]string{"status", "-o", "xml"}, 2, []string{"xml"}},
		{[]string{"status", "--server", "unix:/nowhere/ipublish.sock"}, 4, []string{"no server answers at unix:/nowhere/ipublish.sock", "ipublish serve"}},
		{[]string{"status", "--server", r.hookless("")}, 3, []string{"token"}},
	} {
		w.mustBe(r)
	}
	if _, _, exit := r.cli(); exit != 2 && exit != 0 {
		r.t.Errorf("no command at all exits %d", exit)
	}
}

func TestACommandThatCannotBeCarriedOutEndsAsARecordedFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	for _, w := range []wrong{
		{[]string{"deploy", "mian"}, 1, []string{"there is no branch, tag or commit", "did you mean main?"}},
		{[]string{"deploy", "0123456"}, 1, []string{"0123456"}},
		{[]string{"accept"}, 3, []string{"this environment's balancer has no managed file", "serving now"}},
		{[]string{"rollback"}, 3, []string{"no earlier good release"}},
		{[]string{"rollback", "to", "0123456789"}, 3, []string{"no earlier good release"}},
	} {
		w.mustBe(r)
	}
	mustHold(t, "history", r.mustCLI("history"), "#2 deploy", "#4 accept", "failed")
	mustServe(t, r.frontURL(), "v1")
}

// mustBe runs the command line and wants the answer.
func (w wrong) mustBe(r *rig) {
	r.t.Helper()
	out, bad, exit := r.cli(w.args...)
	if exit != w.exit {
		r.t.Errorf("%q exits %d, want %d:\n%s%s", w.args, exit, w.exit, out, bad)
	}
	mustHold(r.t, strings.Join(w.args, " "), out+bad, w.holds...)
}

func TestAmbiguousWordsAreAnsweredWithTheChoices(t *testing.T) {
	r := newRig(t, func(r *rig) {
		apps := r.config["apps"].(object)
		apps["blog"] = secondApp(r)
	})
	r.serve()
	for text, holds := range map[string][]string{
		"deploy":              {"shop/production", "blog/staging", "blog/live"},
		"deploy main":         {"shop/production", "blog/staging", "blog/live"},
		"deploy blog main":    {"staging", "live"},
		"rollback":            {"shop/production", "blog/staging"},
		"deploy blgo main":    {"blgo", "did you mean blog?"},
		"deploy shop to live": {"shop", "production"},
	} {
		out, bad, exit := r.cli(strings.Fields(text)...)
		if exit != 2 {
			t.Errorf("%q exits %d, want 2:\n%s%s", text, exit, out, bad)
		}
		mustHold(t, text, out+bad, holds...)
	}
	if _, some := r.api.state(1); some {
		t.Error("a deploy came of it")
	}
}

// secondApp has two environments.
func secondApp(r *rig) object {
	env := func() object {
		return object{
			"branch": "main", "hosts": []any{"local"}, "release_dir": filepath.Join(r.dir, "releases"), "progress_deadline": "3m",
			"strategy": object{"blue_green": object{"slots": object{"blue": freePort(r.t), "green": freePort(r.t)}}},
			"balancer": object{"proxy": object{"listen": "127.0.0.1:" + itoa(freePort(r.t))}},
		}
	}
	return object{
		"repository": r.app()["repository"], "slug": "acme/blog", "runtime": r.app()["runtime"],
		"health":       object{"healthy_deadline": "30s"},
		"environments": object{"staging": env(), "live": env()},
	}
}

func TestAConfigurationThatCannotBeReadNamesFileLineAndTheNearestKey(t *testing.T) {
	r := newRig(t)
	good := read(t, r.configFile())
	for name, c := range map[string]struct {
		text  string
		holds []string
	}{
		"an unknown key":       {strings.Replace(good, "auto_deploy:", "auto_deplyo:", 1), []string{"auto_deplyo", `did you mean "auto_deploy"?`, line(good, "auto_deploy:")}},
		"no YAML":              {strings.Replace(good, "githooks:", "githooks: [", 1), []string{r.configFile() + ":"}},
		"a driver's wrong key": {strings.Replace(good, "listen: "+r.front, "lisen: "+r.front, 1), []string{"apps.shop.environments.production.balancer", "lisen"}},
		"a wrong duration":     {strings.Replace(good, "drain_timeout: 10s", "drain_timeout: soon", 1), []string{r.configFile(), "soon"}},
		"a short secret":       {strings.Replace(good, hookSecret, "short", 1), []string{"githooks.github.secret", "at least 16 characters"}},
		"an unset variable":    {strings.Replace(good, hookSecret, "${E2E_NOT_SET}", 1), []string{"E2E_NOT_SET", "is not set"}},
		"the same ports":       {strings.Replace(good, "green: "+itoa(r.green), "green: "+itoa(r.blue), 1), []string{"two different ports"}},
		"no repository":        {strings.Replace(good, "repository:", "# repository:", 1), []string{"apps.shop.repository"}},
	} {
		if c.text == good {
			t.Fatalf("%s: nothing was replaced in\n%s", name, good)
		}
		write(t, r.configFile(), c.text)
		for _, command := range []string{"serve", "check"} {
			out, bad, exit := r.cli(command)
			if exit != 2 {
				t.Errorf("%s: %s exits %d, want 2", name, command, exit)
			}
			mustHold(t, name+": "+command, out+bad, append(c.holds, r.configFile())...)
		}
	}
	readable(t, r, good)
}

// readable wants a file with secrets that others can read, or none, to be refused.
func readable(t *testing.T, r *rig, good string) {
	t.Helper()
	write(t, r.configFile(), good)
	if err := os.Chmod(r.configFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	out, bad, exit := r.cli("check")
	if exit != 2 {
		t.Errorf("a file that others can read exits %d, want 2", exit)
	}
	mustHold(t, "a file that others can read", out+bad, "chmod 600")
	if err := os.Remove(r.configFile()); err != nil {
		t.Fatal(err)
	}
	out, bad, exit = r.cli("serve")
	if exit != 2 {
		t.Errorf("no file exits %d, want 2", exit)
	}
	mustHold(t, "no file", out+bad, "does not exist")
}

// line is the line number of a text, as errors give it.
func line(text, of string) string {
	before, _, _ := strings.Cut(text, of)
	return ":" + itoa(strings.Count(before, "\n")+1) + ":"
}

func TestABrokenConfigurationAtAReloadKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	good := read(t, r.configFile())
	write(t, r.configFile(), strings.Replace(good, "auto_deploy:", "auto_deplyo:", 1))
	r.server.reload()
	mustHold(t, "the log", read(t, r.log()), "configuration not reloaded, the old one stays", `did you mean \"auto_deploy\"?`)
	write(t, r.configFile(), good)
	r.api.ends(r.push(behaviour{Version: "v2"}), deploy.Succeeded)
	mustServe(t, r.frontURL(), "v2")
}

func TestASecondServerOnTheSameStateIsRefused(t *testing.T) {
	r := newRig(t)
	r.serve()
	r.config["server"].(object)["listen"] = "127.0.0.1:" + itoa(freePort(t))
	other := filepath.Join(r.dir, "other.yaml")
	write(t, other, strings.Replace(read(t, r.configFile()), r.listen, "127.0.0.1:"+itoa(freePort(t)), 1))
	if err := os.Chmod(other, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "serve", "--config", other).CombinedOutput()
	if err == nil {
		t.Fatal("a second server ran on the same state")
	}
	mustHold(t, "the second server", string(out), "another ipublish answers there")
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
}
