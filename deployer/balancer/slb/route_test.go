package slb_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/slb"
	"ipublish/deployer/balancer/slbtest"
)

func TestAHostGoesOutAndComesBackWithItsRecordedWeight(t *testing.T) {
	r := newRig(t, 100, 37, 100)
	before, _ := r.observe(t, 2)
	if before.Weights[addr(2)] != 37 {
		t.Fatalf("the weight before is told as %v", before.Weights)
	}
	r.route(t, out(2))
	r.wantWeights(t, "100 0 100")
	r.route(t, in(2, before.Weights[addr(2)]))
	r.wantWeights(t, "100 37 100")
}

func TestAChangeNamesNoOtherServer(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Servers: []slbtest.Server{
		{ID: serverID(1), Port: port, Weight: 10}, {ID: serverID(1), Port: 9002, Weight: 20}, {ID: serverID(2), Port: port, Weight: 30},
	}})
	r.route(t, out(1))
	r.wantWeights(t, "0 20 30")
	calls := r.cloud.Calls(slbtest.Set)
	if len(calls) != 1 || len(calls[0].Servers()) != 1 || calls[0].Servers()[0]["Port"] != fmt.Sprint(port) {
		t.Errorf("%v", calls)
	}
}

func TestRoutingTwiceIsRoutingOnce(t *testing.T) {
	r := newRig(t, 50, 50)
	for range 2 {
		r.route(t, out(1))
		r.wantWeights(t, "0 50")
	}
	for range 2 {
		r.route(t, in(1, 37))
		r.wantWeights(t, "37 50")
	}
}

// The weight reads as it should be, and the change of a driver that was killed is
// about to turn it over.
func TestAPendingChangeOfAKilledDriverDoesNotWin(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Lag: slbtest.Lag{Readable: 300 * time.Millisecond}, Servers: []slbtest.Server{{ID: serverID(1), Port: port}}})
	ctx, kill := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.driver.Route(ctx, in(1, 37)) }()
	eventually(t, "the change is pending", func() bool { return len(r.cloud.Calls(slbtest.Set)) == 1 })
	kill()
	wantError(t, <-ended, deploy.CodeCancelled)
	r.wantWeights(t, "0")
	r.route(t, out(1))
	eventually(t, "nothing is pending any more", func() bool { return !r.group.Configuring() })
	r.wantWeights(t, "0")
}

func TestWithoutARecordedWeightAHostComesBackAsTheOthersAre(t *testing.T) {
	for name, c := range map[string]struct {
		weights []int
		want    string
	}{
		"the weight that most have":        {[]int{0, 40, 40, 60, 0, 0, 0}, "40 40 40 60 0 0 0"},
		"of two as frequent, the smaller":  {[]int{0, 60, 20}, "20 60 20"},
		"with a weight, it keeps it":       {[]int{7, 40, 40}, "7 40 40"},
		"nothing to be in proportion to":   {[]int{0, 0}, "100 0"},
		"the only server of all":           {[]int{0}, "100"},
		"another's 0 is nobody's example ": {[]int{0, 0, 3}, "3 0 3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.weights...)
			r.route(t, in(1, 0))
			r.wantWeights(t, c.want)
		})
	}
}

func TestTwentyOneHostsOfOneStepAreTwoCalls(t *testing.T) {
	weights := make([]int, 22)
	hosts := make([]int, 21)
	for i := range weights {
		weights[i] = 5
	}
	for i := range hosts {
		hosts[i] = i + 1
	}
	r := newRig(t, weights...)
	r.route(t, out(hosts...))
	r.wantWeights(t, strings.Repeat("0 ", 21)+"5")
	var sizes []int
	for _, c := range r.cloud.Calls(slbtest.Set) {
		sizes = append(sizes, len(c.Servers()))
	}
	if fmt.Sprint(sizes) != "[20 1]" {
		t.Errorf("calls of %v servers", sizes)
	}
}

func TestARefusalInTheMiddlePutsTheFirstOnesBack(t *testing.T) {
	weights := make([]int, 21)
	hosts := make([]int, 21)
	for i := range weights {
		weights[i], hosts[i] = i+1, i+1
	}
	r := newRig(t, weights...)
	was := r.weights()
	r.cloud.Fail(1, slbtest.Fault{Action: slbtest.Set, Skip: 1, Status: 400, Code: "RspoolVipExist", Message: "no"})
	wantError(t, r.driver.Route(limited(t, 20*time.Second), out(hosts...)), deploy.CodeFailed, "RspoolVipExist")
	r.wantWeights(t, was)
}

