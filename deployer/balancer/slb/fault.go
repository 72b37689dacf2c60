package slb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"ipublish/deploy"
)

// messageLimit is how much of the API's own words is repeated.
const messageLimit = 300

// fault is an error that the API answered.
type fault struct {
	status    int
	Code      string
	Message   string
	RequestID string `json:"RequestId"`
}

// Error implements error for the operator's log.
func (f *fault) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s (request %s)", f.status, f.Code, f.Message, f.RequestID)
}

// readFault decodes an error's body, with the secret taken out wherever it might
// be repeated; Code stays empty where it is none of the API's.
func readFault(status int, body []byte, secret string) *fault {
	f := &fault{}
	if json.Unmarshal(bytes.ReplaceAll(body, []byte(secret), []byte("…")), f) != nil {
		f = &fault{}
	}
	f.status = status
	f.Message = strings.ToValidUTF8(f.Message[:min(len(f.Message), messageLimit)], "")
	return f
}

// cause names the fault in a few words.
func (f *fault) cause() string {
	if f.Code == "" {
		return fmt.Sprintf("HTTP %d", f.status)
	}
	return f.Code
}

// passing reports whether the same call may well succeed a moment later: too many
// calls (Throttling, Throttling.User, …), a configuration of this load balancer
// that is pending, a passing trouble of the service. Page "Error codes"; a nonce
// is new at the next attempt.
func (f *fault) passing() bool {
	busy := []string{
		"BackendServer.configuring", "ServiceIsConfiguring", "ServiceIsStopping", "VServerGroupProcessing", "OperationBusy", "SystemBusy",
		"ServiceUnavailable", "InternalError", "LocationServiceTimeout", "SignatureNonceUsed",
	}
	return f.in("Throttling") || slices.Contains(busy, f.Code) || f.status >= http.StatusInternalServerError || f.status == http.StatusTooManyRequests
}

// in reports whether the code is family or begins with family and a dot.
func (f *fault) in(family string) bool {
	return f.Code == family || strings.HasPrefix(f.Code, family+".")
}

// verdict says what a fault that does not pass by itself means, and what to do.
func (c *client) verdict(action string, f *fault) error {
	s := c.settings
	to := func(code deploy.Code, format string, args ...any) error {
		return &deploy.Error{Code: code, Op: action, Message: fmt.Sprintf(format, args...), Err: f}
	}
	switch {
	case f.Code == "SignatureDoesNotMatch" || f.Code == "IncompleteSignature":
		return to(deploy.CodeRefused, "Aliyun does not accept the signature: access_key_secret of balancer.slb is not the secret of %s", s.AccessKeyID)
	case f.in("InvalidAccessKeyId"):
		return to(deploy.CodeRefused, "Aliyun does not know the access key %s of balancer.slb, or it is switched off", s.AccessKeyID)
	case f.in("InvalidTimeStamp") || f.in("IllegalTimestamp"):
		return to(deploy.CodeRefused, "the clock of this machine is more than 15 minutes off Aliyun's: set it, for example by ntp")
	case f.in("Forbidden") || f.in("NoPermission") || f.Code == "ActionUnauthorized":
		return to(deploy.CodeRefused, "the access key %s may not do %s: grant it slb:DescribeVServerGroupAttribute, slb:SetVServerGroupAttribute and slb:DescribeHealthStatus for %s", s.AccessKeyID, action, s.LoadBalancerID)
	case f.names("VServerGroupId"):
		return to(deploy.CodeNotFound, "there is no vServer group %s in region %s: see vserver_group_id and region of balancer.slb", s.VServerGroupID, s.Region)
	case f.names("LoadBalancerId"):
		return to(deploy.CodeNotFound, "there is no load balancer %s in region %s: see load_balancer_id and region of balancer.slb", s.LoadBalancerID, s.Region)
	case f.Code == "":
		return to(deploy.CodeFailed, "%s answered with HTTP status %d, which is not Aliyun's API: is the endpoint of balancer.slb right?", s.Endpoint, f.status)
	}
	return to(deploy.CodeFailed, "Aliyun refused %s for %s with %s: %s", action, s.LoadBalancerID, f.Code, f.Message)
}

// names reports whether the fault is about a parameter: as InvalidX or
// InvalidX.NotFound, or InvalidParameter whose message names it.
func (f *fault) names(parameter string) bool {
	return f.in("Invalid"+parameter) || f.Code == "InvalidParameter" && strings.Contains(f.Message, parameter)
}
