package slb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/slbtest"
)

func TestAHostThatCannotBeFoundIsNamed(t *testing.T) {
	r := newRig(t, 50, 50)
	unlabelled, otherPort := out(1), out(1)
	unlabelled.Targets[0].Labels = nil
	otherPort.Targets[0].Addr = "10.0.0.1:8080"
	for name, c := range map[string]struct {
		step deploy.Step
		code deploy.Code
		says []string
	}{
		"without a label":  {unlabelled, deploy.CodeInvalid, []string{"web-1", "labels: { slb: i-… }"}},
		"not in the group": {out(7), deploy.CodeNotFound, []string{"web-7", serverID(7), "rsp-test1"}},
		"another port":     {otherPort, deploy.CodeNotFound, []string{"web-1", "port 8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, r.driver.Route(t.Context(), c.step), c.code, c.says...)
			_, err := r.driver.Observe(t.Context(), c.step)
			wantError(t, err, c.code, c.says...)
		})
	}
	if n := len(r.cloud.Calls(slbtest.Set)); n != 0 {
		t.Errorf("%d changes", n)
	}
}

func TestEveryRefusalSaysWhichSettingToMend(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]any
		fault  slbtest.Fault
		code   deploy.Code
		says   []string
	}{
		"a wrong secret":       {map[string]any{"access_key_secret": "wrong"}, slbtest.Fault{}, deploy.CodeRefused, []string{"access_key_secret", slbtest.KeyID}},
		"an unknown key":       {map[string]any{"access_key_id": "LTAInobody"}, slbtest.Fault{}, deploy.CodeRefused, []string{"LTAInobody"}},
		"an unknown group":     {map[string]any{"vserver_group_id": "rsp-none"}, slbtest.Fault{}, deploy.CodeNotFound, []string{"rsp-none", "cn-hangzhou"}},
		"another's group":      {map[string]any{"load_balancer_id": "lb-other"}, slbtest.Fault{}, deploy.CodeInvalid, []string{"lb-test1", "lb-other"}},
		"another region":       {map[string]any{"region": "cn-shanghai"}, slbtest.Fault{}, deploy.CodeFailed, []string{"InvalidRegionId.NotFound"}},
		"a right is missing":   {nil, slbtest.Fault{Status: 403, Code: "Forbidden.RAM", Message: "not authorized"}, deploy.CodeRefused, []string{"slb:SetVServerGroupAttribute", "lb-test1"}},
		"a balancer that went": {nil, slbtest.Fault{Action: slbtest.Health, Status: 404, Code: "InvalidLoadBalancerId.NotFound"}, deploy.CodeNotFound, []string{"load_balancer_id"}},
		"a clock that is off":  {nil, slbtest.Fault{Status: 400, Code: "InvalidTimeStamp.Expired"}, deploy.CodeRefused, []string{"clock"}},
		"a secret in an answer": {nil, slbtest.Fault{Status: 400, Code: "Odd", Message: "the secret " + slbtest.KeySecret + " is odd"},
			deploy.CodeFailed, []string{"the secret … is odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 50, 50)
			if c.fault.Code != "" {
				r.cloud.Fail(1, c.fault)
			}
			_, err := open(t, r.cloud.Settings(r.group), c.change).Observe(limited(t, 10*time.Second), out(1))
			wantError(t, err, c.code, c.says...)
		})
	}
}

func TestASilentEndpointIsUnavailableAfterTheTimeout(t *testing.T) {
	r := newRig(t, 50, 50)
	r.cloud.Silence()
	d := open(t, r.cloud.Settings(r.group), map[string]any{"timeout": "100ms"})
	wantError(t, d.Route(limited(t, 20*time.Second), out(1)), deploy.CodeUnavailable, "did not answer within 100ms")
}

func TestACancelledCallReturnsAtOnceAndDecidesNothing(t *testing.T) {
	r := newRig(t, 50, 50)
	r.cloud.Silence()
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- r.driver.Route(ctx, out(1)) }()
	cancel()
	wantError(t, <-ended, deploy.CodeCancelled)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("after %s", took)
	}
}

func TestAnEndpointThatIsNotTheAPIIsToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    deploy.Code
	}{
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) }, deploy.CodeFailed},
		"a redirect": {func(w http.ResponseWriter, _ *http.Request) {
			http.Redirect(w, &http.Request{}, "http://127.0.0.1:1/", http.StatusFound)
		}, deploy.CodeFailed},
		"a cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, deploy.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 50)
			s := httptest.NewServer(c.handler)
			defer s.Close()
			_, err := open(t, r.cloud.Settings(r.group), map[string]any{"endpoint": s.URL}).Observe(limited(t, 10*time.Second), out(1))
			wantError(t, err, c.code, s.URL)
		})
	}
}

func TestAnEndpointThatCannotBeReachedIsNamedWithoutItsQuery(t *testing.T) {
	r := newRig(t, 50)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := open(t, r.cloud.Settings(r.group), map[string]any{"endpoint": gone.URL}).Observe(t.Context(), out(1))
	wantError(t, err, deploy.CodeUnavailable, "cannot be reached")
	if errors.Unwrap(err) == nil {
		t.Error("the cause is lost")
	}
}
