package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
)

func TestSettingsAreDecodedStrictly(t *testing.T) {
	for _, s := range []string{`{"listne":"127.0.0.1:8000"}`, `{"listen":8000}`, `{"listen":"8000"}`, `{"listen":"127.0.0.1:0"}`, `{"listen":"127.0.0.1:http"}`, `{} {}`} {
		_, err := New("/nowhere", shop, json.RawMessage(s))
		wantCode(t, err, deploy.CodeInvalid)
	}
	for _, s := range []json.RawMessage{nil, json.RawMessage(`{}`), json.RawMessage(`null`)} {
		b, err := New("/nowhere", shop, s)
		if err != nil || b.(*balancer).listen != DefaultListen {
			t.Errorf("%q: %+v, %v", s, b, err)
		}
	}
}

func TestRouteTwiceIsRouteOnce(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	before := p.traffic()
	written, err := os.Stat(p.state)
	if err != nil {
		t.Fatal(err)
	}
	p.route([]string{a.addr})
	if after := p.traffic(); after.Generation != before.Generation || before.Generation != "1" {
		t.Errorf("generation %q, then %q", before.Generation, after.Generation)
	}
	if again, err := os.Stat(p.state); err != nil || !os.SameFile(written, again) {
		t.Errorf("the state was written again, %v", err)
	}
}

func TestObserveTellsTheTableTheCountsAndWhatLeft(t *testing.T) {
	p := serveProxy(t)
	a, b, c := named(t), named(t), named(t)
	none := p.traffic(a.addr)
	if len(none.Up) > 0 || !slices.Equal(none.Down, []string{a.addr}) || none.Generation != "" || !none.Measured {
		t.Errorf("before the first route: %+v", none)
	}
	p.route([]string{a.addr}, b.addr)
	if _, err := post(fresh(t), p.url(), "x"); err != nil {
		t.Fatal(err)
	}
	got := p.traffic(b.addr, c.addr)
	down := []string{b.addr, c.addr}
	slices.Sort(down)
	if !slices.Equal(got.Up, []string{a.addr}) || !slices.Equal(got.Down, down) {
		t.Errorf("up %v, down %v", got.Up, got.Down)
	}
	if got.Counters[a.addr].Requests != 1 || !got.Measured {
		t.Errorf("counters %+v", got.Counters)
	}
	if _, told := got.InFlight[c.addr]; !told || got.InFlight[a.addr] != 0 {
		t.Errorf("in flight %v", got.InFlight)
	}
	p.route([]string{b.addr})
	if left := p.traffic(); left.Counters[a.addr].Requests != 1 || !slices.Equal(left.Up, []string{b.addr}) || left.Generation != "2" {
		t.Errorf("after the switch: %+v", left)
	}
}

func TestAStepThatLeavesNothingUpOrHasAWrongAddressChangesNothing(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	for _, s := range []deploy.Step{step(nil, []string{a.addr}, nil), step(nil, nil, []string{a.addr})} {
		wantCode(t, p.driver().Route(t.Context(), s), deploy.CodeRefused)
	}
	for _, s := range []deploy.Step{
		step([]string{"no-port"}, nil, nil),
		step([]string{":8080"}, nil, nil),
		step([]string{p.listen}, nil, nil),
	} {
		wantCode(t, p.driver().Route(t.Context(), s), deploy.CodeInvalid)
	}
	if got := p.traffic(); !slices.Equal(got.Up, []string{a.addr}) || got.Generation != "1" {
		t.Errorf("in force: %+v", got)
	}
}

func TestAnAddressThatIsListenedAtForAnotherRouteIsRefusedByName(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	_, port, _ := strings.Cut(p.listen, ":")
	for _, listen := range []string{p.listen, "0.0.0.0:" + port} {
		b, err := New(p.socket, deploy.Target{App: "api", Env: "test"}, fmt.Appendf(nil, `{"listen":%q}`, listen))
		if err != nil {
			t.Fatal(err)
		}
		err = b.Route(t.Context(), step([]string{a.addr}, nil, nil))
		wantCode(t, err, deploy.CodeRefused)
		if !strings.Contains(deploy.MessageOf(err), shop.String()) {
			t.Errorf("does not name the route: %v", err)
		}
	}
	if _, err := newClient(p.socket).get(t.Context(), "api/test"); deploy.CodeOf(err) != deploy.CodeNotFound {
		t.Errorf("the refused route is there: %v", err)
	}
}

