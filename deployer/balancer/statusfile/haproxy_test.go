package statusfile_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxytest"
	"ipublish/deployer/host/sshtest"
)

// checks is how the source's balancer checks, with another interval.
func checks(inter string) string { return "check inter " + inter + " fall 2 rise 2" }

// inFront starts an HAProxy that checks the rig's hosts by their status files.
func (r *rig) inFront(params string) *haproxytest.Server {
	r.t.Helper()
	var servers []string
	for _, e := range r.targets {
		servers = append(servers, hostOf(e)+":"+r.port)
	}
	return haproxytest.Start(r.t, haproxytest.Options{
		Backend: "be", Servers: servers, Params: params, Lines: []string{"option httpchk GET /nginx-status.html"},
	})
}

func observing(over map[string]any, front ...*haproxytest.Server) map[string]any {
	keys := map[string]any{"backend": "be"}
	var sockets []string
	for _, f := range front {
		sockets = append(sockets, f.UserLevel)
	}
	keys["sockets"] = sockets
	maps.Copy(keys, over)
	return map[string]any{"observe": map[string]any{"haproxy": keys}}
}

func TestHAProxysWordIsTheProofThatAHostLeftAndCameBack(t *testing.T) {
	t.Parallel()
	onEveryHost(t, func(t *testing.T, r *rig) {
		one, two := r.targets[0], r.targets[1]
		front := r.inFront(checks("100ms"))
		r.driver = r.openWith(observing(nil, front))
		finish := r.slowRequests(front.URL, 2)
		ev := r.observe(one, two)
		if len(ev.Traffic.Up) != 2 || ev.Traffic.Settle != 0 || ev.Traffic.InFlight[one.Addr] != 1 || ev.Traffic.InFlight[two.Addr] != 1 {
			t.Errorf("in, with a request each: %+v, note %q", ev.Traffic, ev.Note)
		}
		r.route(deploy.OpOut, one)
		r.settled(deploy.OpOut, one)
		ev = r.observe(one, two)
		if !slices.Equal(ev.Traffic.Up, []string{two.Addr}) || !slices.Equal(ev.Traffic.Down, []string{one.Addr}) || ev.Traffic.Settle != 0 || ev.Note != "" {
			t.Errorf("out: %+v, note %q", ev.Traffic, ev.Note)
		}
		if n := ev.Traffic.InFlight[one.Addr]; n != 1 {
			t.Errorf("in flight to the host that left: %d, while a request is", n)
		}
		finish()
		eventually(t, "nothing is in flight", func() bool { return r.observe(one).Traffic.InFlight[one.Addr] == 0 })
		r.route(deploy.OpIn, one)
		r.settled(deploy.OpIn, one)
		if ev := r.observe(one, two); len(ev.Traffic.Up) != 2 {
			t.Errorf("in again: %+v, note %q", ev.Traffic, ev.Note)
		}
	})
}

// settled waits until page and HAProxy agree, and checks that until then nothing is claimed.
func (r *rig) settled(op deploy.Op, e deploy.Endpoint) {
	r.t.Helper()
	eventually(r.t, string(op)+" is settled", func() bool {
		ev := r.observe(e)
		switch {
		case op == deploy.OpOut && len(ev.Traffic.Up) > 0, op == deploy.OpIn && len(ev.Traffic.Down) > 0:
			r.t.Errorf("%s: %+v", op, ev.Traffic)
		case len(ev.Traffic.Up)+len(ev.Traffic.Down) == 0 && !strings.HasPrefix(ev.Note, string(e.Host)+": its status page "):
			r.t.Errorf("not settled, and the note is %q", ev.Note)
		}
		return len(ev.Traffic.Up)+len(ev.Traffic.Down) == 1
	})
}

// slowRequests begins n requests through the front door, one a host; finish checks that they ended whole.
func (r *rig) slowRequests(url string, n int) (finish func()) {
	r.t.Helper()
	var bodies []io.ReadCloser
	for range n {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(url + "app?wait=3s")
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = resp.Body.Close() })
		bodies = append(bodies, resp.Body)
	}
	return func() {
		for _, body := range bodies {
			if b, err := io.ReadAll(body); err != nil {
				r.t.Errorf("a slow request was cut after %q: %v", b, err)
			}
		}
	}
}

