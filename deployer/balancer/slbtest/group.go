package slbtest

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Server is one entry of a group.
type Server struct {
	ID     string // i-…, or eni-… with Type and IP
	Port   int
	Weight int
	Type   string // default ecs
	IP     string
	Addr   string // where the front and the check find it; default 127.0.0.1 with Port
	Health string // what is reported where the group has no Check; default normal
}

// Check is a group's health check, done by the fake itself.
type Check struct {
	Path     string        // GET by HTTP, 2xx and 3xx are good; empty: a TCP connect
	Interval time.Duration // default 50 ms
	Timeout  time.Duration // default 1 s
	Rise     int           // good results in a row to become normal; default 2
	Fall     int           // bad ones to become abnormal; default 2
}

// Lag is how much later than its answer a change takes effect.
type Lag struct {
	Readable time.Duration // until DescribeVServerGroupAttribute tells it; meanwhile every other change is answered Busy
	InForce  time.Duration // until the front follows it
}

// Group is a vServer group, with the load balancer and the listener in front of it.
type Group struct {
	ID           string // default rsp-test1
	LoadBalancer string // default lb-test1
	ListenerPort int    // as the API calls it; the front listens where there is room. Default 80
	Protocol     string // of the listener: http (default) or tcp
	Servers      []Server
	Check        *Check
	Lag          Lag

	cloud   *Cloud
	states  []*state // of Servers
	pending []pending
}

// state is what changes of a server while the fake runs; Cloud.mu guards it.
type state struct {
	weight  int    // as it is read
	force   int    // as the front has it
	health  string // as it is reported
	current int    // of the smooth round robin
	good    int    // results of the check in a row; below 0: bad ones
}

// pending is a change that was answered and is not in effect.
type pending struct {
	at     time.Time
	server int
	weight int
	force  bool // for the front; else for who reads
}

// Add gives the cloud a group and starts its check. The group must not be
// changed afterwards but by its methods.
func (c *Cloud) Add(g *Group) *Group {
	c.t.Helper()
	g.fillIn()
	g.cloud = c
	for i := range g.Servers {
		s := &g.Servers[i]
		s.fillIn()
		st := &state{weight: s.Weight, force: s.Weight, health: s.Health}
		if g.Check != nil {
			st.health = "unavailable"
		}
		g.states = append(g.states, st)
	}
	c.mu.Lock()
	c.groups = append(c.groups, g)
	c.mu.Unlock()
	g.startChecks()
	return g
}

func (g *Group) fillIn() {
	orText(&g.ID, "rsp-test1")
	orText(&g.LoadBalancer, "lb-test1")
	orText(&g.Protocol, "http")
	if g.ListenerPort == 0 {
		g.ListenerPort = 80
	}
}

func (s *Server) fillIn() {
	orText(&s.Type, "ecs")
	orText(&s.Health, "normal")
	orText(&s.Addr, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)))
}

func orText(v *string, def string) {
	if *v == "" {
		*v = def
	}
}

// Weight is a server's weight as it is read.
func (g *Group) Weight(id string, port int) int {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	g.settle(time.Now())
	return g.states[g.index(id, port)].weight
}

// SetWeight changes a server's weight at once, as somebody at the console does.
func (g *Group) SetWeight(id string, port, weight int) {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	st := g.states[g.index(id, port)]
	st.weight, st.force = weight, weight
}

// SetHealth reports another health of a server: normal, abnormal or unavailable.
// A Check goes on judging.
func (g *Group) SetHealth(id string, port int, health string) {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	g.states[g.index(id, port)].health = health
}

// Configuring reports whether a change was accepted and cannot be read yet.
func (g *Group) Configuring() bool {
	g.cloud.mu.Lock()
	defer g.cloud.mu.Unlock()
	g.settle(time.Now())
	return g.configuring()
}

// index finds a server; the test ends without it.
func (g *Group) index(id string, port int) int {
	for i, s := range g.Servers {
		if s.ID == id && s.Port == port {
			return i
		}
	}
	panic(fmt.Sprintf("slbtest: %s holds no %s:%d", g.ID, id, port))
}

// settle lets what is due take effect; Cloud.mu is held.
func (g *Group) settle(now time.Time) {
	var later []pending
	for _, p := range g.pending {
		switch {
		case now.Before(p.at):
			later = append(later, p)
		case p.force:
			g.states[p.server].force = p.weight
		default:
			g.states[p.server].weight = p.weight
		}
	}
	g.pending = later
}

// configuring reports whether a change cannot be read yet; Cloud.mu is held.
func (g *Group) configuring() bool {
	for _, p := range g.pending {
		if !p.force {
			return true
		}
	}
	return false
}

// change lets a server have another weight after the lag; Cloud.mu is held.
func (g *Group) change(server, weight int) {
	now := time.Now()
	g.pending = append(g.pending,
		pending{at: now.Add(g.Lag.Readable), server: server, weight: weight},
		pending{at: now.Add(g.Lag.InForce), server: server, weight: weight, force: true})
	g.settle(now)
}

// reported is a server's health as the API tells it; Cloud.mu is held.
func (g *Group) reported(i int) string {
	if g.Check != nil && g.Protocol == "tcp" && g.states[i].force == 0 {
		return "abnormal"
	}
	return g.states[i].health
}
