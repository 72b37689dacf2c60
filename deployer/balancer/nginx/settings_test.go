package nginx

import (
	"encoding/json"
	"strings"
	"testing"

	"ipublish/deploy"
)

func open(t *testing.T, section string) error {
	t.Helper()
	_, err := New(json.RawMessage(section), deploy.Target{App: "shop", Env: "production"}, nil)
	return err
}

func TestASectionNeedsOnlyUpstreamAndInclude(t *testing.T) {
	section := json.RawMessage(`{"upstream":"shop","include":"/etc/nginx/ipublish/shop.conf"}`)
	s, err := readSettings(section)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.check(deploy.Target{}); err != nil {
		t.Fatal(err)
	}
	if s.Host != "local" || s.ServerParams != "weight=1 max_fails=0" || s.GenerationListen != "127.0.0.1:8091" || s.PID != "/run/nginx.pid" ||
		strings.Join(s.Test, " ") != "nginx -t" || strings.Join(s.Reload, " ") != "nginx -s reload" || s.ReloadTimeout.String() != "10s" {
		t.Errorf("the defaults are %+v", s)
	}
	if got := strings.Join(s.dumpArgv(), " "); got != "nginx -T" {
		t.Errorf("the files are asked by %q", got)
	}
}

func TestASectionThatCannotBeRightIsRefusedWithWhatToWrite(t *testing.T) {
	for change, says := range map[string]string{
		`"upstream":""`:    "shop_production",
		`"upstream":"a b"`: "letters",
		`"upstream":"a;}"`: "letters",
		`"upstream":".a"`:  "letters",
		`"upstream":"` + strings.Repeat("a", longestUpstream+1) + `"`: "letters",
		`"include":"shop.conf"`:                   "absolute",
		`"include":"/etc/../x.conf"`:              "absolute",
		`"include":"/etc/nginx/.x.conf"`:          "dot",
		`"include":"/etc/nginx/x\n.conf"`:         "absolute",
		`"pid":"nginx.pid"`:                       "absolute",
		`"generation_listen":"0.0.0.0:8091"`:      "loopback",
		`"generation_listen":"10.0.0.1:8091"`:     "loopback",
		`"generation_listen":"127.0.0.1"`:         "loopback",
		`"server_params":"weight=1 down"`:         "down",
		`"server_params":"backup"`:                "backup",
		`"server_params":"weight=1;"`:             "server_params",
		`"server_params":"weight=1  max_fails=0"`: "one space",
		`"server_params":"weight=1\nx"`:           "server_params",
		`"extra":["keepalive 32;"]`:               "extra",
		`"extra":["keepalive 32 }"]`:              "extra",
		`"extra":["keepalive 32 # x"]`:            "extra",
		`"extra":["a\nb"]`:                        "extra",
		`"extra":["server 10.0.0.1:80"]`:          "past ipublish",
		`"extra":["include /etc/x"]`:              "past ipublish",
		`"test":["nginx"]`:                        "-t",
		`"test":["nginx","","-t"]`:                "words",
		`"reload":["nginx\n"]`:                    "words",
		`"reload_timeout":5`:                      "",
		`"reload_timeout":"-5s"`:                  "negative",
		`"up_stream":"x"`:                         "the keys of balancer.nginx are",
		`"host":["x"]`:                            "the keys of balancer.nginx are",
		`"extra":["keepalive \"32\""]`:            "extra",
		`"extra":["hash $remote_addr`:             "",
	} {
		err := open(t, `{"upstream":"shop","include":"/etc/nginx/ipublish/shop.conf",`+change+`}`)
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), says) {
			t.Errorf("%s: %v, want code invalid and %q", change, err, says)
		}
	}
}

func TestOrdinaryUpstreamDirectivesAreTaken(t *testing.T) {
	err := open(t, `{"upstream":"shop.a-b_1","include":"/x/y.conf","server_params":"weight=1 max_fails=0 fail_timeout=5s resolve",
		"extra":["keepalive 32","least_conn","hash $remote_addr$uri consistent","keepalive_timeout 60s","zone shop 64k"],
		"generation_listen":"[::1]:8091","test":["sudo","-n","nginx","-t","-q"],"reload_timeout":"3s"}`)
	if err != nil {
		t.Error(err)
	}
	if err := open(t, `{"upstream":"`+strings.Repeat("a", longestUpstream)+`","include":"/x/y.conf"}`); err != nil {
		t.Error(err)
	}
}

func TestOnlyHostAndPortAreAnAddress(t *testing.T) {
	for _, good := range []string{"127.0.0.1:8080", "[::1]:8080", "web-1.internal:1", "localhost:65535", "a_b:80"} {
		if err := checkAddr(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", ":80", "host", "host:", "host:0", "host:65536", "host:080", "host:+80", "host:80 down", "host:80;", "a b:80", "unix:/run/x",
		"[::1%lo]:80", "[::1%lo;]:80", "::1:80", "[host]:80", "300.1.2.3:80", "1.2.3:80", "-a:80", "a.:80", "h\n:80", "host:80\n", "$x:80", "a{b:80", "名:80",
	} {
		if err := checkAddr(bad); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%q passed: %v", bad, err)
		}
	}
}
