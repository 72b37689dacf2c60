package haproxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/haproxy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/drivertest"
)

const checked = "check inter 50ms fall 2 rise 2"

func TestAServerInMaintenanceIsLeftAsSomebodyPutIt(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.server.Command("set server app/s1 state maint")
	r.route(r.step(deploy.OpOut, 0))
	if now := r.server.Command("show stat -1 4 -1"); !strings.Contains(now, ",MAINT,") {
		t.Errorf("out took it out of maintenance: %s", now)
	}
	r.refused(r.step(deploy.OpIn, 0), deploy.CodeDrift, "app/s1", "set server app/s1 state drain", r.server.Sockets[0])
	r.wantUp("after the refusal", 1)

	r.server.Command("set server app/s1 state drain") // as the message says
	r.route(r.step(deploy.OpIn, 0))
	r.wantUp("after the advice was followed", 0, 1)
}

func TestWhatKeepsAServerOutIsNamed(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.server.Command("set server app/s1 weight 0")
	r.refused(r.step(deploy.OpIn, 0), deploy.CodeDrift, "weight 0", "set server app/s1 weight 100%")
	r.wantUp("with weight 0", 1)
	r.server.Command("set server app/s1 weight 100%")
	r.route(r.step(deploy.OpIn, 0))
	r.wantUp("with its weight", 0, 1)

	addr, _ := drivertest.StartBackend(t)
	labelled := newRig(t, 1, haproxytest.Options{Params: checked, More: "backend more\n server off " + addr + " disabled\n server tracks " + addr + " track app/s1\n"}, nil)
	labelled.targets[0].Labels = map[string]string{"haproxy": "more/off"}
	labelled.refused(labelled.step(deploy.OpIn, 0), deploy.CodeDrift, "more/off", "`disabled`")
	labelled.server.Command("set server app/s1 state drain")
	labelled.targets[0].Labels["haproxy"] = "more/tracks"
	labelled.refused(labelled.step(deploy.OpIn, 0), deploy.CodeDrift, "more/tracks", "app/s1")
}

func TestAHostWhoseCheckFailsIsDownAndComesBackWhenItPasses(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: checked}, nil)
	r.stop[r.targets[0].Addr]()
	eventually(t, "HAProxy notices", func() bool { return len(r.up()) == 1 })
	r.route(r.step(deploy.OpOut, 0))
	r.route(r.step(deploy.OpIn, 0))
	r.wantUp("made ready while its check fails", 1)

	addr, _ := drivertest.StartBackend(t)
	r.server.Command("set server app/s1 addr 127.0.0.1 port " + addr[strings.LastIndex(addr, ":")+1:])
	r.targets[0].Addr = addr
	eventually(t, "it is up", func() bool { return len(r.up()) == 2 })
}

func TestAHostThatIsSickLeavesTrafficForGood(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: checked}, nil)
	r.stop[r.targets[0].Addr]()
	eventually(t, "HAProxy notices", func() bool { return len(r.up()) == 1 })
	r.route(r.step(deploy.OpOut, 0)) // it is down already, and must not come up by itself
	if state := r.server.Command("show servers state"); !strings.Contains(state, " s1 127.0.0.1 0 8 ") {
		t.Errorf("a sick server is not drained:\n%s", state)
	}
}

func TestSeveralHAProxysAreOneBalancer(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	var addrs []string
	for _, e := range r.targets {
		addrs = append(addrs, e.Addr)
	}
	second := haproxytest.Start(t, haproxytest.Options{Servers: addrs})
	r.driver = r.open(map[string]any{"sockets": []string{r.server.Sockets[0], second.Sockets[0]}})
	finish := []func(){slowPost(t, r.server.URL), slowPost(t, r.server.URL), slowPost(t, second.URL), slowPost(t, second.URL)}
	r.route(r.step(deploy.OpOut, 0))
	r.wantUp("out at both", 1)
	for _, s := range []*haproxytest.Server{r.server, second} {
		if !strings.Contains(s.Command("show stat -1 4 -1"), ",DRAIN,") {
			t.Errorf("%s still sends requests", s.URL)
		}
	}
	eventually(t, "one request at each of them counts", func() bool {
		return r.observe(r.step(deploy.OpOut, 0)).Traffic.InFlight[r.targets[0].Addr] == 2
	})
	for _, f := range finish {
		f()
	}

	second.Command("set server app/s1 state ready")
	ev := r.observe(r.step(deploy.OpOut, 0))
	if len(ev.Traffic.Up)+len(ev.Traffic.Down) != 0 || !strings.Contains(ev.Note, "1 of 2") {
		t.Errorf("up at one of two: %+v, %q", ev.Traffic, ev.Note)
	}
	r.route(r.step(deploy.OpIn, 0))
	r.wantUp("in at both", 0, 1)

	second.Stop()
	r.refused(r.step(deploy.OpOut, 0), deploy.CodeUnavailable, second.Sockets[0])
	if strings.Contains(r.server.Command("show stat -1 4 -1"), "DRAIN") {
		t.Error("half of the change was made though a HAProxy is gone")
	}
}

