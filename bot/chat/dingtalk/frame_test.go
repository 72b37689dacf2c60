package dingtalk

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"ipublish/deploy"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte(`{"specVersion":"1.0","type":"SYSTEM","headers":{"topic":"ping","messageId":"x","time":"1"},"data":"{\"opaque\":\"1\"}"}`))
	f.Add([]byte(`{"type":"CALLBACK","headers":{"topic":"/v1.0/im/bot/messages/get","messageId":"x"},"data":"{\"msgId\":\"1\"}"}`))
	f.Add([]byte(`{"headers":{"messageId":null},"data":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readFrame(raw)
		if err != nil {
			if deploy.CodeOf(err) != deploy.CodeInvalid || deploy.MessageOf(err) == "" {
				t.Errorf("unexplained: %v", err)
			}
			return
		}
		answer, err := json.Marshal(got.ack(200, got.Data))
		var back ack
		if err != nil || json.Unmarshal(answer, &back) != nil || back.Headers.MessageID != got.Headers.MessageID || back.Data != got.Data {
			t.Errorf("%q is answered by %s (%v)", raw, answer, err)
		}
		if _, err := readCommand([]byte(got.Data)); err != nil && deploy.MessageOf(err) == "" {
			t.Errorf("unexplained: %v", err)
		}
	})
}

func TestTheStreamGoesToDingTalkOrToTheVeryHostOfTheAPI(t *testing.T) {
	for _, c := range []struct {
		api, endpoint string
		want          bool
	}{
		{apiURL, "wss://wss-open-connection.dingtalk.com:443/connect", true},
		{apiURL, "wss://WSS-open-connection-union.DingTalk.com/connect", true},
		{apiURL, "ws://api.dingtalk.com/connect", false},
		{apiURL, "ws://api.dingtalk.com:443/connect", false},
		{apiURL, "wss://dingtalk.com.evil.example/", false},
		{apiURL, "wss://evil.example/?dingtalk.com", false},
		{apiURL, "wss://user@api.dingtalk.com/", false},
		{apiURL, "https://api.dingtalk.com/", false},
		{"https://ding.corp.example", "wss://ding.corp.example/connect", true},
		{"https://ding.corp.example:443", "wss://Ding.corp.example/connect", true},
		{"https://ding.corp.example", "ws://ding.corp.example/connect", false},
		{"https://ding.corp.example", "ws://ding.corp.example:443/connect", false},
		{"https://ding.corp.example", "wss://ding.corp.example:8443/connect", false},
		{"https://ding.corp.example", "wss://api.dingtalk.com/connect", true},
		{"http://127.0.0.1:8080", "ws://127.0.0.1:8080/connect", true},
		{"http://127.0.0.1:8080", "ws://127.0.0.1:8081/connect", false},
		{"http://[::1]:8080", "ws://[::1]:8080/connect", true},
		{"http://127.0.0.1", "ws://127.0.0.1:80/connect", true},
	} {
		chat := &Chat{config: Config{APIURL: c.api}}
		if _, err := chat.endpoint(c.endpoint); (err == nil) != c.want || err != nil && deploy.CodeOf(err) != deploy.CodeRefused {
			t.Errorf("%s from %s: %v", c.endpoint, c.api, err)
		}
	}
}

func TestPausesGrowToAMinuteAndStartAnewAfterAStableOne(t *testing.T) {
	c, err := New(Config{Transport: TransportStream, ClientID: "ding", ClientSecret: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(c, nil)
	gone := io.ErrUnexpectedEOF
	for i, seconds := range []int{3, 6, 12, 24, 48, 60, 60, 60, 60, 60, 60, 60, 60, 60} {
		full := time.Duration(seconds) * time.Second
		if got := l.next(); got < full/2 || got > full {
			t.Errorf("pause %d is %s", i, got)
		}
	}
	if got := l.lost(t.Context(), gone, time.Minute-1); got < 30*time.Second {
		t.Errorf("after a connection that did not hold: %s", got)
	}
	if got := l.lost(t.Context(), gone, time.Minute); got > 3*time.Second {
		t.Errorf("after a stable minute: %s", got)
	}
	if got := l.left(time.Second); got == 0 {
		t.Error("no pause where one connection after the other is to be closed")
	}
	if got := l.left(time.Hour); got != 0 {
		t.Errorf("an announced end is waited for %s", got)
	}
}
