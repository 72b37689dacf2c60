package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// fleet is the configuration of a rolling environment.
func fleet(hosts, rolling string) string {
	return fmt.Sprintf(`apps:
  api:
    repository: https://git.example.com/acme/api.git
    runtime: { script: { start: [/opt/app/bin/startup.sh] } }
    environments:
      production:
        hosts: [%s]
        strategy: { rolling: { %s } }
        balancer: { statusfile: { path: /usr/java/status.html, check_interval: 2s, check_timeout: 5s, unhealthy_threshold: 2, margin: 2s } }
`, hosts, rolling)
}

const (
	ten  = `"ssh://deploy@10.0.0.[11-20]"`
	four = `"ssh://deploy@web-[1-4]"`
)

func rolled(t *testing.T, text string) deploy.Rolling {
	t.Helper()
	e := loaded(t, text).Apps[0].Environments[0]
	if e.Rolling == nil || e.BlueGreen != (deploy.BlueGreen{}) {
		t.Fatalf("the strategy is %+v and %+v", e.Rolling, e.BlueGreen)
	}
	return *e.Rolling
}

func TestARollingStrategyIsReadWithItsDefaults(t *testing.T) {
	second := deploy.Duration(time.Second)
	for _, c := range []struct {
		hosts, rolling string
		want           deploy.Rolling
	}{
		{ten, "port: 9001", deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: 9, OnHostFailure: "revert", UnreachableAfter: 30 * second}},
		{ten, "port: 9001, max_parallel: 3", deploy.Rolling{Port: 9001, MaxParallel: 3, MinHealthy: 7, OnHostFailure: "revert", UnreachableAfter: 30 * second}},
		{`"deploy@web-[1-2]"`, "port: 9001", deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: 1, OnHostFailure: "revert", UnreachableAfter: 30 * second}},
		{"local", "port: 9001", deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: 0, OnHostFailure: "revert", UnreachableAfter: 30 * second}},
		{ten, "port: 9001, max_parallel: 2, min_healthy: 6, batches: [10%, 50%, 100%], bake_time: 1m, on_host_failure: skip, max_failed_hosts: 2, unreachable_after: 1m", deploy.Rolling{
			Port: 9001, MaxParallel: 2, MinHealthy: 6, Batches: []deploy.Share{{Percent: 10}, {Percent: 50}, {Percent: 100}},
			BakeTime: 60 * second, OnHostFailure: "skip", MaxFailedHosts: 2, UnreachableAfter: 60 * second}},
	} {
		if got := rolled(t, fleet(c.hosts, c.rolling)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n got %+v\nwant %+v", c.rolling, got, c.want)
		}
	}
}

func TestMinHealthyInPercentIsRoundedUp(t *testing.T) {
	for written, want := range map[string]int{"80%": 8, `"81%"`: 9, "1%": 1, "0%": 0, "0": 0, `"7"`: 7} {
		if got := rolled(t, fleet(ten, "port: 9001, min_healthy: "+written)).MinHealthy; got != want {
			t.Errorf("%s of ten hosts are %d, want %d", written, got, want)
		}
	}
}

