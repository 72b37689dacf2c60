package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/nginxtest"
)

// yard is a set of hosts, all of them this machine, with a balancer that says
// what it is told to say.
type yard struct {
	*drivers
	seen   deploy.Evidence
	advice map[deploy.HostID]string
}

func (y *yard) Balancer(deploy.Target, deploy.Section, func(string) (deployer.Host, error)) (deployer.Balancer, error) {
	return y, nil
}

// Route implements deployer.Balancer.
func (y *yard) Route(context.Context, deploy.Step) error { return nil }

// Observe implements deployer.Balancer.
func (y *yard) Observe(context.Context, deploy.Step) (deploy.Evidence, error) { return y.seen, nil }

// Advise implements deployer.Adviser. It wants to be asked about one host.
func (y *yard) Advise(_ context.Context, h deployer.Host, s deploy.Step) []string {
	if h == nil || len(s.Hosts) != 1 || len(s.Targets) != 1 || s.Targets[0].Host != s.Hosts[0] {
		return []string{fmt.Sprintf("asked about %v", s.Targets)}
	}
	if text := y.advice[s.Hosts[0]]; text != "" {
		return []string{text}
	}
	return nil
}

// rolling is an environment of n hosts, web-1 to web-n; those in gone answer to nobody.
func rolling(t *testing.T, n int, gone ...int) deploy.Environment {
	t.Helper()
	e := deploy.Environment{
		Name: "production", ReleaseDir: filepath.Join(t.TempDir(), "releases"), Balancer: deploy.Section{Driver: "script"},
		Rolling: &deploy.Rolling{Port: 9001, MaxParallel: 1, MinHealthy: max(n-1, 0), OnHostFailure: deploy.OnFailureRevert},
	}
	dead := closedPort(t)
	for i := 1; i <= n; i++ {
		id := deploy.HostID(fmt.Sprint("web-", i))
		h := deploy.Host{ID: id, Address: fmt.Sprint("10.0.0.", i), Driver: deploy.Section{Driver: "local"}}
		if slices.Contains(gone, i) {
			h.Driver = deploy.Section{Driver: "ssh", Settings: json.RawMessage(`{"address":"me@` + dead + `","ssh_config":"none"}`)}
		}
		e.Hosts = append(e.Hosts, h)
	}
	return e
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// examined checks one environment and gives what was said.
func examined(t *testing.T, d deployer.Drivers, a deploy.App, e deploy.Environment) (*checking, string) {
	t.Helper()
	said := &strings.Builder{}
	k := &checking{m: &Main{Stdout: said}, drivers: d}
	k.environment(t.Context(), a, e)
	return k, said.String()
}

func holds(t *testing.T, said string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(said, line) {
			t.Errorf("check does not say %q:\n%s", line, said)
		}
	}
}

var apiApp = deploy.App{Name: "api", Runtime: deploy.Section{Driver: "command", Settings: json.RawMessage(`{"run":["./server"]}`)}}

func newYard(t *testing.T) *yard {
	t.Helper()
	d := newDrivers("")
	t.Cleanup(func() { _ = d.Close() })
	return &yard{drivers: d, seen: deploy.Evidence{Traffic: &deploy.Traffic{}}, advice: map[deploy.HostID]string{}}
}

func TestAFewHostsGetALineEachAndTheRestIsLookedAtAllTheSame(t *testing.T) {
	e := rolling(t, 4, 2)
	y := newYard(t)
	y.seen = deploy.Evidence{Note: "web-4 answers 500", Traffic: &deploy.Traffic{Up: []string{"10.0.0.1:9001"}, Down: []string{"10.0.0.3:9001"}}}
	y.advice["web-1"], y.advice["web-3"] = "mend the cache of nginx", "mend the cache of nginx"
	y.advice["web-4"] = "its own"
	k, said := examined(t, y, apiApp, e)
	holds(t, said,
		"ok    api/production: host web-1 runs commands and can write "+e.ReleaseDir+" (", " free)",
		"FAIL  api/production: host web-2 runs commands and can write "+e.ReleaseDir+": ",
		"ok    api/production: host web-3 ",
		"ok    api/production: host web-4 ",
		"warn  api/production: web-1, web-3: mend the cache of nginx\n",
		"warn  api/production: web-4: its own\n",
		"ok    api/production: balancer script answers\n",
		"note  api/production: 1 of 4 hosts are in traffic\n",
		"note  api/production: out of traffic: web-3\n",
		"warn  api/production: whether they are in traffic cannot be told: web-4 (web-4 answers 500)\n",
		"warn  api/production: whether they are in traffic cannot be told of hosts that cannot be used: 1\n",
		"warn  api/production: that is less than min_healthy, 3",
	)
	if k.failed != 1 || strings.Count(said, "host web-") != 4 {
		t.Errorf("%d failed, want 1 and a line a host:\n%s", k.failed, said)
	}
}

