package dingtalk_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/bot/bottest/dingtalkgateway"
	"ipublish/deploy"
)

func TestAConnectionThatIsToBeClosedIsReplacedFirstAndReadToItsEnd(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	s := listening(t, func(cmd deploy.Command) error {
		if cmd.Text == "slow" {
			begun <- struct{}{}
			<-release
		}
		return nil
	}, dingtalkgateway.Quiet(time.Hour))
	slow, _ := s.Say("manager4220", group, "slow")
	<-begun
	for _, id := range s.Disconnect() {
		if ack, err := s.WaitAck(soon(t), id); err != nil || ack.Code != http.StatusOK {
			t.Errorf("told to disconnect, it answered %+v, %v", ack, err)
		}
	}
	must(t, s.WaitConnections(soon(t), 1))
	if s.Sockets() != 2 || s.Opened() != 2 {
		t.Errorf("%d sockets of %d", s.Sockets(), s.Opened())
	}
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK {
		t.Errorf("on the new connection: %+v", ack)
	}
	close(release)
	if ack, err := s.WaitAck(soon(t), slow); err != nil || ack.Code != http.StatusOK {
		t.Errorf("on the old connection: %+v, %v", ack, err)
	}
	if s.log.count("stream of DingTalk is open") != 1 || s.log.count("lost") != 0 {
		t.Errorf("logged\n%s", s.log)
	}
}

func TestAConnectionThatIsNeverClosedIsLeftAfterAWhile(t *testing.T) {
	p := brisk
	p.Overlap, p.Pong = 50*time.Millisecond, time.Hour // silence alone would not end it
	s := newStream(t, p, dingtalkgateway.Quiet(time.Hour))
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	s.Disconnect()
	must(t, s.WaitOpened(soon(t), 2))
	must(t, s.WaitSockets(soon(t), 1))
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK {
		t.Errorf("acknowledged as %+v", ack)
	}
}

func TestASilentConnectionIsGivenUp(t *testing.T) {
	p := brisk
	p.Ping, p.Pong = 20*time.Millisecond, 200*time.Millisecond
	s := newStream(t, p)
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	must(t, s.Ping(soon(t)))
	s.GoSilent()
	must(t, s.WaitOpened(soon(t), 2))
	must(t, s.WaitSockets(soon(t), 1))
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK || s.log.count("was lost") != 1 || s.log.count("stream of DingTalk is open") != 2 {
		t.Errorf("acknowledged as %+v, logged\n%s", ack, s.log)
	}
}

func TestALostConnectionIsClosedAndReplacedThoughAHandlerIsAtWork(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	s := listening(t, func(cmd deploy.Command) error {
		if cmd.Text == "slow" {
			begun <- struct{}{}
			<-release
		}
		return nil
	})
	id, _ := s.Say("manager4220", group, "slow")
	<-begun
	s.GoSilent()
	must(t, s.WaitOpened(soon(t), 2))
	must(t, s.WaitSockets(soon(t), 1))
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK {
		t.Errorf("acknowledged as %+v", ack)
	}
	close(release)
	if _, err := s.WaitAck(soon(t), id); err == nil {
		t.Error("a message was acknowledged on a connection that was closed")
	}
}

func TestAQuietConnectionThatAnswersProbesIsKept(t *testing.T) {
	p := brisk
	p.Ping, p.Pong = time.Millisecond, 5*time.Second
	s := newStream(t, p)
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	must(t, s.WaitProbes(soon(t), 100))
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK || s.Opened() != 1 {
		t.Errorf("acknowledged as %+v on connection %d", ack, s.Opened())
	}
}

func TestTroubleIsToldOnceAndSoIsItsEnd(t *testing.T) {
	s := newStream(t, brisk)
	down := map[string]string{"code": "ServiceUnavailable", "message": "the gateway is down"}
	for range 5 {
		s.Refuse(http.StatusServiceUnavailable, down)
	}
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	s.acked(t, "status")
	if s.log.count("cannot be opened") != 1 || s.log.count("stream of DingTalk is open") != 1 {
		t.Errorf("logged\n%s", s.log)
	}
	for range 3 {
		s.Refuse(http.StatusServiceUnavailable, down)
	}
	s.Reset()
	must(t, s.WaitOpened(soon(t), 2))
	s.acked(t, "status")
	if s.log.count("was lost") != 1 || s.log.count("cannot be opened") != 2 || s.log.count("stream of DingTalk is open") != 2 {
		t.Errorf("logged\n%s", s.log)
	}
}

