package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestADurationIsWrittenWithItsUnit(t *testing.T) {
	for in, want := range map[string]time.Duration{"30s": 30 * time.Second, "0s": 0, "0": 0, "1h30m": 90 * time.Minute} {
		var d deploy.Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.D() != want {
			t.Errorf("%q reads as %s, %v", in, d, err)
		}
	}
	for in, advice := range map[string]string{"30": "write it with a unit", "": "write it with a unit", "soon": "write it with a unit", "-1s": "negative"} {
		var d deploy.Duration
		if err := d.UnmarshalText([]byte(in)); err == nil || !strings.Contains(err.Error(), advice) {
			t.Errorf("%q reads as %s, %v", in, d, err)
		}
	}
}

func TestADeploysNumberIsReadAsItIsTold(t *testing.T) {
	if got := deploy.ID(142).String(); got != "#142" {
		t.Errorf("%s", got)
	}
	for _, in := range []string{"#142", "142"} {
		if id, err := deploy.ParseID(in); err != nil || id != 142 {
			t.Errorf("%q: %s, %v", in, id, err)
		}
	}
	for _, in := range []string{"", "#", "#0", "0", "-1", "abc", "##1", "1e3", "99999999999999999999"} {
		if _, err := deploy.ParseID(in); deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "like #142") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestATargetIsReadAsItIsTold(t *testing.T) {
	got, err := deploy.ParseTarget("shop/production")
	if err != nil || got != target() || got.String() != "shop/production" {
		t.Errorf("%v, %v", got, err)
	}
	for _, in := range []string{"", "shop", "/", "shop/", "/production", "a/b/c"} {
		if got, err := deploy.ParseTarget(in); err == nil {
			t.Errorf("%q reads as %v", in, got)
		}
	}
}

func TestTheOtherSlotIsBlueWhereThereIsNone(t *testing.T) {
	for slot, other := range map[deploy.Slot]deploy.Slot{deploy.Blue: deploy.Green, deploy.Green: deploy.Blue, "": deploy.Blue} {
		if got := slot.Other(); got != other {
			t.Errorf("the other of %q is %q", slot, got)
		}
	}
	b := deploy.BlueGreen{Blue: 8080, Green: 8081}
	if b.Port(deploy.Blue) != 8080 || b.Port(deploy.Green) != 8081 || b.Port("") != 0 {
		t.Error("a slot has another's port")
	}
}

// The key names a folder on hosts: it is safe as a path, and tells apart
// whatever makes another artifact or another way to run it.
func TestAReleasesKeyTellsApartWhatRunsDifferently(t *testing.T) {
	base := newWorld().app
	commit := deploy.Commit{SHA: sha("b")}
	key := deploy.NewRelease(base, commit).Key()
	if !regexp.MustCompile(`^b{12}-[0-9a-f]{8}$`).MatchString(key) {
		t.Errorf("the key is %q", key)
	}
	for name, change := range map[string]func(*deploy.App){
		"the build":   func(a *deploy.App) { a.Build.Run = []string{"make"} },
		"the runtime": func(a *deploy.App) { a.Runtime.Settings = json.RawMessage(`{"run":["./server"]}`) },
		"the env":     func(a *deploy.App) { a.Env = map[string]string{"MODE": "production"} },
	} {
		other := base
		change(&other)
		if deploy.NewRelease(other, commit).Key() == key {
			t.Errorf("%s changed, and the key did not", name)
		}
	}
	same := base
	same.Keep, same.Health.Path, same.Repository = 9, "/other", "https://elsewhere.example.com/shop.git"
	titled := commit
	titled.Title = "Another title"
	if deploy.NewRelease(same, titled).Key() != key {
		t.Error("the key changed with what does not change the release")
	}
	if (deploy.Release{}).Key() != "" || !(deploy.Release{}).IsZero() || deploy.NewRelease(base, commit).IsZero() {
		t.Error("no release has a key, or a release has none")
	}
	if got := deploy.NewRelease(base, deploy.Commit{SHA: "abc"}).Key(); !strings.HasPrefix(got, "abc-") {
		t.Errorf("a short hash gives %q", got)
	}
}

func TestAPushKnowsItsBranchAndWhetherItDeleted(t *testing.T) {
	for ref, want := range map[string]string{"refs/heads/main": "main", "refs/heads/a/b": "a/b", "refs/tags/v1": "", "main": "", "": ""} {
		if got, ok := (deploy.Push{Ref: ref}).Branch(); ok != (want != "") || ok && got != want {
			t.Errorf("%q is branch %q, %v", ref, got, ok)
		}
	}
	for after, want := range map[string]bool{sha("0"): true, "": true, sha("b"): false} {
		if got := (deploy.Push{After: after}).Deleted(); got != want {
			t.Errorf("%q: deleted %v", after, got)
		}
	}
}

func TestRequestsKnowTheirTurn(t *testing.T) {
	for want, turn := range map[deploy.Want]string{
		deploy.WantDeploy: "in turn", deploy.WantRollback: "first", deploy.WantAccept: "first", deploy.WantRetire: "last",
	} {
		r := deploy.Request{App: "shop", Env: "production", Want: want}
		if r.Urgent() != (turn == "first") || r.Housekeeping() != (turn == "last") || r.Target() != target() {
			t.Errorf("%s comes %s: urgent %v, housekeeping %v", want, turn, r.Urgent(), r.Housekeeping())
		}
	}
}

func TestAnErrorHasACodeForMachinesAndASentenceForPeople(t *testing.T) {
	inner := &deploy.Error{Code: deploy.CodeUnavailable, Op: "dial", Subject: "web-1", Message: "web-1 does not answer: is it on?", Err: errors.New("connection refused")}
	outer := &deploy.Error{Code: deploy.CodeFailed, Op: "start", Subject: "web-1/green", Err: inner}
	wrapped := fmt.Errorf("deploy #9: %w", outer)
	if deploy.CodeOf(wrapped) != deploy.CodeFailed || deploy.MessageOf(wrapped) != inner.Message || deploy.AsError(wrapped) != outer {
		t.Errorf("%s: %s", deploy.CodeOf(wrapped), deploy.MessageOf(wrapped))
	}
	if got := outer.Error(); got != "start web-1/green: dial web-1: web-1 does not answer: is it on?: connection refused" {
		t.Errorf("%q", got)
	}
	joined := errors.Join(errors.New("the log could not be written"), inner)
	if deploy.MessageOf(joined) != inner.Message || deploy.CodeOf(joined) != deploy.CodeUnavailable {
		t.Errorf("joined: %s", deploy.MessageOf(joined))
	}
	for err, code := range map[error]deploy.Code{
		nil: "", context.Canceled: deploy.CodeCancelled, context.DeadlineExceeded: deploy.CodeTimeout, errors.New("x"): deploy.CodeInternal,
	} {
		if got := deploy.CodeOf(err); got != code {
			t.Errorf("%v has code %q", err, got)
		}
		if e := deploy.AsError(err); (e == nil) != (err == nil) || e != nil && (e.Code != code || deploy.MessageOf(e) != err.Error()) {
			t.Errorf("%v as an error: %v", err, e)
		}
	}
	if deploy.MessageOf(nil) != "" || (&deploy.Error{Code: deploy.CodeHold}).Error() != "hold" {
		t.Error("an empty error says something else")
	}
}

func TestALookBeforePlanningSeesBothSlotsAndTheRoute(t *testing.T) {
	w := usual()
	w.hosts(2)
	w.serves(deploy.Green, "b")
	w.live.Known = "file-1"
	slots, route := deploy.ObserveSteps(w.app, w.env, w.live)
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green} {
		s := slots[slot]
		if s.Op != deploy.OpObserve || s.Slot != slot || s.Port != w.env.BlueGreen.Port(slot) || len(s.Hosts) != 2 || s.Limit <= 0 {
			t.Errorf("%s: %+v", slot, s)
		}
	}
	if slots[deploy.Green].Release.Key() != w.release("b").Key() {
		t.Errorf("green is looked at as %+v", slots[deploy.Green].Release)
	}
	if route.Op != deploy.OpRoute || len(route.Targets) != 4 || route.Known != "file-1" || len(up(route)) != 2 {
		t.Errorf("%+v", route)
	}
	first, route := deploy.ObserveSteps(w.app, w.env, deploy.Live{})
	if len(first) != 2 || len(up(route)) != 0 {
		t.Errorf("before the first deploy: %+v", route)
	}
}

func TestAddressesOfSixthVersionAreInBrackets(t *testing.T) {
	w := newWorld()
	w.env.Hosts[0].Address = "fd00::1"
	for _, s := range w.mustPlan(t).Steps {
		if s.Op == deploy.OpRoute && up(s)[0] != "[fd00::1]:8080" {
			t.Errorf("routes to %v", up(s))
		}
	}
}

func TestAPlanFindsItsHosts(t *testing.T) {
	p := usual().mustPlan(t)
	if h, ok := p.Settings.Host("web-1"); !ok || h.Address != "10.0.0.1" {
		t.Errorf("%+v, %v", h, ok)
	}
	if _, ok := p.Settings.Host("web-9"); ok {
		t.Error("found a host that is not there")
	}
	w := usual()
	w.app.Environments = []deploy.Environment{w.env}
	if e, ok := w.app.Environment("production"); !ok || len(e.HostIDs()) != 1 {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := w.app.Environment("staging"); ok {
		t.Error("found an environment that is not there")
	}
	h := deploy.Health{ExpectStatus: []int{200, 204}}
	if !h.Expects(204) || h.Expects(500) || (deploy.Health{}).Expects(200) {
		t.Error("expects another status")
	}
}