// slowPost begins a request that lasts until finish is called, or 3 s.
func slowPost(t *testing.T, url string) (finish func()) {
	t.Helper()
	resp, err := http.Post(url+"?wait=3s", "text/plain", strings.NewReader("slow"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return func() {
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("a request was cut: %v", err)
		}
	}
}

func TestASwitchWaitsUntilHAProxySendsRequestsToTheNewOnes(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: checked}, nil)
	r.route(r.table(0))
	r.wantUp("at first", 0)
	r.stop[r.targets[1].Addr]()
	eventually(t, "HAProxy notices", func() bool { return strings.Contains(r.server.Command("show stat -1 4 -1"), ",DOWN,") })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	refused(t, r.driver.Route(ctx, r.table(1)), deploy.CodeTimeout, "app/s2", "DOWN", "L4CON")
	r.wantUp("after the new one did not come up", 0)
	if state := r.server.Command("show servers state"); !strings.Contains(state, " s2 127.0.0.1 0 8 ") {
		t.Errorf("the new one was not put back:\n%s", state)
	}
}

func TestTheFirstSwitchRefusesOtherServersOfTheBackend(t *testing.T) {
	r := newRig(t, 3, haproxytest.Options{}, nil)
	s := r.table(0)
	s.First, s.Targets = true, s.Targets[:2]
	r.refused(s, deploy.CodeRefused, "app/s3", r.targets[2].Addr)
	r.wantUp("after the refusal", 0, 1, 2)
	r.server.Command("set server app/s3 state drain")
	r.route(s)
	r.wantUp("after the advice was followed", 0)
}

func TestAFailedWriteOfTheStateFilePutsBackWhatWasInForce(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	over := map[string]any{"state_file": r.server.StateFile}
	r.driver = openOn(t, r.server, faultyHost{localHost(t), func() error {
		return &deploy.Error{Code: deploy.CodeFailed, Message: "no space left on device"}
	}}, over)
	r.refused(r.step(deploy.OpOut, 0), deploy.CodeFailed, r.server.StateFile, "no space left")
	r.driver = r.open(over)
	r.wantUp("after the write failed", 0, 1)
}

func TestWhatCannotBePutBackIsHeldForAPerson(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.driver = openOn(t, r.server, faultyHost{localHost(t), func() error {
		r.server.Stop()
		return &deploy.Error{Code: deploy.CodeFailed, Message: "no space left on device"}
	}}, map[string]any{"state_file": r.server.StateFile})
	r.refused(r.step(deploy.OpOut, 0), deploy.CodeHold, "show servers state", r.server.Sockets[0])
}

func TestACallerThatLeavesHalfWayGetsWhatWasInForce(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r.driver = openOn(t, r.server, faultyHost{localHost(t), func() error { cancel(); return nil }}, map[string]any{"state_file": r.server.StateFile})
	refused(t, r.driver.Route(ctx, r.step(deploy.OpOut, 0)), deploy.CodeCancelled)
	r.wantUp("after the caller left", 0, 1)
}

func TestAHAProxyThatIsGoneIsUnavailable(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.server.Stop()
	r.refused(r.step(deploy.OpOut, 0), deploy.CodeUnavailable, "stats socket", "level admin")
	_, err := r.driver.Observe(t.Context(), r.step(deploy.OpOut, 0))
	refused(t, err, deploy.CodeUnavailable)
}

func TestASocketOfALowerLevelIsRefusedWithTheLineToWrite(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{}, nil)
	r.driver = r.open(map[string]any{"sockets": []string{r.server.UserLevel}})
	r.refused(r.step(deploy.OpOut, 0), deploy.CodeRefused, "level admin", r.server.UserLevel)
	r.wantUp("as before", 0, 1)
}

func TestWithoutTargetsTheBackendIsTold(t *testing.T) {
	r := newRig(t, 2, haproxytest.Options{Params: "weight 30"}, nil)
	tr := r.observe(deploy.Step{}).Traffic
	if len(tr.Up) != 2 || tr.Weights[r.targets[0].Addr] != 30 || tr.Settle != 0 {
		t.Errorf("%+v", tr)
	}
}

func TestTheInstancesAreReachedFromHAProxysHost(t *testing.T) {
	r := newRig(t, 1, haproxytest.Options{}, nil)
	conn, err := r.driver.(deployer.Reacher).Dial(t.Context(), "tcp", r.targets[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestAHostThatCannotBeOpenedIsTheErrorOfNew(t *testing.T) {
	want := errors.New("no such host")
	_, err := haproxy.New([]byte(`{"host":"lb-1"}`), func(name string) (deployer.Host, error) {
		if name != "lb-1" {
			t.Errorf("it asks for host %q", name)
		}
		return nil, want
	})
	if !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}