func TestWhatAPersonMustMendIsSaidInPlainWords(t *testing.T) {
	const wrong = "not the right secret at all"
	for name, c := range map[string]struct {
		secret string
		status int
		body   map[string]string
		level  string
		hint   string
	}{
		"a wrong secret":     {wrong, 0, nil, "ERROR", "copy both once more from Credentials"},
		"a wrong id, as 400": {"", 400, map[string]string{"code": "invalidClientIdOrSecret", "message": "无效的clientId或者clientSecret"}, "ERROR", "copy both once more from Credentials"},
		"another kind of app": {"", 400, map[string]string{"code": "robot.notStream", "message": "made up"}, "ERROR",
			"DingTalk opens no stream for this app (robot.notStream made up)"},
		"forbidden":       {"", 403, map[string]string{"code": "Forbidden.AccessDenied"}, "ERROR", "choose Stream mode under Robot"},
		"no gateway":      {"", 200, map[string]string{"hello": "world"}, "WARN", "check chat.dingtalk.api_url"},
		"a redirect":      {"", 302, nil, "WARN", "check chat.dingtalk.api_url"},
		"too many":        {"", 429, map[string]string{"code": "Throttling.Api"}, "WARN", "asks to wait"},
		"their own fault": {"", 504, map[string]string{"code": "gateway"}, "WARN", "problem of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, brisk)
			if c.secret != "" {
				s.chat = s.open(t, brisk, c.secret)
			} else {
				s.Refuse(c.status, c.body)
			}
			s.listen(t, nil)
			bottest.Eventually(t, "the trouble is told", func() bool { return s.log.count("cannot be opened") > 0 })
			if text := s.log.String(); !strings.Contains(text, c.hint) || !strings.Contains(text, "level="+c.level) {
				t.Errorf("logged\n%s", text)
			}
		})
	}
}

func TestNoServerButDingTalksGetsATicket(t *testing.T) {
	stranger := bottest.NewDingTalk(t)
	elsewhere := dingtalkgateway.New(t, stranger)
	host := strings.TrimPrefix(elsewhere.URL, "http://")
	s := newStream(t, brisk)
	addresses := []string{
		"ws://" + host + "/connect", "wss://" + host + "/connect", "wss://dingtalk.com.evil.example/connect", "wss://evildingtalk.com/connect",
		"ws://wss-open-connection.dingtalk.com/connect", "wss://dingtalk.com@" + host + "/connect", "http://" + host, "//" + host, "x", "wss:opaque", "://",
	}
	for _, a := range addresses {
		s.Endpoint(a)
	}
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	if elsewhere.Opened() != 0 || s.log.count("not its own") != 1 {
		t.Errorf("%d connections to a stranger, logged\n%s", elsewhere.Opened(), s.log)
	}
	s.acked(t, "status")
}

func TestNothingSecretIsLogged(t *testing.T) {
	s := newStream(t, brisk)
	s.SpendTicket()
	s.Endpoint("wss://127.0.0.1:1/connect")
	s.Refuse(http.StatusBadGateway, nil)
	s.listen(t, nil)
	must(t, s.WaitConnections(soon(t), 1))
	s.acked(t, "status")
	s.Reset()
	must(t, s.WaitOpened(soon(t), 2))
	s.stop()
	for _, secret := range []string{s.ClientSecret, "ticket+", "ticket=", "ticket%2B"} {
		if s.log.count(secret) != 0 {
			t.Errorf("%q is in the log:\n%s", secret, s.log)
		}
	}
}

// A server that takes a call and never answers holds nobody up.
func TestListenEndsWhileItConnects(t *testing.T) {
	for _, path := range []string{"/v1.0/gateway/connections/open", "/connect"} {
		t.Run(path, func(t *testing.T) {
			url, held := hanging(t, path)
			s := newStream(t, brisk)
			s.URL = url
			s.chat = s.open(t, brisk, s.ClientSecret)
			s.listen(t, nil)
			<-held
			began := time.Now()
			s.stop()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// hanging is a gateway that never answers calls of one path.
func hanging(t *testing.T, path string) (url string, held <-chan struct{}) {
	begun := make(chan struct{}, 1)
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == path {
			begun <- struct{}{}
			<-r.Context().Done()
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"endpoint": "ws" + strings.TrimPrefix(srv.URL, "http") + "/connect", "ticket": "x"})
	}))
	t.Cleanup(srv.Close)
	return srv.URL, begun
}

func TestWithHTTPListenOnlyWaits(t *testing.T) {
	d := bottest.NewDingTalk(t)
	g := dingtalkgateway.New(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- open(t, d).Listen(ctx, nil) }()
	cancel()
	if err := <-ended; err != nil || g.Opened() != 0 {
		t.Errorf("ended with %v after %d connections", err, g.Opened())
	}
}
