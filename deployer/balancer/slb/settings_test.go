package slb

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

const secret = "verySecret0000000000000000001"

func section(t *testing.T, change map[string]any) json.RawMessage {
	t.Helper()
	all := map[string]any{
		"region": "cn-shanghai", "load_balancer_id": "lb-1", "vserver_group_id": "rsp-1", "listener_port": 80,
		"access_key_id": "LTAI", "access_key_secret": secret,
	}
	for key, value := range change {
		all[key] = value
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheDefaultsAreTheRegionsEndpointTenSecondsAndACarefulSettle(t *testing.T) {
	for region, endpoint := range map[string]string{
		"cn-shanghai": "https://slb.cn-shanghai.aliyuncs.com", "cn-hangzhou": "https://slb.aliyuncs.com", "ap-southeast-6": "https://slb.ap-southeast-6.aliyuncs.com",
	} {
		s, err := readSettings(section(t, map[string]any{"region": region}))
		if err != nil {
			t.Fatal(err)
		}
		if s.Endpoint != endpoint || s.Timeout.D() != 10*time.Second || s.Settle.D() != 5*time.Second {
			t.Errorf("%s: %s, %s, %s", region, s.Endpoint, s.Timeout, *s.Settle)
		}
	}
	if s, err := readSettings(section(t, map[string]any{"settle": "0s", "endpoint": "http://127.0.0.1:1/"})); err != nil || *s.Settle != 0 || s.Endpoint != "http://127.0.0.1:1" {
		t.Errorf("%v: settle %s, endpoint %s", err, *s.Settle, s.Endpoint)
	}
}

func TestASectionThatCannotBeRightIsRefusedWithWhatToWrite(t *testing.T) {
	for want, change := range map[string]map[string]any{
		"such as cn-hangzhou":       {"region": ""},
		"such as lb-":               {"load_balancer_id": "my balancer"},
		"such as rsp-":              {"vserver_group_id": ""},
		"the port that users":       {"listener_port": 0},
		"access_key_id is missing":  {"access_key_id": ""},
		"${file:/etc/ipublish/":     {"access_key_secret": "two words " + secret},
		"keys of balancer.slb":      {"weight": 3},
		"is negative":               {"settle": "-1s"},
		"https:// and a host name":  {"endpoint": "http://slb.aliyuncs.com"},
		"endpoint \"https://h/?a\"": {"endpoint": "https://h/?a"},
		"region of type string":     {"region": 3},
	} {
		_, err := New(section(t, change), nil)
		if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want) {
			t.Errorf("%v: %v", change, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%v: the error tells the secret", change)
		}
	}
}
