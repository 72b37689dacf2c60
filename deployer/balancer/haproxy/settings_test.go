package haproxy_test

import (
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxy"
)

func TestASectionThatCannotBeRightIsRefusedWithWhatToWrite(t *testing.T) {
	here := func(string) (deployer.Host, error) { return localHost(t), nil }
	for section, says := range map[string]string{
		`{"socket":"/x"}`:               "sockets",
		`{"sockets":"/x"}`:              "sockets",
		`{"sockets":["run/x"]}`:         "/run/haproxy/admin.sock",
		`{"sockets":["/x","/x"]}`:       "twice",
		`{"sockets":["/x\n/y"]}`:        "absolute path",
		`{"backend":"be; show info"}`:   "haproxy.cfg",
		`{"backend":"a/b"}`:             "haproxy.cfg",
		`{"state_file":"server-state"}`: "server-state-file",
		`{"state_file":"/a/../b"}`:      "server-state-file",
	} {
		_, err := haproxy.New([]byte(section), here)
		refused(t, err, deploy.CodeInvalid, says)
	}
	for _, section := range []string{``, `{}`, `{"host":"lb-1","sockets":["/run/a","/run/b"],"backend":"be_1.x","state_file":"/var/lib/haproxy/server-state"}`} {
		if _, err := haproxy.New([]byte(section), here); err != nil {
			t.Errorf("%s: %v", section, err)
		}
	}
}
