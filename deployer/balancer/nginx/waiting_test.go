package nginx_test

import (
	"os"
	"strings"
	"testing"

	"ipublish/deploy"
)

// adopting routes to up as an adoption does, whatever is known, and returns the refusal.
func (e team) adopting(up string) string {
	e.t.Helper()
	step := e.step(up)
	step.First = true
	err := e.driver.Route(e.t.Context(), step)
	if deploy.CodeOf(err) != deploy.CodeRefused {
		e.t.Fatalf("route: %v (code %q), want code refused", err, deploy.CodeOf(err))
	}
	return deploy.MessageOf(err)
}

func (e team) listed(addr string) bool {
	return strings.Contains(e.include(), "server "+addr+" weight=1 max_fails=0;")
}

func TestAFileThatWaitsNamesTheSlotThatIsLiveNow(t *testing.T) {
	tests := map[string]struct {
		http  string
		files map[string]string
	}{
		"a file that nobody reads":    {http: teamsOwn},
		"a file that is read at once": {http: "    include {dir}/ipublish/*.conf;\n" + teamsOwn, files: map[string]string{"ipublish/keep.conf": ""}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			e := newTeam(t, c.http, c.files)
			e.adopting(e.a)
			if !e.listed(e.a) {
				t.Fatalf("the first time the file is\n%s", e.include())
			}
			e.releasedByHand()
			e.stop[e.a]()
			if check := deploy.MessageOf(e.foreignTo(e.b)); strings.Contains(check, "written and ready") || !strings.Contains(check, "First `adopt shop production`") {
				t.Errorf("check says of the file from before\n%s", check)
			}
			message := e.adopting(e.b)
			e.says(message, e.server.Include+" is written and ready")
			if !e.listed(e.b) || e.listed(e.a) {
				t.Fatalf("after the release by hand the file is\n%s", e.include())
			}
			if check := deploy.MessageOf(e.foreignTo(e.b)); check != message {
				t.Errorf("check says\n%s\nand not\n%s", check, message)
			}
			e.serves(e.b)
			e.obey(message)
			e.server.Reload()
			eventually(t, "the team's reload is through", func() bool { up := e.observe(e.b).Up; return len(up) == 1 && up[0] == e.b })
			e.serves(e.b)
			e.route(e.b)
		})
	}
}

func TestAnAcceptedFileDoesNotHideTheTeamsOwnUpstream(t *testing.T) {
	e := newTeam(t, "    include {dir}/ipublish/*.conf;\n"+teamsOwn, map[string]string{"ipublish/keep.conf": ""})
	e.adopting(e.a)
	if err := os.WriteFile(e.server.Include, []byte(e.include()+"# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.server.Reload()
	eventually(t, "nginx has loaded the file", func() bool { return len(e.observe(e.a).Up) == 1 })
	e.known = e.observe(e.a).SHA256 // as accept takes it
	for range 2 {
		message := e.adopting(e.a)
		e.says(message, ": delete `upstream tomcat {", "write `proxy_pass http://shop_production;`")
		if strings.Contains(e.include(), "# mine") || !e.listed(e.a) {
			t.Fatalf("the file is\n%s", e.include())
		}
		e.serves(e.a)
	}
	e.releasedByHand()
	e.obey(e.adopting(e.b))
	step := e.step(e.b)
	step.First = true
	if err := e.driver.Route(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	e.known = e.observe(e.b).SHA256
	e.serves(e.b)
	e.route(e.a)
	e.serves(e.a)
}

// releasedByHand moves the team's requests from blue to green as the team did it so far.
func (e team) releasedByHand() {
	e.t.Helper()
	path := e.server.Dir + "/nginx.conf"
	b, err := os.ReadFile(path)
	if err != nil {
		e.t.Fatal(err)
	}
	was := "server " + e.a + ";\n        server " + e.b + " down;"
	now := "server " + e.a + " down;\n        server " + e.b + ";"
	if !strings.Contains(string(b), was) {
		e.t.Fatalf("%s has no %q", path, was)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), was, now, 1)), 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.server.Reload()
	eventually(e.t, "green answers", func() bool { got, err := post(e.server.URL); return err == nil && got == e.b })
}