func TestBatchesEndWithAllHostsAndLeaveOutWhatAddsNone(t *testing.T) {
	for written, want := range map[string]string{
		"[10%, 50%, 100%]":     "10% 50% 100%",
		"[10%, 50%]":           "10% 50% 100%",
		"[1, 5, 10]":           "1 5 10",
		"[1, 5]":               "1 5 100%",
		"[1, 30%]":             "1 30% 100%",
		"[11%, 19%, 20%, 99%]": "11% 20% 99% 100%",
		"[1, 10%, 100%]":       "1 100%",
		"[]":                   "",
	} {
		var got []string
		for _, s := range rolled(t, fleet(ten, "port: 9001, batches: "+written)).Batches {
			got = append(got, s.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s becomes %v, want %s", written, got, want)
		}
	}
}

func TestARollingStrategyThatCannotWorkIsRefusedWithWhatToWrite(t *testing.T) {
	for rolling, says := range map[string][]string{
		"max_parallel: 2":                                    {":8:21: ", "rolling.port", "from 1 to 65535", "port: 9001"},
		"port: 70000":                                        {"rolling.port"},
		"port: 9001, max_parallel: 0":                        {"rolling.max_parallel", "at least 1"},
		"port: 9001, max_parallel: 3, min_healthy: 8":        {"3 at a time is more than 10 hosts - min_healthy 8 = 2: write max_parallel: 2, or a lower min_healthy"},
		"port: 9001, max_parallel: 3, min_healthy: 75%":      {"min_healthy 8"},
		"port: 9001, max_parallel: 10":                       {"min_healthy 1 = 9"},
		"port: 9001, min_healthy: 10":                        {"10 of 10 hosts leave none", "at most 9"},
		"port: 9001, min_healthy: 100%":                      {"10 of 10 hosts leave none"},
		"port: 9001, min_healthy: -1":                        {"rolling.min_healthy", `"-1" is no number of hosts`, "80%"},
		"port: 9001, min_healthy: most":                      {`"most" is no number of hosts`},
		"port: 9001, min_healthy: 12.5%":                     {`"12.5%" is no number of hosts`},
		"port: 9001, min_healthy: 120%":                      {"100% at most"},
		"port: 9001, min_healthy: [1]":                       {"a number of hosts is expected, such as 2 or 80%"},
		"port: 9001, batches: [50%, 10%]":                    {"rolling.batches", "10% after 50% is no more", "[10%, 50%, 100%]"},
		"port: 9001, batches: [50%, 50%]":                    {"50% after 50%"},
		"port: 9001, batches: [5, 2]":                        {"2 after 5"},
		"port: 9001, batches: [50%, 2]":                      {"2 after 50%"},
		"port: 9001, batches: [0, 10]":                       {"a batch of 0 has no host"},
		"port: 9001, batches: [0%]":                          {"a batch of 0% has no host"},
		"port: 9001, batches: [1, 11]":                       {"11 are more than the 10 hosts"},
		"port: 9001, batches: [first]":                       {`"first" is no number of hosts`},
		"port: 9001, on_host_failure: ignore":                {"rolling.on_host_failure", "ignore", "revert stop skip"},
		"port: 9001, on_host_failure: skip":                  {"max_failed_hosts: 1", "on_host_failure: stop"},
		"port: 9001, max_failed_hosts: 10":                   {"from 0 to 9"},
		"port: 9001, max_failed_hosts: -1":                   {"from 0 to 9"},
		"port: 9001, unreachable_after: 0s":                  {"rolling.unreachable_after", "more than zero"},
		"port: 9001, unreachable_after: 10m":                 {"progress_deadline: 10m0s must be more than strategy.rolling.unreachable_after (10m0s)"},
		"port: 9001, bake_time: 2s":                          {"rolling.bake_time", "1s × 3 = 3s", "or 0s"},
		"port: 9001, keep_old: 10m":                          {`the key "keep_old" does not belong here: it is one of blue_green`},
		"port: 9001, slots: { blue: 1, green: 2 }":           {`"slots" does not belong here: it is one of blue_green`},
		"port: 9001, max_paralel: 2":                         {`did you mean "max_parallel"?`},
		"port: 9001 }, blue_green: { slots: { blue: 1 } ":    {"blue_green and rolling exclude each other"},
		"port: 9001, batches: [10%], min_healthy: { of: 1 }": {"a number of hosts is expected"},
	} {
		t.Run(rolling, func(t *testing.T) { refused(t, fleet(ten, rolling), says...) })
	}
	refused(t, fleet("local", "port: 9001, min_healthy: 1"), "the only host cannot stay in traffic", "users notice")
	refused(t, fleet("local", "port: 9001, min_healthy: 80%"), "the only host cannot stay in traffic")
	refused(t, with(t, "blue_green: { slots: { blue: 18080, green: 18081 } }", "{}"), "strategy: it is missing", "blue_green: {", "rolling: {")
	refused(t, with(t, "slots: {", "max_parallel: 1, slots: {"), `"max_parallel" does not belong here: it is one of rolling`)
}

func TestTheBalancersOwnTimeHasToFitIntoTheDeadline(t *testing.T) {
	slow := strings.Replace(fleet(ten, "port: 9001"), "check_interval: 2s", "check_interval: 5m", 1)
	refused(t, slow, "progress_deadline", "10m12s")
	loaded(t, strings.Replace(slow, "hosts:", "progress_deadline: 20m\n        hosts:", 1))
	refused(t, strings.Replace(slow, ", margin: 2s", "", 1), "progress_deadline", "15m10s")
	baked := strings.Replace(fleet(ten, "port: 9001, bake_time: 2s"), "hosts:", "verify: { url: \"http://127.0.0.1/\" }\n        hosts:", 1)
	loaded(t, baked)
}

func TestStrategyBalancerAndRuntimeHaveToGoTogether(t *testing.T) {
	blueGreen := func(runtime, balancer string) string {
		return strings.NewReplacer("command: { run: [./server] }", runtime, "proxy: { listen: 127.0.0.1:18000 }", balancer).Replace(whole)
	}
	rolling := func(runtime, balancer string) string {
		return strings.Replace(blueGreen(runtime, balancer), "blue_green: { slots: { blue: 18080, green: 18081 } }", "rolling: { port: 9001 }", 1)
	}
	for _, balancer := range []string{"proxy: {}", "nginx: {}"} {
		loaded(t, blueGreen("command: {}", balancer))
		refused(t, rolling("command: {}", balancer), "switches between two slots of a host", "write one of haproxy, script, slb, statusfile", "blue_green")
	}
	for _, balancer := range []string{"statusfile: {}", "slb: {}", "script: {}"} {
		loaded(t, rolling("script: {}", balancer))
		refused(t, blueGreen("command: {}", balancer), "takes whole hosts out of traffic", "write one of haproxy, nginx, proxy", "rolling: { port: 9001 }")
	}
	for _, runtime := range []string{"command: {}", "tomcat: {}", "systemd: {}"} {
		loaded(t, blueGreen(runtime, "haproxy: {}"))
		loaded(t, rolling(runtime, "haproxy: {}"))
	}
	refused(t, blueGreen("script: {}", "haproxy: {}"), "strategy: the runtime script has one place on a host", "rolling: { port: 9001 }", "command, systemd, tomcat")
	loaded(t, rolling("command: {}", "later: {}"))
}

func TestALabelThatTheBalancerKnowsAHostByIsOfOneHostOnly(t *testing.T) {
	hosts := `{ ssh: deploy@web-1, labels: { haproxy: be/web-1 } }, { ssh: deploy@web-2, labels: { haproxy: %s } }`
	with := func(label, balancer string) string {
		text := fleet(fmt.Sprintf(hosts, label), "port: 9001")
		return text[:strings.Index(text, "statusfile:")] + balancer + " }\n"
	}
	refused(t, with("be/web-1", "haproxy: {}"), "web-1 and web-2 have the same label haproxy: be/web-1")
	refused(t, with("be/web-1", "statusfile: { observe: { haproxy: {} } }"), "web-1 and web-2 have the same label")
	loaded(t, with("be/web-2", "haproxy: {}"))
	loaded(t, with("be/web-1", "script: {}"))
}

func TestTheMachineOfABalancerIsOneThatIpublishGetsTo(t *testing.T) {
	with := func(balancer string) string {
		text := fleet(four, "port: 9001")
		return text[:strings.Index(text, "statusfile:")] + balancer + " }\n"
	}
	for _, ok := range []string{"haproxy: {}", "haproxy: { host: local }", "haproxy: { host: web-3 }", "statusfile: { observe: { haproxy: { host: web-1 } } }"} {
		loaded(t, with(ok))
	}
	refused(t, with("haproxy: { host: lb }"), "balancer.haproxy.host: lb is neither local nor the name of a host", "run ipublish on that machine", "balancer.script")
	refused(t, with("statusfile: { observe: { haproxy: { host: lb } } }"), "balancer.statusfile.observe.haproxy.host: lb is neither")
}

func TestASecretOfADriverIsAReference(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "0123456789abcdef")
	text := fleet(ten, "port: 9001")
	text = text[:strings.Index(text, "statusfile:")] + "slb: { region: cn-hangzhou, access_key_id: LTAI, access_key_secret: %s } }\n"
	refused(t, fmt.Sprintf(text, "hunter22"), "balancer.slb.access_key_secret", "${NAME}")
	loaded(t, fmt.Sprintf(text, "${CONFIG_TEST_SECRET}"))
}
