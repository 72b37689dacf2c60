package slb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ipublish/deploy"
)

// settings is the section balancer.slb of the configuration.
type settings struct {
	Region          string           `json:"region"`
	LoadBalancerID  string           `json:"load_balancer_id"`
	VServerGroupID  string           `json:"vserver_group_id"`
	ListenerPort    int              `json:"listener_port"`
	AccessKeyID     string           `json:"access_key_id"`
	AccessKeySecret string           `json:"access_key_secret"`
	Endpoint        string           `json:"endpoint"`
	Timeout         deploy.Duration  `json:"timeout"`
	Settle          *deploy.Duration `json:"settle"`
}

const (
	defaultTimeout = 10 * time.Second
	// defaultSettle is a guess on the safe side: no page gives a figure, and the
	// API itself calls a configuration pending for some seconds.
	defaultSettle = 5 * time.Second
)

// readSettings decodes strictly, fills in the defaults and judges the values.
func readSettings(raw json.RawMessage) (settings, error) {
	var s settings
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return s, invalid("%s (the keys of balancer.slb are region, load_balancer_id, vserver_group_id, listener_port, access_key_id, access_key_secret, endpoint, timeout and settle)",
				strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	s.fillIn()
	return s, s.check()
}

func (s *settings) fillIn() {
	if s.Endpoint == "" {
		s.Endpoint = endpointOf(s.Region)
	}
	s.Endpoint = strings.TrimSuffix(s.Endpoint, "/")
	if s.Timeout == 0 {
		s.Timeout = deploy.Duration(defaultTimeout)
	}
	if s.Settle == nil {
		usual := deploy.Duration(defaultSettle)
		s.Settle = &usual
	}
}

// endpointOf is the API's address for a region: page "Endpoints". Hangzhou has
// the central one.
func endpointOf(region string) string {
	if region == "cn-hangzhou" {
		return "https://slb.aliyuncs.com"
	}
	return "https://slb." + region + ".aliyuncs.com"
}

var (
	regionForm = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)
	idForm     = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	keyForm    = regexp.MustCompile(`^[!-~]+$`)
)

func (s settings) check() error {
	switch {
	case !regionForm.MatchString(s.Region):
		return invalid("region %q: give the region of the load balancer, such as cn-hangzhou", s.Region)
	case !idForm.MatchString(s.LoadBalancerID):
		return invalid("load_balancer_id %q: give the load balancer's ID as its console has it, such as lb-bp1qjwo61pqz3ahltv0mw", s.LoadBalancerID)
	case !idForm.MatchString(s.VServerGroupID):
		return invalid("vserver_group_id %q: give the ID of the vServer group that the listener sends requests to, such as rsp-cige6j5e7p", s.VServerGroupID)
	case s.ListenerPort < 1 || s.ListenerPort > 65535:
		return invalid("listener_port %d: give the port that users connect to, such as 80; its health check is what ipublish asks for", s.ListenerPort)
	case !keyForm.MatchString(s.AccessKeyID):
		return invalid("access_key_id is missing or holds blanks: give it as a reference, such as ${SLB_ACCESS_KEY_ID}")
	case !keyForm.MatchString(s.AccessKeySecret):
		return invalid("access_key_secret is missing or holds blanks: give it as a reference, such as ${file:/etc/ipublish/slb_secret}")
	}
	return checkEndpoint(s.Endpoint)
}

// checkEndpoint wants TLS: a signature proves who asks, and nothing proves who
// answers without it.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	bare := err == nil && u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.Hostname() != ""
	if !bare || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return invalid("endpoint %q: give https:// and a host name, such as https://slb.cn-shanghai.aliyuncs.com, or leave it out", endpoint)
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "configure", Subject: "balancer slb", Message: fmt.Sprintf(format, args...)}
}
