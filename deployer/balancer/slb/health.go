package slb

import (
	"context"
	"strconv"
)

// health is what the load balancer's own check says of an entry.
type health string

const (
	normal   health = "normal"
	abnormal health = "abnormal"
	// unavailable: the check gave no answer, because there is none or because it
	// has not got that far.
	unavailable health = "unavailable"
	unlisted    health = "" // the listener does not know the entry
)

// checks are the answers of a listener's health check, as DescribeHealthStatus
// tells them.
type checks struct {
	BackendServers struct {
		BackendServer []check
	}
}

type check struct {
	ServerID           string `json:"ServerId"`
	ServerIP           string `json:"ServerIp"`
	Port               number `json:"Port"`
	ListenerPort       number `json:"ListenerPort"`
	ServerHealthStatus health
}

func (c *client) health(ctx context.Context) (checks, error) {
	var h checks
	err := c.call(ctx, "DescribeHealthStatus", map[string]string{
		"LoadBalancerId": c.settings.LoadBalancerID, "ListenerPort": strconv.Itoa(c.settings.ListenerPort),
	}, &h)
	return h, err
}

// of gives the health of an entry. Where it is listed more than once, for a
// second listener protocol or a forwarding rule, the worst answer counts, and a
// missing one only if there is no other.
func (h checks) of(s server, listener int) health {
	worst := unlisted
	for _, c := range h.BackendServers.BackendServer {
		if c.about(s, listener) && rank(c.ServerHealthStatus) > rank(worst) {
			worst = c.ServerHealthStatus
		}
	}
	return worst
}

func rank(h health) int {
	switch h {
	case unlisted:
		return 0
	case normal:
		return 2
	case abnormal:
		return 3
	default: // unavailable, and what the API may invent
		return 1
	}
}

func (c check) about(s server, listener int) bool {
	return c.ServerID == s.ServerID && c.Port == s.Port && (c.ListenerPort == 0 || int(c.ListenerPort) == listener) &&
		(c.ServerIP == "" || s.ServerIP == "" || c.ServerIP == s.ServerIP)
}

// off reports whether the listener checks nobody: it lists entries of the group
// and has no answer for any. One without an answer beside others with one is not
// checked yet.
func (h checks) off(g group, listener int) bool {
	best := unlisted
	for _, s := range g.servers() {
		if of := h.of(s, listener); rank(of) > rank(best) {
			best = of
		}
	}
	return best == unavailable
}
