package nginx_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"ipublish/deploy"
)

const teamsOwn = `    # upstream shop_production { server 127.0.0.1:1; } was the first attempt
    upstream tomcat {
        server {blue};
        server {green} down;
        keepalive 32;
    }
    log_format odd '{ "upstream": "$upstream_addr" } # {';
    server {
        listen {front};
        location / {
            proxy_pass http://tomcat;
            proxy_http_version 1.1;
            proxy_set_header Connection "";{headers}        }
    }
`

func TestATeamsOwnNginxIsTakenOverWithoutAFailedRequest(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	client := load(t, e.server.URL, 4)
	e.serves(e.a)
	before := e.observe(e.a)
	if before.Up != nil || before.File != e.server.Include || before.SHA256 != "" || before.Edited {
		t.Errorf("before anything of ipublish exists: %+v", before)
	}

	message := e.refusal()
	block, pass := e.line("nginx.conf", "upstream tomcat {"), e.line("nginx.conf", "proxy_pass http://tomcat;")
	e.says(message,
		e.at("nginx.conf", block, block+4)+": in place of `upstream tomcat { server "+e.a+"; server "+e.b+" down; keepalive 32; }` write `include "+e.server.Include+";`",
		"to keep `keepalive 32` list it under extra",
		e.at("nginx.conf", pass)+": in place of `proxy_pass http://tomcat;` write `proxy_pass http://shop_production;`",
		e.server.Include+" is written and ready", "adopt shop production", strings.Join(e.server.TestArgv(), " "))
	e.serves(e.a)
	if e.include() == "" || len(e.leftovers()) != 0 {
		t.Errorf("the file is %q, beside it %v", e.include(), e.leftovers())
	}
	laid := e.observe(e.a)
	if laid.Up != nil || laid.Generation != "" || laid.Edited || laid.SHA256 == "" {
		t.Errorf("with the file written and unused: %+v", laid)
	}
	if again := e.refusal(); again != message {
		t.Errorf("the second time it says\n%s", again)
	}
	if again := deploy.MessageOf(e.foreign()); again != message {
		t.Errorf("check says\n%s", again)
	}

	e.obey(message)
	if err := e.testedBy(e.server.TestArgv()); err != nil {
		t.Fatalf("nginx -t after the edit: %v", err)
	}
	if err := e.foreign(); err != nil {
		t.Errorf("after the edit: %v", err)
	}
	e.route(e.a)
	e.serves(e.a)
	if now := e.observe(e.a); len(now.Up) != 1 || now.Up[0] != e.a || now.SHA256 != laid.SHA256 {
		t.Errorf("adopted: %+v", now)
	}
	e.route(e.b)
	e.serves(e.b)
	eventually(t, "nothing is in flight to "+e.a, func() bool {
		n, told := e.observe(e.b).InFlight[e.a]
		return told && n == 0
	})
	e.stop[e.a]()
	e.serves(e.b)
	requests, failures := client()
	t.Logf("%d requests", requests)
	if len(failures) > 0 || requests == 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(failures), requests, failures)
	}
	for _, line := range strings.Split(strings.TrimSpace(headers), "\n") {
		if e.line("nginx.conf", strings.TrimSpace(line)) == 0 {
			t.Errorf("the team's %q is gone", line)
		}
	}
}

func TestTheTeamMayReloadBetweenTheEditAndTheAdoption(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	message := e.refusal()
	e.server.Reload()
	e.serves(e.a)
	e.obey(message)
	e.server.Reload()
	eventually(t, "the team's reload is through", func() bool { return len(e.observe(e.a).Up) == 1 })
	e.serves(e.a)
	e.route(e.a)
	e.route(e.b)
	e.serves(e.b)
}

