package config

import (
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestARangeStandsForAllOfItsHosts(t *testing.T) {
	for written, want := range map[string]string{
		`"ssh://deploy@10.0.0.[11-13]"`:                                            "10.0.0.11 10.0.0.12 10.0.0.13",
		`"ssh://deploy@10.0.0.[9-11]:2222"`:                                        "10.0.0.9 10.0.0.10 10.0.0.11",
		`"deploy@web-[08-10].internal"`:                                            "web-08.internal web-09.internal web-10.internal",
		`"deploy@web-[01-02]", "deploy@db-[1-1]", local`:                           "web-01 web-02 db-1 local",
		`{ name: "web-[01-03]", ssh: "deploy@10.0.0.[11-13]", become: [sudo, -n]}`: "web-01 web-02 web-03",
		`"ssh://deploy@[2001:db8::1]:22"`:                                          "",
	} {
		text := fleet(written, "port: 9001")
		if want == "" {
			refused(t, text, "2001:db8::1") // it needs a name, as before
			continue
		}
		var got []string
		for _, h := range loaded(t, text).Apps[0].Environments[0].Hosts {
			got = append(got, string(h.ID))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s stands for %v, want %s", written, got, want)
		}
	}
}

func TestARangeInABlockListNeedsNoQuotes(t *testing.T) {
	text := strings.Replace(fleet("", "port: 9001"), "[]", "\n          - ssh://deploy@10.0.0.[11-20]\n          - web-[01-20].internal", 1)
	hosts := loaded(t, text).Apps[0].Environments[0].Hosts
	if len(hosts) != 30 || hosts[9].ID != "10.0.0.20" || hosts[29].ID != "web-20.internal" || hosts[29].Address != "web-20.internal" {
		t.Errorf("%d hosts: %+v", len(hosts), hosts)
	}
}

func TestTheRangesOfAnEntryGoTogether(t *testing.T) {
	text := fleet(`{ name: "web-[01-20]", ssh: "deploy@10.0.0.[11-30]:22", address: "192.168.1.[101-120]", labels: { haproxy: "be/web-[1-20]", rack: a } }`, "port: 9001")
	hosts := loaded(t, text).Apps[0].Environments[0].Hosts
	last := hosts[19]
	if len(hosts) != 20 || last.ID != "web-20" || last.Address != "192.168.1.120" || last.Labels["haproxy"] != "be/web-20" || last.Labels["rack"] != "a" {
		t.Errorf("%+v", last)
	}
	if first := hosts[0]; first.Labels["haproxy"] != "be/web-1" || string(first.Driver.Settings) != `{"address":"deploy@10.0.0.11:22"}` {
		t.Errorf("%+v %s", first, first.Driver.Settings)
	}
}

func TestARangeThatIsNoneIsRefusedWithWhatItStandsFor(t *testing.T) {
	for hosts, says := range map[string][]string{
		`local, "deploy@web-[20-1]"`:                                     {"entry 2: deploy@web-[20-1] counts backwards: write [1-20]"},
		`"deploy@web-[1-1001]"`:                                          {"stands for 1001 hosts", "1000 at most"},
		`"deploy@web-[1-2]-[1-2]"`:                                       {"more than one range"},
		`"deploy@web-[a-c]"`:                                             {"is not ssh://user@host:port", "web-[01-20]"},
		`"deploy@web-[1-2"`:                                              {"is not ssh://user@host:port"},
		`{ name: web, ssh: "deploy@web-[1-3]" }`:                         {"entry 1, deploy@web-[1-3] (3: deploy@web-1 to deploy@web-3), has several hosts with the name web", "`name`"},
		`{ name: "w-[1-2]", ssh: "deploy@web-[1-3]" }`:                   {"deploy@web-[1-3] (3: deploy@web-1 to deploy@web-3) and w-[1-2] (2: w-1 to w-2) are not of the same length"},
		`"deploy@web-2", "deploy@web-[1-3]"`:                             {"two hosts have the same name web-2: entry 1, and one of entry 2, deploy@web-[1-3] (3: deploy@web-1 to deploy@web-3)"},
		`{ name: a, ssh: deploy@web-1 }, { name: a, ssh: deploy@web-2 }`: {"two hosts have the same name a, entries 1 and 2: give each its own `name`"},
	} {
		t.Run(hosts, func(t *testing.T) { refused(t, fleet(hosts, "port: 9001"), says...) })
	}
}

func TestAThousandHostsOfManyAppsAreRead(t *testing.T) {
	text := strings.Replace(fleet(`"deploy@web-[0001-1000]"`, "port: 9001, max_parallel: 50"), "apps:\n", "", 1)
	all := "apps:\n"
	for i := range 4 {
		one := strings.NewReplacer("  api:", fmt.Sprintf("  api%d:", i), "9001", fmt.Sprint(9001+i), "status.html", fmt.Sprintf("status%d.html", i)).Replace(text)
		all += one
	}
	c := loaded(t, all)
	if e := c.Apps[3].Environments[0]; len(e.Hosts) != 1000 || e.Hosts[999].ID != "web-1000" || e.Rolling.MinHealthy != 950 {
		t.Errorf("%d hosts, %+v", len(e.Hosts), e.Rolling)
	}
	refused(t, strings.Replace(all, "9004", "9003", 1), "port 9003 on web-0001:22 belongs to api2/production already")
}

func TestRollingEnvironmentsShareNeitherPortNorStatusFileOnAHost(t *testing.T) {
	two := func(host, port, path string) string {
		text := fleet("deploy@web-1", "port: 9001")
		second := strings.NewReplacer("apps:\n", "", "  api:", "  shop:", "deploy@web-1", host, "9001", port, "/usr/java/status.html", path).Replace(text)
		return text + second
	}
	loaded(t, two("deploy@web-1", "9002", "/usr/java/shop.html"))
	loaded(t, two("deploy@web-2", "9001", "/usr/java/status.html"))
	refused(t, two("ssh://me@web-1:22", "9001", "/usr/java/shop.html"), "apps.shop.environments.production.strategy.rolling.port", "port 9001 on web-1:22 belongs to api/production already")
	refused(t, two("deploy@web-1", "9002", "/usr/java/status.html"), "apps.shop.environments.production.balancer.statusfile.path", "/usr/java/status.html on web-1:22 belongs to api/production already")
	refused(t, two(`{ name: x, ssh: "deploy@gw:2201", address: web-1 }`, "9001", "/usr/java/shop.html"), "port 9001 on gw:2201, which is web-1:22 by its address web-1, belongs to")
	named := strings.NewReplacer("/usr/java/status.html", `"/usr/java/{host}-{port}.html"`)
	loaded(t, named.Replace(two("deploy@web-1", "9002", "/usr/java/status.html")))
	refused(t, named.Replace(two("deploy@web-1", "9002", "/usr/java/web-1-9001.html")), "/usr/java/web-1-9001.html on web-1:22")
}

func TestHostsOfARollingEnvironmentHaveAnAddressEach(t *testing.T) {
	hosts := `{ name: a, ssh: "deploy@nat:2201" }, { name: b, ssh: "deploy@nat:2202"%s }`
	refused(t, fleet(fmt.Sprintf(hosts, ""), "port: 9001"), "a and b have the same address nat", "`address`")
	loaded(t, fleet(fmt.Sprintf(hosts, ", address: 10.0.0.2"), "port: 9001"))
}

func TestHostsAreOneMachineByTheirWayOrTheirAddress(t *testing.T) {
	host := func(text string) deploy.Host {
		return loaded(t, fleet(text, "port: 9001")).Apps[0].Environments[0].Hosts[0]
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"deploy@web-1", "ssh://me@WEB-1:22", true},
		{"deploy@web-1", "deploy@web-2", false},
		{`"deploy@nat:2201"`, `"deploy@nat:2202"`, false},
		{`{ name: a, ssh: "deploy@nat:2201", address: 10.0.0.1 }`, `{ name: b, ssh: "deploy@nat:2202", address: 10.0.0.1 }`, true},
		{`{ name: a, ssh: "deploy@nat:2201", address: 10.0.0.1 }`, "deploy@10.0.0.1", true},
		{"{ name: here, address: 10.0.0.5 }", "deploy@10.0.0.5", true},
		{"local", "{ name: here, address: 10.0.0.5 }", true},
		{`{ name: a, ssh: "deploy@127.0.0.1:2201", address: 127.0.0.11 }`, `{ name: b, ssh: "deploy@127.0.0.1:2202", address: 127.0.0.11 }`, false},
		{"{ name: a, ssh: deploy@10.0.0.1, proxy_jump: east }", "{ name: b, ssh: deploy@10.0.0.1, proxy_jump: west }", false},
	} {
		a, b := machineOf(host(c.a)), machineOf(host(c.b))
		if a.is(b) != c.same || b.is(a) != c.same {
			t.Errorf("%s and %s: one machine is %t, want %t", c.a, c.b, a.is(b), c.same)
		}
	}
}