func TestAdviceThatIsAboutEveryHostNamesNone(t *testing.T) {
	e := rolling(t, 2)
	y := newYard(t)
	y.advice["web-1"], y.advice["web-2"] = "the balancer keeps cookies", "the balancer keeps cookies"
	_, said := examined(t, y, apiApp, e)
	holds(t, said, "warn  api/production: the balancer keeps cookies\n")
}

func TestOfManyHostsOnlyTheBadOnesAreNamed(t *testing.T) {
	e := rolling(t, 30, 7, 29)
	e.Hosts[8].Driver.Settings = json.RawMessage(`{"become":["/nowhere/sudo","-n"]}`)
	k, said := examined(t, newYard(t), apiApp, e)
	holds(t, said,
		"ok    api/production: 27 of 30 hosts run commands and can write "+e.ReleaseDir+"\n",
		"FAIL  api/production: 2 of 30 hosts, web-7, web-29: ",
		"FAIL  api/production: host web-9: ",
	)
	if k.failed != 2 || strings.Count(said, "host web-") != 1 {
		t.Errorf("%d failed, want 2 and no line a host:\n%s", k.failed, said)
	}
	if entries, err := os.ReadDir(e.ReleaseDir); err != nil || len(entries) > 0 {
		t.Errorf("the probes left %v, %v", entries, err)
	}
}

func TestAFleetOfWhichNoHostAnswersIsNotAskedFurther(t *testing.T) {
	_, said := examined(t, newYard(t), apiApp, rolling(t, 2, 1, 2))
	if strings.Contains(said, "balancer") || strings.Count(said, "FAIL") != 2 {
		t.Errorf("check says\n%s", said)
	}
}

func TestHostsAreLookedAtSixteenAtOnce(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	full := make(chan struct{})
	got := onEach(rolling(t, 40).Hosts, func(h deploy.Host) deploy.HostID {
		mu.Lock()
		now++
		most = max(most, now)
		if now == 16 && most == 16 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full
		mu.Lock()
		now--
		mu.Unlock()
		return h.ID
	})
	if most != 16 || len(got) != 40 || got[0] != "web-1" || got[39] != "web-40" {
		t.Errorf("%d at once, answers %v", most, got)
	}
}

func TestWhatAHostLacksIsReadFromTheProbe(t *testing.T) {
	const df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/my disk 1000000 1 %d 99%% /srv\n"
	for out, says := range map[string]string{
		"lacks flock\nlacks setsid\nhas ss\n" + fmt.Sprintf(df, 1<<30): "it lacks flock, setsid",
		"has ss\n" + fmt.Sprintf(df, 50<<10):                           "only 50 MiB are free below /srv/releases",
		"has ss\n" + fmt.Sprintf(df, 200<<10):                          "",
		"":                                                             "",
	} {
		c, err := judged(out, "/srv/releases")
		if says == "" && err != nil || says != "" && !strings.Contains(deploy.MessageOf(err), says) {
			t.Errorf("%q: %v, want %q", out, err, says)
		}
		if out == "" && (c.room != -1 || c.ss) {
			t.Errorf("nothing told is %+v", c)
		}
	}
	c, _ := judged(fmt.Sprintf(df, 200<<10), "/srv")
	k := &checking{m: &Main{Stdout: &strings.Builder{}}}
	k.shortOf("api/production", rolling(t, 1), []member{{id: "web-1", condition: c}})
	holds(t, k.m.Stdout.(*strings.Builder).String(), "warn  api/production: web-1: ss is not there", "warn  api/production: web-1: less than 1.0 GiB free below")
}