func TestAFileThatIsReadAlreadyDoesNotMakeItAdopted(t *testing.T) {
	e := newTeam(t, "    include {dir}/ipublish/*.conf;\n"+teamsOwn, map[string]string{"ipublish/keep.conf": ""})
	message := e.refusal()
	e.says(message, ": delete `upstream tomcat {", e.server.Include+" is written and ready")
	e.server.Reload()
	eventually(t, "nginx has loaded the file", func() bool { return len(e.observe(e.a).Up) == 1 })
	if again := e.refusal(); again != message {
		t.Errorf("with the file loaded it says\n%s", again)
	}
	e.obey(message)
	e.route(e.a)
	e.route(e.b)
	e.serves(e.b)
}

// clashing is an upstream of ipublish's own name, in a file of a folder that
// nginx would read ipublish's file from as well.
const clashing = "# site\r\nupstream \"Shop_Production\" {\r\n  server {blue};\r\n  server {green} down;\r\n}\r\n"

func TestAFileThatNginxWouldReadAtOnceIsNotWrittenBesideAnUpstreamOfItsName(t *testing.T) {
	for _, folder := range []string{"ipublish", "linked"} {
		t.Run(folder, func(t *testing.T) {
			e := newTeam(t, "    include {dir}/conf.d/*.conf;\n    server { listen {front}; location / { proxy_pass http://shop_production; } }\n",
				map[string]string{"conf.d/site.conf": clashing})
			if err := os.Symlink("conf.d", e.server.Dir+"/linked"); err != nil {
				t.Fatal(err)
			}
			include := e.server.Dir + map[string]string{"ipublish": "/conf.d", "linked": "/linked"}[folder] + "/shop_production.conf"
			e.driver = e.open(map[string]any{"include": include})
			message := e.refusal()
			e.says(message, e.at("conf.d/site.conf", 2, 5), include+" is not written yet", "First change", "adopt shop production")
			if _, err := os.Stat(include); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file was left: %v", err)
			}
			if err := e.testedBy(e.server.TestArgv()); err != nil {
				t.Errorf("nginx -t: %v", err)
			}
			e.serves(e.a)
			if err := os.Remove(e.server.Dir + "/conf.d/site.conf"); err != nil {
				t.Fatal(err)
			}
			if err := e.foreign(); err != nil {
				t.Errorf("check, when only the upstream is missing: %v", err)
			}
			e.route(e.a)
			e.route(e.b)
			e.serves(e.b)
		})
	}
}

