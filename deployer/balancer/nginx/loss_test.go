package nginx_test

import (
	"strings"
	"testing"
)

func TestWhatATeamsUpstreamHadBesideTheTargetsIsNamed(t *testing.T) {
	e := newTeam(t, `    upstream shop {
        server {blue} max_conns=50 max_fails=3 weight=1;
        server {green} max_conns=50 down;
        server 127.0.0.2:9 weight=7;
        server 127.0.0.3:9 down;
        server 127.0.0.4:9 backup;
    }
    server {
        listen {front};
        location / {
            proxy_pass http://shop;
        }
    }
`, nil)
	message := e.refusal()
	first := e.line("nginx.conf", "upstream shop {")
	block := e.at("nginx.conf", first, first+6)
	e.says(message, block+": 127.0.0.2:9 would get no more requests: add it to the hosts first, or leave it out knowingly",
		block+": to keep `max_conns=50 max_fails=3` list it under server_params of balancer.nginx")
	e.obey(message)
	e.route(e.a)
	e.serves(e.a)
}

func TestARefusalSaysWhatToWriteBeforeAnythingElse(t *testing.T) {
	e := newTeam(t, teamsOwn, nil)
	message := e.refusal()
	edit, rest := strings.Index(message, "write `proxy_pass"), strings.Index(message, strings.Join(e.server.TestArgv(), " "))
	if edit < 0 || edit > 1000 || rest < edit {
		t.Errorf("the edit is at %d, the test at %d of\n%s", edit, rest, message)
	}
}