func TestARefusalOfTheWayBackIsForAPerson(t *testing.T) {
	weights := make([]int, 21)
	hosts := make([]int, 21)
	for i := range weights {
		weights[i], hosts[i] = 1, i+1
	}
	r := newRig(t, weights...)
	r.cloud.Fail(1, slbtest.Fault{Action: slbtest.Set, Skip: 1, Status: 400, Code: "RspoolVipExist", Message: "no"})
	r.cloud.Fail(1, slbtest.Fault{Action: slbtest.Set, Status: 400, Code: "RspoolVipExist", Message: "no"})
	wantError(t, r.driver.Route(limited(t, 20*time.Second), out(hosts...)), deploy.CodeHold, "only some servers of rsp-test1")
}

func TestThrottledAndBusyAnswersAreAskedAgain(t *testing.T) {
	for name, f := range map[string]slbtest.Fault{"throttled": slbtest.Throttled(), "busy": slbtest.Busy(), "unavailable": slbtest.Unavailable()} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 50, 50)
			r.cloud.Fail(2, f)
			r.route(t, out(1))
			r.wantWeights(t, "0 50")
		})
	}
}

func TestBusyUntilTheTimeIsUpChangesNothingAndSaysSo(t *testing.T) {
	r := newRig(t, 50, 50)
	r.cloud.Fail(100, slbtest.Busy())
	wantError(t, r.driver.Route(limited(t, 700*time.Millisecond), out(1)), deploy.CodeTimeout, "BackendServer.configuring", "lb-test1")
	r.wantWeights(t, "50 50")
}

func TestAChangeThatIsReadableLaterIsWaitedFor(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Lag: slbtest.Lag{Readable: 300 * time.Millisecond}, Servers: []slbtest.Server{{ID: serverID(1), Port: port, Weight: 50}}})
	r.route(t, out(1))
	r.wantWeights(t, "0")
	if n := len(r.cloud.Calls(slbtest.Set)); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAChangeThatWasAcceptedAndNotDoneIsAskedForAgain(t *testing.T) {
	r := newRig(t, 50, 50)
	r.cloud.Ignore(1)
	r.route(t, out(1))
	r.wantWeights(t, "0 50")
}

func TestAChangeThatIsNeverDoneIsNoSuccess(t *testing.T) {
	r := newRig(t, 50, 50)
	r.cloud.Ignore(-1)
	wantError(t, r.driver.Route(limited(t, 1500*time.Millisecond), out(1)), deploy.CodeTimeout, "has not set them", serverID(1)+":9001")
}

// Each change is pending for a while; the second at once would be answered busy.
func TestChangesOfOneLoadBalancerTakeTurns(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Lag: slbtest.Lag{Readable: 100 * time.Millisecond}, Servers: []slbtest.Server{
		{ID: serverID(1), Port: port, Weight: 5}, {ID: serverID(2), Port: port, Weight: 5}, {ID: serverID(3), Port: port, Weight: 5},
	}})
	var turns slb.Turns
	var all sync.WaitGroup
	for i := 1; i <= 3; i++ {
		d, err := turns.New(r.cloud.Settings(r.group), nil)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if err := d.Route(limited(t, 20*time.Second), out(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r.wantWeights(t, "0 0 0")
	if n := len(r.cloud.Calls(slbtest.Set)); n != 3 {
		t.Errorf("%d changes: some were answered busy", n)
	}
}

func TestADriverWithoutTurnsIsPatientWithAnotherOnesChange(t *testing.T) {
	r := rigOf(t, &slbtest.Group{Lag: slbtest.Lag{Readable: 300 * time.Millisecond}, Servers: []slbtest.Server{
		{ID: serverID(1), Port: port, Weight: 5}, {ID: serverID(2), Port: port, Weight: 5},
	}})
	var all sync.WaitGroup
	for i := 1; i <= 2; i++ {
		d := open(t, r.cloud.Settings(r.group), nil)
		all.Go(func() {
			if err := d.Route(limited(t, 20*time.Second), out(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r.wantWeights(t, "0 0")
}

func TestATurnThatNeverComesEndsWithItsContext(t *testing.T) {
	r := newRig(t, 5, 5)
	r.cloud.Silence()
	var turns slb.Turns
	first, err := turns.New(r.cloud.Settings(r.group), nil)
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan error, 2)
	for i := 1; i <= 2; i++ {
		go func() { ends <- first.Route(limited(t, 200*time.Millisecond), out(i)) }()
	}
	for range 2 {
		wantError(t, <-ends, deploy.CodeTimeout)
	}
}
