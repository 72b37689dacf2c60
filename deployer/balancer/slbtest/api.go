package slbtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// serverLimit is how many entries one change may name.
const serverLimit = 20

// object is a JSON object of an answer.
type object map[string]any

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		answerFault(w, refusal("InvalidParameter", err.Error()))
		return
	}
	result, fault := c.handle(r.Method, r.Form)
	switch {
	case fault != nil:
		answerFault(w, fault)
	case result == nil:
		select { // silent
		case <-c.done:
		case <-r.Context().Done():
		}
	default:
		answer(w, http.StatusOK, result)
	}
}

// handle answers a call; without a result and a fault it gets no answer.
func (c *Cloud) handle(method string, p url.Values) (object, *Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		return nil, nil
	}
	if f := c.admit(method, p); f != nil {
		return nil, f
	}
	action := p.Get("Action")
	c.calls = append(c.calls, Call{Action: action, Params: p})
	if f, ok := c.fault(action); ok {
		return nil, &f
	}
	if p.Get("RegionId") != Region {
		return nil, refusal("InvalidRegionId.NotFound", "The specified region is not found.")
	}
	switch action {
	case Describe:
		return c.describe(p)
	case Set:
		return c.set(p)
	case Health:
		return c.health(p)
	}
	return nil, &Fault{Status: http.StatusForbidden, Code: "InvalidAction", Message: "The specified action is not valid."}
}

func (c *Cloud) describe(p url.Values) (object, *Fault) {
	g := c.group(p.Get("VServerGroupId"))
	if g == nil {
		return nil, unknownGroup()
	}
	return g.answer(), nil
}

func unknownGroup() *Fault {
	return refusal("InvalidParameter", "The specified VServerGroupId does not exist.")
}

func (g *Group) answer() object {
	var list []object
	for i, s := range g.Servers {
		list = append(list, object{"ServerId": s.ID, "Port": s.Port, "Weight": g.states[i].weight, "Type": s.Type, "ServerIp": s.IP, "Description": ""})
	}
	return object{"LoadBalancerId": g.LoadBalancer, "VServerGroupId": g.ID, "VServerGroupName": g.ID, "BackendServers": object{"BackendServer": list}}
}

// entry is an element of the parameter BackendServers: texts or numbers.
type entry struct {
	ServerID string `json:"ServerId"`
	ServerIP string `json:"ServerIp"`
	Weight   any    `json:"Weight"`
	Port     any    `json:"Port"`
	Type     string `json:"Type"`
}

func (c *Cloud) set(p url.Values) (object, *Fault) {
	g := c.group(p.Get("VServerGroupId"))
	var entries []entry
	switch err := json.Unmarshal([]byte(p.Get("BackendServers")), &entries); {
	case g == nil:
		return nil, unknownGroup()
	case err != nil:
		return nil, refusal("InvalidParameter", "The specified parameter BackendServers is invalid.")
	case len(entries) > serverLimit:
		return nil, refusal("InvalidParameter", "The number of BackendServers exceeds 20.")
	case c.configuring(g.LoadBalancer):
		f := Busy()
		return nil, &f
	}
	changes := map[int]int{}
	for _, e := range entries {
		i, weight, fault := g.read(e)
		if fault != nil {
			return nil, fault
		}
		changes[i] = weight
	}
	if c.ignored != 0 {
		c.ignored = max(c.ignored-1, -1)
		return g.answer(), nil
	}
	for i, weight := range changes {
		g.change(i, weight)
	}
	return g.answer(), nil
}

// configuring reports whether any group of a load balancer has a change pending.
func (c *Cloud) configuring(balancer string) bool {
	return slices.ContainsFunc(c.groups, func(g *Group) bool {
		g.settle(time.Now())
		return g.LoadBalancer == balancer && g.configuring()
	})
}

// read finds the server that an entry names, and its new weight.
func (g *Group) read(e entry) (int, int, *Fault) {
	weight, err := strconv.Atoi(fmt.Sprint(e.Weight))
	if e.Weight == nil {
		weight, err = 100, nil // the page's default
	}
	if err != nil || weight < 0 || weight > 100 {
		return 0, 0, refusal("InvalidWeight", "The specified weight is invalid.")
	}
	for i, s := range g.Servers {
		if s.ID == e.ServerID && strconv.Itoa(s.Port) == fmt.Sprint(e.Port) && (e.ServerIP == "" || e.ServerIP == s.IP) {
			if s.Type != "ecs" && e.Type != s.Type {
				return 0, 0, refusal("InvalidParameter", "The type of the server is mandatory.")
			}
			return i, weight, nil
		}
	}
	return 0, 0, refusal("ObtainIpFail", "The specified BackendServer does not exist.")
}

func (c *Cloud) health(p url.Values) (object, *Fault) {
	var list []object
	known := false
	for _, g := range c.groups {
		if g.LoadBalancer != p.Get("LoadBalancerId") {
			continue
		}
		known = true
		g.settle(time.Now())
		if port := p.Get("ListenerPort"); port != "" && port != strconv.Itoa(g.ListenerPort) {
			continue
		}
		for i, s := range g.Servers {
			list = append(list, object{"ServerId": s.ID, "ServerIp": s.IP, "Port": s.Port, "ListenerPort": g.ListenerPort,
				"Protocol": g.Protocol, "Type": s.Type, "ServerHealthStatus": g.reported(i)})
		}
	}
	if !known {
		return nil, &Fault{Status: http.StatusNotFound, Code: "InvalidLoadBalancerId.NotFound", Message: "The specified LoadBalancerId does not exist."}
	}
	return object{"BackendServers": object{"BackendServer": list}}, nil
}

func answerFault(w http.ResponseWriter, f *Fault) {
	answer(w, f.Status, object{"Code": f.Code, "Message": f.Message, "HostId": "slb.aliyuncs.com"})
}

func answer(w http.ResponseWriter, status int, o object) {
	o["RequestId"] = "365F4154-92F6-4AE4-92F8-7FF34B540710"
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(o) // the client may be gone: nothing is lost with it
}