func TestEveryWayPastIpublishIsNamedWithItsPlace(t *testing.T) {
	const ours = "    include {dir}/ipublish/*.conf;\n    server { listen {front}; location / { proxy_pass http://shop_production; } }\n"
	const mine = "upstream shop_production { server {blue}; }\n"
	tests := map[string]struct {
		http  string
		files map[string]string
		file  string   // where it stands
		mark  string   // on the line that it begins at
		more  int      // further lines
		says  []string // behind the place
	}{
		"an upstream of the name": {
			http:  "    include {dir}/own/*.conf;\n    server { listen {front}; location / { proxy_pass http://shop_production; } }\n",
			files: map[string]string{"own/a.conf": "# upstream shop_production {\n\nupstream  shop_production\n{\n\tserver {blue}; # }\n}\n"},
			file:  "own/a.conf", mark: "upstream  shop", more: 3,
			says: []string{": in place of `upstream shop_production { server {blue}; # } }` write `include {include};`"},
		},
		"straight": {
			http: "    server { listen {front}; location / {\n proxy_pass http://{blue}; } }\n",
			file: "nginx.conf", mark: "proxy_pass http",
			says: []string{": in place of `proxy_pass http://{blue};` write `proxy_pass http://shop_production;`"},
		},
		"straight, by another name of the machine, with a path": {
			http: "    server { listen {front}; location /shop/ {\n proxy_pass \"http://LocalHost:{bluePort}/shop/\"; } }\n",
			file: "nginx.conf", mark: "proxy_pass",
			says: []string{"write `proxy_pass \"http://shop_production/shop/\";`"},
		},
		"straight, by the sixth version": {
			http: "    server { listen {front}; location / {\n proxy_pass http://[::1]:{bluePort}$request_uri; } }\n",
			file: "nginx.conf", mark: "proxy_pass",
			says: []string{"write `proxy_pass http://shop_production$request_uri;`"},
		},
		"an upstream of another name whose servers are a file of their own": {
			http:  ours + "    upstream tomcat {\n include {dir}/servers; }\n    include {dir}/own/*;\n",
			files: map[string]string{"servers": "server localhost:{bluePort};\n", "own/b": "server { listen unix:{dir}/sock;\r\n location /old {\r\n  proxy_pass http://tomcat/x;\r\n}}\r\n", "ipublish/first.conf": mine},
			file:  "own/b", mark: "proxy_pass",
			says: []string{": in place of `proxy_pass http://tomcat/x;` write `proxy_pass http://shop_production/x;`"},
		},
		"by a variable": {
			http:  ours + "    map $host $backend {\n default {green};\n x {blue}; }\n    upstream u { server {blue}; }\n    server { listen unix:{dir}/sock; location / { proxy_pass http://$backend; } }\n",
			files: map[string]string{"ipublish/first.conf": mine},
			file:  "nginx.conf", mark: " default ",
			says: []string{": in place of `default {green};` write `default shop_production;`"},
		},
		"a file that nobody includes": {
			http:  "    include {dir}/own/*;\n    server { listen {front}; location / { proxy_pass http://$host; } }\n",
			files: map[string]string{"own/a.conf": ""},
			file:  "nginx.conf", mark: "http {",
			says: []string{": inside the block `http` that begins there add `include {include};`"},
		},
		"a location of somebody else": {
			http: "    include {dir}/ipublish/*.conf;\n    upstream x { server {green} down; server 127.0.0.1:9; }\n    server { listen {front}; location / {\n proxy_pass http://x; } }\n",
			file: "nginx.conf", mark: "proxy_pass http://x",
			says: []string{": if that is the location of shop, write `proxy_pass http://shop_production;` in place of `proxy_pass http://x;`"},
		},
		"a location without anything": {
			http: "    include {dir}/ipublish/*.conf;\n    server { listen {front};\n location / {\n } }\n",
			file: "nginx.conf", mark: "location /", more: 1,
			says: []string{": if that is the location of shop, write `proxy_pass http://shop_production;` in it"},
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			e := newTeam(t, c.http, c.files)
			_ = os.Remove(e.server.Dir + "/ipublish/first.conf") // nginx has loaded it
			said := e.foreignOrRoute()
			line := e.line(c.file, c.mark)
			place := e.at(c.file, line)
			if c.more > 0 {
				place = e.at(c.file, line, line+c.more)
			}
			words := strings.NewReplacer("{blue}", e.a, "{green}", e.b, "{include}", e.server.Include)
			for _, part := range c.says {
				e.says(said, place)
				e.says(said, words.Replace(part))
			}
		})
	}
}

func TestAnUpstreamWithServersOfOthersStays(t *testing.T) {
	e := newTeam(t, "    upstream pool { server {blue}; server 127.0.0.1:9 backup; }\n    server { listen {front}; location / {\n proxy_pass http://pool;\n } }\n", nil)
	message := e.refusal()
	e.says(message, e.at("nginx.conf", e.line("nginx.conf", "http {"))+": inside the block `http` that begins there add `include")
	if strings.Contains(message, "`upstream pool") {
		t.Errorf("the block is to go: %s", message)
	}
	e.obey(message)
	e.route(e.a)
	e.route(e.b)
	e.serves(e.b)
}

func TestWhatSendsNothingToTheTargetsIsNoObstacle(t *testing.T) {
	e := newTeam(t, `    include {dir}/ipublish/*.conf;
    upstream unused { server {blue}; }
    upstream elsewhere { server 127.0.0.2:9; server {green} down; }
    server { listen {front}; location / { proxy_pass http://shop_production; } }
    server { listen unix:{dir}/sock; location / { proxy_pass http://elsewhere; proxy_redirect http://{blue}/ /; } }
`, map[string]string{"ipublish/first.conf": "upstream shop_production { server {blue}; }\n"})
	if err := os.Remove(e.server.Dir + "/ipublish/first.conf"); err != nil {
		t.Fatal(err)
	}
	e.route(e.a)
	e.route(e.b)
	e.serves(e.b)
	if err := e.foreign(); err != nil {
		t.Error(err)
	}
}

