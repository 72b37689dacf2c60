package slb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"ipublish/deploy"
)

// server is one entry of a vServer group.
type server struct {
	ServerID    string `json:"ServerId"`
	ServerIP    string `json:"ServerIp"`
	Port        number `json:"Port"`
	Weight      number `json:"Weight"`
	Type        string `json:"Type"` // ecs, eni or eci
	Description string `json:"Description"`
}

// number is an integer that the API writes as a number or as a text.
type number int

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	i, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*n = number(i)
	return err
}

// same reports whether both are one entry, whatever their weights.
func (s server) same(o server) bool {
	return s.ServerID == o.ServerID && s.Port == o.Port && s.ServerIP == o.ServerIP
}

// group is a vServer group as DescribeVServerGroupAttribute tells it.
type group struct {
	LoadBalancerID string `json:"LoadBalancerId"`
	BackendServers struct {
		BackendServer []server
	}
}

func (g group) servers() []server { return g.BackendServers.BackendServer }

// group reads the vServer group.
func (c *client) group(ctx context.Context) (group, error) {
	var g group
	err := c.call(ctx, "DescribeVServerGroupAttribute", map[string]string{"VServerGroupId": c.settings.VServerGroupID}, &g)
	if err == nil && g.LoadBalancerID != "" && g.LoadBalancerID != c.settings.LoadBalancerID {
		return g, invalid("the vServer group %s belongs to %s, not to %s: mend vserver_group_id or load_balancer_id of balancer.slb",
			c.settings.VServerGroupID, g.LoadBalancerID, c.settings.LoadBalancerID)
	}
	return g, err
}

// find gives the entry of a target: its label's ID with the port of its address;
// among several with both, which network interfaces may have, the one with its
// address.
func (g group) find(e deploy.Endpoint, groupID string) (server, error) {
	id := e.Labels["slb"]
	if id == "" {
		return server{}, invalid("%s has no label slb: add labels: { slb: i-… } to it under hosts, with the ID of its ECS instance", e.Host)
	}
	host, port, err := net.SplitHostPort(e.Addr)
	if err != nil {
		return server{}, invalid("the address %q of %s is not host:port", e.Addr, e.Host)
	}
	var found []server
	for _, s := range g.servers() {
		if s.ServerID == id && strconv.Itoa(int(s.Port)) == port {
			found = append(found, s)
		}
	}
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(s server) bool { return s.ServerIP != host })
	}
	if len(found) != 1 {
		return server{}, &deploy.Error{Code: deploy.CodeNotFound, Subject: string(e.Host),
			Message: fmt.Sprintf("%s is not in the vServer group %s as %s with port %s: add it there, or mend its label slb or the port", e.Host, groupID, id, port)}
	}
	return found[0], nil
}

// weightOf says what a target's entry is to have.
func (g group) weightOf(e deploy.Endpoint, now server) number {
	switch {
	case !e.Up:
		return 0
	case e.Weight > 0:
		return number(e.Weight)
	case now.Weight > 0:
		return now.Weight
	}
	return g.usual(now)
}

// usual is the weight above 0 that most of the other servers have, the smallest
// of several such; 100 where no other server has one.
func (g group) usual(but server) number {
	times := map[number]int{}
	for _, s := range g.servers() {
		if s.Weight > 0 && !s.same(but) {
			times[s.Weight]++
		}
	}
	usual := number(100)
	for w, n := range times {
		if by := cmp.Compare(n, times[usual]); by > 0 || by == 0 && w < usual {
			usual = w
		}
	}
	return usual
}

// aims are the entries of the targets with the weights that they are to have.
func (g group) aims(targets []deploy.Endpoint, groupID string) ([]server, error) {
	aims := make([]server, 0, len(targets))
	for _, e := range targets {
		s, err := g.find(e, groupID)
		if err != nil {
			return nil, err
		}
		s.Weight = g.weightOf(e, s)
		aims = append(aims, s)
	}
	return aims, nil
}

// open are the aims that the group does not have.
func (g group) open(aims []server) []server {
	return slices.DeleteFunc(slices.Clone(aims), func(a server) bool {
		return slices.ContainsFunc(g.servers(), func(s server) bool { return s.same(a) && s.Weight == a.Weight })
	})
}

// backend is an entry as SetVServerGroupAttribute takes it: every value a text,
// as in the page's own examples.
type backend struct {
	ServerID    string `json:"ServerId"`
	Weight      string `json:"Weight"`
	Type        string `json:"Type,omitempty"`
	Port        string `json:"Port"`
	ServerIP    string `json:"ServerIp,omitempty"`
	Description string `json:"Description,omitempty"`
}

// batch is how many servers a call takes: page "SetVServerGroupAttribute".
const batch = 20

// set asks for the weights of at most batch servers; the others keep theirs.
func (c *client) set(ctx context.Context, servers []server) error {
	list := make([]backend, 0, len(servers))
	for _, s := range servers {
		b := backend{ServerID: s.ServerID, Weight: strconv.Itoa(int(s.Weight)), Type: s.Type, Port: strconv.Itoa(int(s.Port)), Description: s.Description}
		if s.Type != "" && s.Type != "ecs" {
			b.ServerIP = s.ServerIP // tells the addresses of one interface apart
		}
		list = append(list, b)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	var answer struct{}
	return c.call(ctx, "SetVServerGroupAttribute", map[string]string{"VServerGroupId": c.settings.VServerGroupID, "BackendServers": string(text)}, &answer)
}