func TestUnobservedTheComputedWaitIsLongEnoughForARealHAProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, "", nil)
	e := r.targets[0]
	front := r.inFront(checks("2s"))
	watch := r.openWith(observing(nil, front))
	r.driver = r.openWith(map[string]any{"check_interval": "2s", "unhealthy_threshold": 2, "healthy_threshold": 2, "margin": "2s"})
	for _, op := range []deploy.Op{deploy.OpOut, deploy.OpIn} {
		r.route(op, e)
		began, wait := time.Now(), r.observe(e).Traffic.Settle.D()
		eventually(t, "HAProxy follows "+string(op), func() bool {
			ev, err := watch.Observe(t.Context(), r.step(op, e))
			if err != nil {
				t.Fatal(err)
			}
			return len(ev.Traffic.Up)+len(ev.Traffic.Down) == 1
		})
		if took := time.Since(began); wait != 6*time.Second || took > wait {
			t.Errorf("%s: HAProxy took %s, the wait is %s", op, took, wait)
		}
	}
}

func TestAHostThatHAProxyDoesNotSendToIsNotInThoughItsFileIsThere(t *testing.T) {
	r := newRig(t, 2, "", nil)
	front := r.inFront(checks("100ms"))
	r.driver = r.openWith(observing(nil, front))
	front.Command("set server be/s1 state maint")
	ev := r.observe(r.targets...)
	if len(ev.Traffic.Up) != 1 || len(ev.Traffic.Down) != 0 || !strings.HasPrefix(ev.Note, "web-1: its status page answers 200, but HAProxy sends it nothing yet (MAINT") {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
}

func TestAServerIsFoundByItsLabelOrByItsAddress(t *testing.T) {
	r := newRig(t, 2, "", nil)
	front := r.inFront(checks("100ms"))
	strange := r.targets[0]
	strange.Addr = "10.1.2.3:9001" // of a network that HAProxy does not use
	over := observing(nil, front)
	over["path"], over["url"] = r.path(r.targets[0]), "http://127.0.0.11:"+r.port+"/nginx-status.html"
	r.driver = r.openWith(over)
	look := func(label string) deploy.Evidence {
		t.Helper()
		e := strange
		if label != "" {
			e.Labels = map[string]string{"haproxy": label}
		}
		return r.observe(e)
	}
	if ev := look(""); ev.Traffic.InFlight[strange.Addr] != -1 || !strings.Contains(ev.Note, "web-1: which server it is in backend be of HAProxy cannot be told, 0 could be meant: give the host the label haproxy") {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
	for _, label := range []string{"s1", "be/s1"} {
		if ev := look(label); ev.Traffic.InFlight[strange.Addr] != 0 || !slices.Equal(ev.Traffic.Up, []string{strange.Addr}) {
			t.Errorf("%s: %+v, note %q", label, ev.Traffic, ev.Note)
		}
	}
	for _, label := range []string{"s9", "other/s1"} {
		if ev := look(label); !strings.Contains(ev.Note, "0 could be meant") {
			t.Errorf("%s: note %q", label, ev.Note)
		}
	}
}

func TestEveryHAProxyHasToAgree(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, "", nil)
	e := r.targets[0]
	one, two := r.inFront(checks("100ms")), r.inFront(checks("100ms"))
	r.driver = r.openWith(observing(nil, one, two))
	finish := r.slowRequests(one.URL, 2)
	also := r.slowRequests(two.URL, 1)
	if ev := r.observe(e); len(ev.Traffic.Up) != 1 || ev.Traffic.InFlight[e.Addr] != 3 {
		t.Errorf("%+v, note %q", ev.Traffic, ev.Note)
	}
	two.Command("disable health be/s1")
	two.Command("set server be/s1 health down")
	if ev := r.observe(e); len(ev.Traffic.Up)+len(ev.Traffic.Down) != 0 || !strings.Contains(ev.Note, "sends it nothing yet (DOWN") {
		t.Errorf("one of two sends: %+v, note %q", ev.Traffic, ev.Note)
	}
	finish()
	also()
}

func TestAnHAProxyThatIsGoneIsNoEvidence(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, "", nil)
	r.open = sshHosts(t, sshtest.Start(t))
	front := r.inFront(checks("100ms"))
	r.driver = r.openWith(observing(nil, front))
	front.Stop()
	_, err := r.driver.Observe(t.Context(), r.step(deploy.OpOut, r.targets...))
	if deploy.CodeOf(err) != deploy.CodeUnavailable || !strings.Contains(deploy.MessageOf(err), front.UserLevel) {
		t.Errorf("%v", err)
	}
}
