package dingtalkgateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipublish/bot/bottest"
)

// client is a bot that does what a test tells it.
type client struct {
	*Gateway
	t *testing.T
}

func newClient(t *testing.T, options ...Option) client {
	return client{New(t, bottest.NewDingTalk(t), options...), t}
}

type object = map[string]any

func (c client) ask(body object) (status int, answer map[string]string) {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.Post(c.URL+"/v1.0/gateway/connections/open", "application/json", bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func (c client) request() object {
	return object{"clientId": c.ClientID, "clientSecret": c.ClientSecret, "subscriptions": []object{{"type": "CALLBACK", "topic": TopicRobot}}}
}

func (c client) ticket() (address string) {
	c.t.Helper()
	status, answer := c.ask(c.request())
	if status != http.StatusOK {
		c.t.Fatalf("no ticket: %d %v", status, answer)
	}
	return answer["endpoint"] + "?ticket=" + url.QueryEscape(answer["ticket"])
}

func (c client) dial(address string) (*websocket.Conn, bool) {
	c.t.Helper()
	had := c.Opened()
	ws, resp, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		if resp == nil || resp.StatusCode != http.StatusUnauthorized {
			c.t.Errorf("refused with %v, %v", resp, err)
		}
		return nil, false
	}
	c.t.Cleanup(func() { ws.Close() })
	if err := c.WaitOpened(c.soon(), had+1); err != nil {
		c.t.Fatal(err)
	}
	return ws, true
}

func (c client) connected() *websocket.Conn {
	c.t.Helper()
	ws, ok := c.dial(c.ticket())
	if !ok {
		c.t.Fatal("not connected")
	}
	return ws
}

// read returns the next frame's topic, messageId and data.
func (c client) read(ws *websocket.Conn) (topic, id, data string) {
	c.t.Helper()
	var in struct {
		Headers map[string]string
		Data    string
	}
	if err := ws.ReadJSON(&in); err != nil {
		c.t.Fatal(err)
	}
	return in.Headers["topic"], in.Headers["messageId"], in.Data
}

// breaches returns what the bot did wrong, which then no longer fails the test.
func (c client) breaches(n int) []string {
	c.t.Helper()
	var out []string
	if err := c.await(c.soon(), "breaches", func() bool { return len(c.wrong) >= n }); err != nil {
		c.t.Fatal(err)
	}
	c.locked(func() { out, c.wrong = c.wrong, nil })
	return out
}

func (c client) soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

func TestATicketWorksOnceAndForNinetySeconds(t *testing.T) {
	c := newClient(t)
	address := c.ticket()
	if _, ok := c.dial(address); !ok {
		t.Error("a fresh ticket was refused")
	}
	if _, ok := c.dial(address); ok {
		t.Error("a ticket worked twice")
	}
	address = c.ticket()
	c.Advance(91 * time.Second)
	if _, ok := c.dial(address); ok {
		t.Error("a ticket worked after 91 seconds")
	}
	address = c.ticket()
	c.ExpireTickets()
	for _, a := range []string{address, c.ticket()} {
		if _, ok := c.dial(a); ok {
			t.Error("an expired ticket worked")
		}
	}
	c.SpendTicket()
	if _, ok := c.dial(c.ticket()); ok {
		t.Error("a used ticket worked")
	}
	address = c.ticket()
	unescaped, err := url.QueryUnescape(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.dial(unescaped); ok {
		t.Error("a ticket worked that was not escaped")
	}
	if _, ok := c.dial(address); !ok || c.Opened() != 2 {
		t.Errorf("%d connections", c.Opened())
	}
}

func TestOpenWantsTheAppAndItsSubscriptions(t *testing.T) {
	c := newClient(t)
	for key, bad := range map[string]any{
		"clientId": "another", "clientSecret": "wrong", "subscriptions": []object{},
	} {
		body := c.request()
		body[key] = bad
		if status, answer := c.ask(body); status != 400 && status != 401 || answer["code"] == "" {
			t.Errorf("%s: %d %v", key, status, answer)
		}
	}
	body := c.request()
	for _, bad := range []object{{"type": "CALLBACK"}, {"type": "callback", "topic": TopicRobot}} {
		body["subscriptions"] = []object{bad}
		if status, _ := c.ask(body); status != 400 {
			t.Errorf("%v: %d", bad, status)
		}
	}
}

func TestAMessageGoesToOneConnectionThatSubscribedAndNeverAgain(t *testing.T) {
	c := newClient(t)
	if _, ok := c.Say("ada", "cid", "status"); ok {
		t.Error("a message without a connection was not lost")
	}
	body := c.request()
	body["subscriptions"] = []object{{"type": "EVENT", "topic": "*"}}
	_, answer := c.ask(body)
	if _, ok := c.dial(answer["endpoint"] + "?ticket=" + url.QueryEscape(answer["ticket"])); !ok {
		t.Fatal("not connected")
	}
	if _, ok := c.Say("ada", "cid", "status"); ok {
		t.Error("a message went to a connection that did not subscribe it")
	}
	first, second := c.connected(), c.connected()
	id, ok := c.Say("ada", "cid", "status")
	if !ok {
		t.Fatal("the message was lost")
	}
	got := make(chan *websocket.Conn, 2)
	for _, ws := range []*websocket.Conn{first, second} {
		go func() {
			if _, raw, err := ws.ReadMessage(); err == nil && strings.Contains(string(raw), id) {
				ws.Close()
				got <- ws
			}
		}()
	}
	<-got
	if _, err := c.WaitAck(c.soon(), id); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("got %v", err)
	}
	if len(got) != 0 {
		t.Error("the message came twice")
	}
}

func TestADisconnectedConnectionGetsNothingMoreAndIsClosedLater(t *testing.T) {
	c := newClient(t, Quiet(20*time.Millisecond))
	ws := c.connected()
	before, _ := c.Say("ada", "cid", "status")
	c.Disconnect()
	if c.Connections() != 0 || c.Sockets() != 1 {
		t.Errorf("%d of %d sockets get messages", c.Connections(), c.Sockets())
	}
	if _, ok := c.Say("ada", "cid", "status"); ok {
		t.Error("a message went to it")
	}
	_, id, _ := c.read(ws)
	if topic, _, _ := c.read(ws); topic != "disconnect" {
		t.Errorf("told %s", topic)
	}
	c.answer(ws, id, `{"response":null}`)
	if ack, err := c.WaitAck(c.soon(), before); err != nil || ack.Code != 200 {
		t.Errorf("late answer: %+v, %v", ack, err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("ended with %v", err)
	}
}

func (c client) answer(ws *websocket.Conn, id, data string) {
	c.t.Helper()
	err := ws.WriteJSON(object{"code": 200, "message": "OK", "headers": object{"messageId": id, "contentType": "application/json"}, "data": data})
	if err != nil {
		c.t.Error(err)
	}
}

func TestEveryBreachOfTheProtocolIsNoted(t *testing.T) {
	c := newClient(t)
	ws := c.connected()
	next := func(f Frame) (id string) {
		if _, ok := c.Push(f); !ok {
			t.Fatal("no connection")
		}
		_, id, _ = c.read(ws)
		return id
	}
	ping := Frame{Type: "SYSTEM", Topic: "ping", Data: `{"opaque":"1"}`}
	c.answer(ws, "never sent", "{}")
	c.answer(ws, next(ping), `{"opaque":"2"}`)
	c.answer(ws, next(Frame{Type: "CALLBACK", Topic: TopicRobot, Data: "{}"}), `{"text":"hi"}`)
	c.answer(ws, next(Frame{Type: "EVENT", Topic: "*", Data: "{}"}), `no JSON`)
	id := next(ping)
	c.answer(ws, id, ping.Data)
	c.answer(ws, id, ping.Data)
	for _, raw := range []string{"x", "{}", `{"code":200,"headers":{"messageId":"x"},"data":{}}`} {
		_ = ws.WriteMessage(websocket.TextMessage, []byte(raw))
	}
	_ = ws.WriteJSON(object{"code": 201, "message": "OK", "headers": object{"messageId": next(ping), "contentType": "application/json"}, "data": ping.Data})
	_ = ws.WriteJSON(object{"code": 200, "message": "OK", "headers": object{"messageId": next(ping)}, "data": ping.Data})
	_ = ws.WriteMessage(websocket.BinaryMessage, []byte("{}"))
	if got := c.breaches(11); len(got) != 11 {
		t.Errorf("%d breaches: %q", len(got), got)
	}
}

func TestASilentConnectionStaysOpenAndAnswersNothing(t *testing.T) {
	c := newClient(t)
	ws := c.connected()
	c.GoSilent()
	ponged := make(chan struct{}, 1)
	ws.SetPongHandler(func(string) error { ponged <- struct{}{}; return nil })
	if err := ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Say("ada", "cid", "status"); ok || c.Sockets() != 1 || c.Connections() != 0 {
		t.Error("it gets messages")
	}
	_ = ws.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, _, err := ws.ReadMessage(); err == nil || websocket.IsCloseError(err, websocket.CloseNormalClosure) || len(ponged) != 0 {
		t.Errorf("it is not silent: %v", err)
	}
}

func TestTheOrganisationAnswersAtTheSameAddress(t *testing.T) {
	c := newClient(t)
	robot := c.Robot("all", "", "")
	resp, err := http.Post(robot, "application/json", strings.NewReader(`{"msgtype":"text","text":{"content":"hello"}}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	m, err := c.WaitSent(c.soon(), func(m bottest.DingTalkMessage) bool { return m.Text == "hello" })
	if err != nil || m.Channel != "webhook/all" || !strings.HasPrefix(robot, c.URL) || len(c.Sent()) != 1 {
		t.Errorf("sent %+v, %v", m, err)
	}
}
