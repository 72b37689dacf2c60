package slb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/balancer/slb"
	"ipublish/deployer/balancer/slbtest"
)

const port = 9001

// rig is a group of web-1, web-2, … with a driver for it.
type rig struct {
	cloud  *slbtest.Cloud
	group  *slbtest.Group
	driver deployer.Balancer
}

func serverID(i int) string { return fmt.Sprintf("i-bp1aaa%02d", i) }

// newRig has one server a weight.
func newRig(t *testing.T, weights ...int) *rig {
	t.Helper()
	g := &slbtest.Group{}
	for i, w := range weights {
		g.Servers = append(g.Servers, slbtest.Server{ID: serverID(i + 1), Port: port, Weight: w})
	}
	return rigOf(t, g)
}

func rigOf(t *testing.T, g *slbtest.Group) *rig {
	t.Helper()
	cloud := slbtest.Start(t)
	cloud.Add(g)
	return &rig{cloud: cloud, group: g, driver: open(t, cloud.Settings(g), nil)}
}

// open opens a driver whose settings are changed as told.
func open(t *testing.T, section json.RawMessage, change map[string]any) deployer.Balancer {
	t.Helper()
	all := map[string]any{}
	if err := json.Unmarshal(section, &all); err != nil {
		t.Fatal(err)
	}
	for key, value := range change {
		all[key] = value
	}
	section, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	d, err := slb.New(section, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func target(i int) deploy.Endpoint {
	return deploy.Endpoint{Host: deploy.HostID(fmt.Sprintf("web-%d", i)), Slot: deploy.Main, Addr: addr(i), Labels: map[string]string{"slb": serverID(i)}}
}

func addr(i int) string { return fmt.Sprintf("10.0.0.%d:%d", i, port) }

// out takes hosts out of traffic.
func out(hosts ...int) deploy.Step {
	s := deploy.Step{Op: deploy.OpOut}
	for _, i := range hosts {
		s.Targets = append(s.Targets, target(i))
	}
	return s
}

// in puts a host back with a recorded weight; 0: none was.
func in(i, weight int) deploy.Step {
	e := target(i)
	e.Up, e.Weight = true, weight
	return deploy.Step{Op: deploy.OpIn, Targets: []deploy.Endpoint{e}}
}

func (r *rig) route(t *testing.T, s deploy.Step) {
	t.Helper()
	if err := r.driver.Route(limited(t, 20*time.Second), s); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) observe(t *testing.T, hosts ...int) (*deploy.Traffic, string) {
	t.Helper()
	ev, err := r.driver.Observe(limited(t, 20*time.Second), out(hosts...))
	if err != nil {
		t.Fatal(err)
	}
	return ev.Traffic, ev.Note
}

// weights are those of all servers, "37 0 100".
func (r *rig) weights() string {
	var all []string
	for _, s := range r.group.Servers {
		all = append(all, fmt.Sprint(r.group.Weight(s.ID, s.Port)))
	}
	return strings.Join(all, " ")
}

func (r *rig) wantWeights(t *testing.T, want string) {
	t.Helper()
	if got := r.weights(); got != want {
		t.Errorf("weights %s, not %s", got, want)
	}
}

func limited(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// wantError wants a code, words of the message, and the secret nowhere.
func wantError(t *testing.T, err error, code deploy.Code, words ...string) {
	t.Helper()
	if deploy.CodeOf(err) != code {
		t.Fatalf("code %q, not %q: %v", deploy.CodeOf(err), code, err)
	}
	for _, w := range words {
		if !strings.Contains(deploy.MessageOf(err), w) {
			t.Errorf("the message %q does not say %q", deploy.MessageOf(err), w)
		}
	}
	told, jsonErr := json.Marshal(deploy.AsError(err))
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	if all := err.Error() + deploy.MessageOf(err) + string(told); strings.Contains(all, slbtest.KeySecret) || strings.Contains(all, "Signature=") {
		t.Errorf("the error tells too much: %s", all)
	}
}