func TestAHostWithoutSudoersIsOneLineWithWhatIsMissing(t *testing.T) {
	e := rolling(t, 1)
	sudo := filepath.Join(t.TempDir(), "sudo")
	if err := os.WriteFile(sudo, []byte("#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	e.Hosts[0].Driver.Settings = json.RawMessage(`{"become":["` + sudo + `","-n"]}`)
	k, said := examined(t, newYard(t), apiApp, e)
	holds(t, said, "FAIL  api/production: host web-1 runs commands by "+sudo+" -n and can write ", "sudo wants a password", "        # ", "NOPASSWD")
	if k.failed != 1 {
		t.Errorf("%d failed:\n%s", k.failed, said)
	}
}

func TestALabelThatTheBalancerNeedsIsMissed(t *testing.T) {
	e := rolling(t, 3)
	e.Hosts[1].Labels = map[string]string{"slb": "i-bp1", "haproxy": "be/web-2"}
	for driver, line := range map[string]string{
		"slb":        "FAIL  api/production: every host has the label slb: web-1, web-3: the balancer slb finds them by nothing else",
		"haproxy":    "note  api/production: no label haproxy: web-1, web-3; the balancer finds them by their address",
		"statusfile": "",
	} {
		said := &strings.Builder{}
		e.Balancer.Driver = driver
		(&checking{m: &Main{Stdout: said}}).labels("api/production", e)
		if holds(t, said.String(), line); line == "" && said.Len() > 0 {
			t.Errorf("%s: %s", driver, said)
		}
	}
}

func TestWhatTheNumbersMeanForUsersIsTold(t *testing.T) {
	for _, c := range []struct {
		hosts, floor, failed int
		says                 string
	}{
		{1, 0, 0, "warn  api/production: the only host is out of traffic while it is replaced: users notice"},
		{3, 0, 0, "warn  api/production: min_healthy is 0"},
		{10, 9, 1, "note  api/production: a host that is left behind out of traffic uses up the budget, 10 hosts - min_healthy 9 = 1"},
		{10, 8, 1, ""},
		{10, 9, 0, ""},
	} {
		said := &strings.Builder{}
		e := rolling(t, c.hosts)
		e.Rolling.MinHealthy, e.Rolling.MaxFailedHosts = c.floor, c.failed
		(&checking{m: &Main{Stdout: said}}).budget("api/production", e)
		if holds(t, said.String(), c.says); c.says == "" && said.Len() > 0 {
			t.Errorf("%+v: %s", c, said)
		}
	}
}

// What a team's own nginx has to hand over names the adoption only where
// something runs that can be adopted.
func TestNothingIsToBeAdoptedWhereNothingRuns(t *testing.T) {
	blue, green := closedPort(t), closedPort(t)
	n := nginxtest.Start(t, nginxtest.Options{Upstream: "shop_production", Own: "server { listen {front}; location / { proxy_pass http://" + blue + "; } }\n"})
	e := deploy.Environment{
		Name: "production", ReleaseDir: t.TempDir(), Balancer: deploy.Section{Driver: "nginx", Settings: n.Settings(nil)},
		Hosts:     []deploy.Host{{ID: "local", Address: "127.0.0.1", Driver: deploy.Section{Driver: "local"}}},
		BlueGreen: deploy.BlueGreen{Blue: portOf(t, blue), Green: portOf(t, green)},
	}
	shop := apiApp
	shop.Name = "shop"
	d := newDrivers("")
	t.Cleanup(func() { _ = d.Close() })
	_, said := examined(t, d, shop, e)
	holds(t, said, "FAIL  shop/production: balancer nginx answers", "`deploy shop to production`", "and deploy again")
	if strings.Contains(said, "adopt") {
		t.Errorf("there is nothing to adopt:\n%s", said)
	}
	running, err := net.Listen("tcp", blue)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	_, said = examined(t, d, shop, e)
	holds(t, said, "`adopt shop production`", "and adopt again")
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}