func TestAnotherTableMayBeAdoptedOnceTheFileIsWritten(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	message := e.refusal()
	e.obey(message)
	e.driver = e.open(map[string]any{"extra": []string{"keepalive 32"}})
	e.route(e.a)
	e.serves(e.a)
	if !strings.Contains(e.include(), "keepalive 32;") {
		t.Errorf("the file is\n%s", e.include())
	}
}

func TestAnEditOfTheWrittenFileIsDrift(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	e.refusal()
	edited := e.include() + "# mine\n"
	if err := os.WriteFile(e.server.Include, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	e.refused(e.a, deploy.CodeDrift, "not ipublish's own")
	if e.include() != edited {
		t.Error("the file was written")
	}
	if !e.observe(e.a).Edited {
		t.Error("it does not count as edited")
	}
}

func TestAnAdoptionThatNginxDoesNotTakeLeavesTheFileThatTheTeamsFilesName(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	e.obey(e.refusal())
	was := e.include()
	eventually(t, "no reload is under way", func() bool { return e.observe(e.a).InFlight[e.a] == 0 })
	e.driver = e.open(map[string]any{"reload": []string{"true"}, "reload_timeout": "300ms"})
	e.refused(e.a, deploy.CodeFailed, "did not take the new table", "in force")
	if e.include() != was {
		t.Error("the file changed")
	}
	if err := e.testedBy(e.server.TestArgv()); err != nil {
		t.Errorf("nginx -t: %v", err)
	}
	e.serves(e.a)
	e.driver = e.open(nil)
	e.route(e.a)
	e.serves(e.a)
}

func TestAnAdoptionInterruptedAnywhereConverges(t *testing.T) {
	for _, what := range []string{"put ", "-T", "-s reload"} {
		for nth := range 2 {
			t.Run(fmt.Sprintf("%s %d", what, nth+1), func(t *testing.T) {
				e := newTeam(t, teamsOwn, nil)
				e.interrupted(what, nth)
				message := deploy.MessageOf(e.driver.Route(t.Context(), e.step(e.a)))
				e.obey(message)
				e.interrupted(what, nth)
				e.route(e.a)
				e.route(e.b)
				e.serves(e.b)
			})
		}
	}
}

func TestAnIncludeLineWrittenAheadOfTheFileIsNoFault(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	message := e.refusal()
	e.obey(message)
	if err := os.Remove(e.server.Include); err != nil {
		t.Fatal(err)
	}
	if err := e.foreign(); err != nil {
		t.Errorf("check: %v", err)
	}
	if e.include() != "" {
		t.Error("check wrote the file")
	}
	e.route(e.a)
	e.route(e.b)
	e.serves(e.b)
}

func TestHostileFilesAreReadWithoutHarm(t *testing.T) {
	long := strings.Repeat("x", 3000) // nginx takes no line's part above 4096 bytes
	e := newTeam(t, "    include {dir}/own/*;\n"+teamsOwn, map[string]string{
		"own/a": "# \x1b[31m upstream shop_production { \x00\x07\n# " + long + "\n",
		"own/b": "map $host $y { default '" + long[:1500] + "\x1b[2J`'; \"}{#;\" '{'; }\n",
		"own/c": "server { listen unix:{dir}/sock; location / { proxy_pass 'http://tomcat/\x1b]0;owned\x07`" + long[:1000] + "'; } }\n",
	})
	message := e.refusal()
	if strings.ContainsFunc(message, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(message) > 8<<10 {
		t.Errorf("the message is %q", message)
	}
	e.says(message, e.at("own/c", 1), e.at("nginx.conf", e.line("nginx.conf", "proxy_pass")))
}
