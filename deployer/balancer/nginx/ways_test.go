package nginx_test

import (
	"strings"
	"testing"
)

func TestWhereAVariableLeadsIsToldByItsValues(t *testing.T) {
	const ours = "    include {dir}/ipublish/*.conf;\n"
	tests := map[string]struct {
		http string
		says []string // empty: no obstacle
	}{
		"a port by a map": {
			http: "    map $host $port { default {bluePort}; }\n    server { listen {front}; location / {\n proxy_pass http://127.0.0.1:$port$request_uri;\n } }\n",
			says: []string{": in place of `proxy_pass http://127.0.0.1:$port$request_uri;` write `proxy_pass http://shop_production;`"},
		},
		"a port by a set, in braces, with a path": {
			http: "    server { listen {front}; set $port {bluePort}; location / {\n proxy_pass http://127.0.0.1:${port}/x;\n } }\n",
			says: []string{": in place of `proxy_pass http://127.0.0.1:${port}/x;` write `proxy_pass http://shop_production/x;`"},
		},
		"a whole address out of two": {
			http: "    map $host $port { default {bluePort}; }\n    server { listen {front}; set $to http://127.0.0.1:$port; location / {\n proxy_pass $to;\n } }\n",
			says: []string{": in place of `proxy_pass $to;` write `proxy_pass http://shop_production;`"},
		},
		"a port of others too": {
			http: "    map $host $port { default 9; a {bluePort}; }\n    server { listen {front}; location / { proxy_pass http://127.0.0.1:$port; } }\n",
			says: []string{": `proxy_pass http://127.0.0.1:$port;` reaches {blue} past ipublish, and other servers: give shop a location with `proxy_pass http://shop_production;`"},
		},
		"a header": {
			http: "    server { listen {front}; location / { proxy_pass http://$http_x_backend; } }\n",
			says: []string{": where `proxy_pass http://$http_x_backend;` leads cannot be told: if that is the location of shop, write `proxy_pass http://shop_production;` there"},
		},
		"only another server": {
			http: "    map $host $other { default 127.0.0.1:9; }\n    server { listen {front}; location / { proxy_pass http://$other; } }\n",
			says: []string{": if that is the location of shop, write `proxy_pass http://shop_production;` in place of `proxy_pass http://$other;`"},
		},
		"ipublish's upstream, among others": {
			http: "    map $host $to { default 127.0.0.1:9; $to $to; a Shop_Production; }\n    server { listen {front}; location / { proxy_pass http://$to$request_uri; } }\n",
		},
		"a header beside what is ipublish's": {
			http: "    server { listen {front}; location / { proxy_pass http://shop_production$request_uri; } location /x { proxy_pass http://$http_x_backend; } }\n",
		},
		"an address of a target that no pass goes by": {
			http: "    map $host $said { default {blue}; }\n    server { listen {front}; location / { proxy_pass http://shop_production; } location /x { proxy_pass http://$http_x_backend; } }\n",
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			e := newTeam(t, ours+c.http, map[string]string{"ipublish/first.conf": "upstream shop_production { server {blue}; }\n"})
			e.server.Write("ipublish/first.conf", "") // nginx has loaded it
			if len(c.says) == 0 {
				e.route(e.a)
				return
			}
			message := e.refusal()
			e.says(message, e.at("nginx.conf", e.line("nginx.conf", "proxy_pass")))
			for _, part := range c.says {
				e.says(message, strings.ReplaceAll(part, "{blue}", e.a))
			}
		})
	}
}
