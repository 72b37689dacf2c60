package config

import (
	"fmt"
	"strings"
	"testing"
)

// place is one environment of a configuration.
type place struct {
	hosts, balancer string
	blue, green     int
}

func placed(listen string, places ...place) string {
	text := "server: { listen: \"" + listen + "\" }\napps:\n  shop:\n    repository: /srv/git/shop\n    runtime: { command: {} }\n    environments:\n"
	for i, p := range places {
		text += fmt.Sprintf("      e%d:\n        hosts: [%s]\n        strategy: { blue_green: { slots: { blue: %d, green: %d } } }\n        balancer: { %s }\n", i, p.hosts, p.blue, p.green, p.balancer)
	}
	return text
}

func proxyOn(listen string) string { return `proxy: { listen: "` + listen + `" }` }

func TestWhatOnlyOneCanHaveIsRefusedToTheSecond(t *testing.T) {
	const server = "127.0.0.1:8090"
	first := place{"local", proxyOn("127.0.0.1:8000"), 8080, 8081}
	nginx := place{"local", "nginx: { upstream: a, include: /etc/a.conf }", 8080, 8081}
	for name, c := range map[string]struct{ text, says string }{
		"a slot and a slot":              {placed(server, first, place{"local", proxyOn("127.0.0.1:8001"), 8082, 8080}), "port 8080 on this machine belongs to slot blue of shop/e0 already"},
		"another name for this machine":  {placed(server, first, place{"{ name: here }", proxyOn("127.0.0.1:8001"), 8080, 8083}), "port 8080 on this machine"},
		"two hosts that are one":         {placed(server, place{"local, { name: here }", proxyOn("127.0.0.1:8000"), 8080, 8081}), "port 8080 on this machine belongs to slot blue of shop/e0"},
		"one machine by ssh":             {placed(server, place{"{ name: a, ssh: me@web-1 }", proxyOn("127.0.0.1:8000"), 8080, 8081}, place{"{ name: b, ssh: ssh://you@WEB-1:22 }", proxyOn("127.0.0.1:8001"), 8080, 8083}), "port 8080 on web-1:22"},
		"a slot and a proxy":             {placed(server, first, place{"local", proxyOn("0.0.0.0:8080"), 8082, 8083}), "port 8080 on this machine"},
		"a proxy on all and one on one":  {placed(server, first, place{"local", proxyOn("0.0.0.0:8000"), 8082, 8083}), "port 8000 on this machine belongs to the proxy of shop/e0"},
		"the server and a slot":          {placed("127.0.0.1:8080", first), "belongs to server.listen already"},
		"the server and a proxy":         {placed(":8000", first), "belongs to server.listen already"},
		"an include":                     {placed(server, nginx, place{"local", "nginx: { upstream: b, include: /etc/a.conf }", 8082, 8083}), "/etc/a.conf on this machine belongs to shop/e0"},
		"nginx's answer and a slot":      {placed(server, nginx, place{"local", proxyOn("127.0.0.1:8000"), 8082, 8091}), "port 8091 on this machine belongs to nginx of shop/e0"},
		"one answer of one nginx":        {placed(server, nginx, place{"local", "nginx: { upstream: b, include: /etc/b.conf }", 8082, 8083}), ""},
		"one include of two nginx":       {placed(server, nginx, place{"{ name: lb, ssh: me@lb }", "nginx: { host: lb, upstream: a, include: /etc/a.conf }", 8080, 8081}), ""},
		"one port of two machines":       {placed(server, first, place{"{ name: web, ssh: me@web-1 }", proxyOn("127.0.0.1:8001"), 8080, 8081}), ""},
		"one port of two addresses":      {placed(server, first, place{"local", proxyOn("127.0.0.2:8000"), 8082, 8083}), ""},
		"one port of two ssh endpoints":  {placed(server, place{"{ name: a, ssh: \"me@nat:2201\" }", proxyOn("127.0.0.1:8000"), 8080, 8081}, place{"{ name: b, ssh: \"me@nat:2202\" }", proxyOn("127.0.0.1:8001"), 8080, 8081}), ""},
		"the place of the second's port": {placed(server, first, place{"local", proxyOn("127.0.0.1:8000"), 8082, 8083}), ":14:30: apps.shop.environments.e1.balancer.proxy.listen"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(written(t, c.text), open{})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q\n%s", err, c.says, c.text)
			}
		})
	}
}
