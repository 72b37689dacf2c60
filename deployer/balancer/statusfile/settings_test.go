package statusfile_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/statusfile"
)

func section(t *testing.T, over map[string]any) json.RawMessage {
	t.Helper()
	keys := map[string]any{
		"path": "/usr/java/tomcat/status/nginx-status.html", "url": "http://127.0.0.1:80/nginx-status.html",
		"check_interval": "2s", "check_timeout": "5s", "healthy_threshold": 2, "unhealthy_threshold": 2, "margin": "2s",
	}
	maps.Copy(keys, over)
	maps.DeleteFunc(keys, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noHost(string) (deployer.Host, error) {
	return nil, &deploy.Error{Code: deploy.CodeNotFound, Message: "no host is opened here"}
}

func TestASectionThatIsRightIsTaken(t *testing.T) {
	haproxy := func(keys map[string]any) map[string]any {
		return map[string]any{"haproxy": keys}
	}
	for name, over := range map[string]map[string]any{
		"as in the manual":    {},
		"without a margin":    {"margin": nil},
		"no margin":           {"margin": "0s"},
		"an empty file":       {"content": ""},
		"several statuses":    {"expect_status": []int{200, 204}},
		"https by a name":     {"url": "https://status.example.com/s?x=1"},
		"an IPv6 address":     {"url": "http://[::1]:8080/"},
		"placeholders":        {"path": "/srv/{host}/{port}/s.html", "url": "http://{address}:{port}/s.html"},
		"haproxy, one socket": {"observe": haproxy(map[string]any{"socket": "/run/h.sock", "backend": "be"})},
		"haproxy, no intervals": {
			"check_interval": nil, "check_timeout": nil, "healthy_threshold": nil, "unhealthy_threshold": nil, "margin": nil,
			"observe": haproxy(map[string]any{"host": "lb-1", "sockets": []string{"/run/a.sock", "/run/b.sock"}, "backend": "be"}),
		},
	} {
		if _, err := statusfile.New(section(t, over), noHost); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASectionThatCannotBeRightIsRefusedWithWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		over map[string]any
		says string
	}{
		"an unknown key":          {map[string]any{"interval": "2s"}, "the keys of balancer.statusfile are path, url,"},
		"no path":                 {map[string]any{"path": nil}, "give the absolute path"},
		"a relative path":         {map[string]any{"path": "status.html"}, "give the absolute path"},
		"a path upwards":          {map[string]any{"path": "/srv/../etc/passwd"}, "without . and .."},
		"a folder":                {map[string]any{"path": "/srv/status/"}, "give the absolute path"},
		"a line break":            {map[string]any{"path": "/srv/a\nb"}, "give the absolute path"},
		"the name of a kept file": {map[string]any{"path": "/srv/status.ipublish"}, "give the absolute path"},
		"no url":                  {map[string]any{"url": nil}, "such as http://127.0.0.1:80/nginx-status.html"},
		"no scheme":               {map[string]any{"url": "127.0.0.1:80/x"}, "url \"127.0.0.1:80/x\""},
		"another scheme":          {map[string]any{"url": "ftp://127.0.0.1/x"}, "such as http://"},
		"no host":                 {map[string]any{"url": "http:///x"}, "such as http://"},
		"a password":              {map[string]any{"url": "http://a:b@127.0.0.1/x"}, "such as http://"},
		"no port":                 {map[string]any{"url": "http://127.0.0.1:99999/x"}, "such as http://"},
		"no interval":             {map[string]any{"check_interval": nil}, "check_interval is missing: give the time between two checks"},
		"an interval of nothing":  {map[string]any{"check_interval": "0s"}, "check_interval is missing"},
		"no unit":                 {map[string]any{"check_interval": "2"}, "such as 30s"},
		"no timeout":              {map[string]any{"check_timeout": nil}, "check_timeout is missing"},
		"two hours":               {map[string]any{"check_interval": "2h"}, "at most 1h"},
		"no threshold":            {map[string]any{"unhealthy_threshold": nil}, "unhealthy_threshold 0: give how many checks in a row must fail"},
		"a negative threshold":    {map[string]any{"healthy_threshold": -1}, "healthy_threshold -1: give how many checks in a row must pass"},
		"a huge threshold":        {map[string]any{"healthy_threshold": 1_000_000}, "from 1 to 1000"},
		"a wait that is too short": {map[string]any{"margin": "-1s"},
			"check_interval 2s × unhealthy_threshold 2 -1s = 3s, shorter than the 4s that the balancer itself needs"},
		"a margin without a unit": {map[string]any{"margin": "2"}, "give a duration with a unit"},
		"a status that is none":   {map[string]any{"expect_status": []int{20}}, "expect_status 20"},
		"a long content":          {map[string]any{"content": strings.Repeat("x", 5000)}, "at most 4096 bytes"},
		"haproxy without socket":  {map[string]any{"observe": map[string]any{"haproxy": map[string]any{"backend": "be"}}}, "has no socket"},
		"haproxy's relative path": {map[string]any{"observe": map[string]any{"haproxy": map[string]any{"backend": "be", "socket": "h.sock"}}}, "give the absolute path of a stats socket"},
		"haproxy without backend": {map[string]any{"observe": map[string]any{"haproxy": map[string]any{"socket": "/h.sock"}}}, "give the name of the backend"},
		"another observer":        {map[string]any{"observe": map[string]any{"envoy": map[string]any{}}}, "the keys of balancer.statusfile are"},
	} {
		_, err := statusfile.New(section(t, c.over), noHost)
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), c.says) {
			t.Errorf("%s: %v (code %q), want %q in it", name, err, deploy.CodeOf(err), c.says)
		}
	}
}

func TestAPlaceholderCannotLeadOutOfItsFolder(t *testing.T) {
	b, err := statusfile.New(section(t, map[string]any{"path": "/srv/{host}/s.html"}), noHost)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Route(t.Context(), deploy.Step{Op: deploy.OpOut, Targets: []deploy.Endpoint{{Host: "../../etc", Addr: "127.0.0.1:80"}}})
	if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "/srv/../../etc/s.html") {
		t.Errorf("%v", err)
	}
}