func TestARemovedRouteFreesItsAddressForAnother(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	c := newClient(p.socket)
	if err := c.call(t.Context(), "DELETE", routePath(shop.String()), nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := c.put(t.Context(), order{route: route{Name: "api/test", Listen: p.listen, Up: []string{a.addr}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := post(fresh(t), p.url(), "x"); err != nil || got != a.addr {
		t.Errorf("answered %q, %v", got, err)
	}
	wantCode(t, c.call(t.Context(), "DELETE", routePath(shop.String()), nil, &struct{}{}), deploy.CodeNotFound)
}

func TestARouteMovesToAnotherListenAddress(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	elsewhere := freeAddr(t)
	if err := openDriver(t, p.socket, elsewhere).Route(t.Context(), step([]string{a.addr}, nil, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := post(fresh(t), "http://"+elsewhere, "x"); err != nil {
		t.Errorf("at the new address: %v", err)
	}
	if _, err := post(fresh(t), p.url(), "x"); err == nil {
		t.Error("the old address still answers")
	}
}

func TestAChangeThatCannotBeWrittenIsNotMade(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr})
	// A folder in the file's place stands in for a full disk: rename fails.
	if err := os.Remove(p.state); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.state, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.driver().Route(t.Context(), step([]string{b.addr}, nil, nil)), deploy.CodeFailed)
	if got, err := post(fresh(t), p.url(), "x"); err != nil || got != a.addr {
		t.Errorf("answered %q, %v", got, err)
	}
	elsewhere := freeAddr(t)
	wantCode(t, openDriver(t, p.socket, elsewhere).Route(t.Context(), step([]string{b.addr}, nil, nil)), deploy.CodeFailed)
	if _, err := post(fresh(t), "http://"+elsewhere, "x"); err == nil {
		t.Error("the address that was not taken answers")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(p.state), ".proxy.json.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestTheControlSocketRefusesWhatItDoesNotKnow(t *testing.T) {
	p := serveProxy(t)
	c := newClient(p.socket)
	path := routePath(shop.String())
	for name, body := range map[string]any{
		"unknown key":  map[string]any{"listen": "127.0.0.1:9000", "up": []string{"127.0.0.1:9"}, "weight": 1},
		"other name":   route{Name: "api/test", Listen: "127.0.0.1:9000", Up: []string{"127.0.0.1:9"}},
		"up and spare": route{Listen: "127.0.0.1:9000", Up: []string{"127.0.0.1:9"}, Spare: []string{"127.0.0.1:9"}, Name: shop.String()},
		"no route":     "x",
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, c.call(t.Context(), "PUT", path+"?turn=0", body, &status{}), deploy.CodeInvalid)
		})
	}
	fine := route{Name: shop.String(), Listen: "127.0.0.1:9000", Up: []string{"127.0.0.1:9"}}
	wantCode(t, c.call(t.Context(), "PUT", path, fine, &status{}), deploy.CodeInvalid)
	fine.Name = "shop"
	wantCode(t, c.call(t.Context(), "PUT", routePath("shop")+"?turn=0", fine, &status{}), deploy.CodeInvalid)
	var all []status
	if err := c.call(t.Context(), "GET", "/v1/routes", nil, &all); err != nil || len(all) != 0 {
		t.Errorf("%d routes, %v", len(all), err)
	}
}

func TestARequestThatWasGivenUpCannotActLate(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr})
	c := newClient(p.socket)
	var late turn
	if err := c.call(t.Context(), "POST", "/v1/turns/"+shop.String(), nil, &late); err != nil {
		t.Fatal(err)
	}
	p.route([]string{a.addr}) // changes nothing, and yet it comes after
	stale := route{Name: shop.String(), Listen: p.listen, Up: []string{b.addr}}
	err := c.call(t.Context(), "PUT", fmt.Sprintf("%s?turn=%d", routePath(shop.String()), late.Turn), stale, &status{})
	wantCode(t, err, deploy.CodeUnavailable)
	if got := p.traffic(); !slices.Equal(got.Up, []string{a.addr}) {
		t.Errorf("up is %v", got.Up)
	}
}

func TestTheContractOfABalancer(t *testing.T) {
	p := serveProxy(t)
	stops := map[string]func(){}
	rig := drivertest.BalancerRig{
		Open: func(t *testing.T) deployer.Balancer { return openDriver(t, p.socket, p.listen) },
		URL:  p.url(),
		Stop: func(addr string) { stops[addr]() },
	}
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green} {
		addr, stop := drivertest.StartBackend(t)
		stops[addr] = stop
		rig.Targets = append(rig.Targets, deploy.Endpoint{Host: "local", Slot: slot, Addr: addr})
	}
	drivertest.Balancer(t, rig)
}

func TestACancelledContextReturnsItsCode(t *testing.T) {
	p := serveProxy(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCode(t, p.driver().Route(ctx, step([]string{"127.0.0.1:9"}, nil, nil)), deploy.CodeCancelled)
	_, err := p.driver().Observe(ctx, deploy.Step{})
	wantCode(t, err, deploy.CodeCancelled)
}
