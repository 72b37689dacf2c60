package nginx

import (
	"strings"
	"testing"
)

func TestConnectionsThatStreamPassesToATargetAreAnObstacle(t *testing.T) {
	const served = "http {\n include /i;\n server { location / { proxy_pass http://shop; } }\n}\n"
	tests := map[string]struct {
		stream, file string
		says         string // empty: no obstacle
	}{
		"straight":                      {"server { listen 80; proxy_pass 127.0.0.1:8080; }", "", "/n:6: `proxy_pass 127.0.0.1:8080;` in stream sends connections past ipublish: move it into http as `proxy_pass http://shop;`, or give the slots of app other ports"},
		"by an upstream of its own":     {"upstream shop { server 127.0.0.1:8081; } server { listen 80; proxy_pass shop; }", "", "`proxy_pass shop;` in stream"},
		"by a variable":                 {"map $ssl_preread_server_name $to { default 127.0.0.1:8080; } server { proxy_pass $to; }", "", "`proxy_pass $to;` in stream"},
		"in a file of its own":          {"include /s;", "server { proxy_pass localhost:8080; }", "/s:1: `proxy_pass localhost:8080;` in stream"},
		"elsewhere":                     {"upstream db { server 127.0.0.1:5432; } server { listen 1; proxy_pass db; }", "", ""},
		"to an upstream of http's name": {"upstream shop { server 127.0.0.1:1; } server { proxy_pass shop; }", "", ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			files := "# configuration file /n:\n" + served + "stream {\n" + c.stream + "\n}\n\n# configuration file /i:\nupstream shop { server 127.0.0.1:8080; }\n"
			if c.file != "" {
				files += "\n# configuration file /s:\n" + c.file + "\n"
			}
			v := newSurvey(settings{Upstream: "shop", Include: "/i"}, parseDump([]byte(files)), file{})
			got := advise(v.obstacles([]string{"127.0.0.1:8080", "127.0.0.1:8081"}, places{}), "app")
			if c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}
