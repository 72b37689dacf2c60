package slbtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// The access key that a Cloud accepts.
const (
	KeyID     = "LTAI5tSlbTestKeyId000001"
	KeySecret = "slbTestKeySecret00000000000001"
)

// Region is where every load balancer of a Cloud stands.
const Region = "cn-hangzhou"

// The operations that a Cloud knows.
const (
	Describe = "DescribeVServerGroupAttribute"
	Set      = "SetVServerGroupAttribute"
	Health   = "DescribeHealthStatus"
)

// Cloud is the API, for one test. Its methods may be called by several
// goroutines, also while calls are under way.
type Cloud struct {
	URL string // the endpoint

	t      testing.TB
	done   chan struct{}
	checks sync.WaitGroup

	mu      sync.Mutex
	groups  []*Group
	nonces  map[string]bool
	calls   []Call
	faults  []Fault
	ignored int // coming changes that are answered with success and not done; -1: all
	silent  bool
}

// Call is one call that was signed correctly, refused or not.
type Call struct {
	Action string
	Params url.Values
}

// Servers are the entries of the parameter BackendServers.
func (c Call) Servers() []map[string]string {
	var list []map[string]string
	if json.Unmarshal([]byte(c.Params.Get("BackendServers")), &list) != nil {
		return nil
	}
	return list
}

// Fault is an error that the API answers in the place of a result.
type Fault struct {
	Action  string // empty: any
	Skip    int    // so many calls pass first
	Status  int
	Code    string
	Message string
}

// Throttled is the answer to an account that calls too often.
func Throttled() Fault {
	return Fault{Status: http.StatusBadRequest, Code: "Throttling.User", Message: "Request was denied due to user flow control."}
}

// Busy is the answer to a change while another one is pending.
func Busy() Fault {
	return Fault{Action: Set, Status: http.StatusBadRequest, Code: "BackendServer.configuring",
		Message: "A previous configuration of the load balancer is pending; please try again later."}
}

// Unavailable is the answer of a service in trouble.
func Unavailable() Fault {
	return Fault{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "The request has failed due to a temporary failure of the server."}
}

// Start runs an API without load balancers until the test ends.
func Start(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{t: t, done: make(chan struct{}), nonces: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = server.URL
	t.Cleanup(func() {
		close(c.done)
		server.CloseClientConnections()
		server.Close()
		c.checks.Wait()
	})
	return c
}

// Settings is a section balancer.slb for the group and the accepted key.
func (c *Cloud) Settings(g *Group) json.RawMessage {
	b, err := json.Marshal(map[string]any{
		"region": Region, "load_balancer_id": g.LoadBalancer, "vserver_group_id": g.ID, "listener_port": g.ListenerPort,
		"access_key_id": KeyID, "access_key_secret": KeySecret, "endpoint": c.URL, "settle": "0s",
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// Fail answers the next n calls that f is about with f.
func (c *Cloud) Fail(n int, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.faults = append(c.faults, f)
	}
}

// Ignore answers the next n changes with success and makes none of them; -1: all.
func (c *Cloud) Ignore(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ignored = n
}

// Silence lets every further call wait without an answer until the test ends.
func (c *Cloud) Silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
}

// Calls are the calls of an operation so far, in their order.
func (c *Cloud) Calls(action string) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.calls), func(k Call) bool { return k.Action != action })
}

// fault takes the next fault that is meant for an action.
func (c *Cloud) fault(action string) (Fault, bool) {
	i := slices.IndexFunc(c.faults, func(f Fault) bool { return f.Action == "" || f.Action == action })
	if i < 0 {
		return Fault{}, false
	}
	f := c.faults[i]
	if f.Skip > 0 {
		c.faults[i].Skip--
		return Fault{}, false
	}
	c.faults = slices.Delete(c.faults, i, i+1)
	return f, true
}

// group finds a group; c.mu is held.
func (c *Cloud) group(id string) *Group {
	i := slices.IndexFunc(c.groups, func(g *Group) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	c.groups[i].settle(time.Now())
	return c.groups[i]
}
