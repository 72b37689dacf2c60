package dingtalk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/bot/bottest"
	"ipublish/bot/bottest/dingtalkgateway"
	"ipublish/bot/chat/dingtalk"
	"ipublish/deploy"
)

func TestAMessageOverTheStreamIsTheSameCommandAsOverHTTP(t *testing.T) {
	s := listening(t, nil)
	if ack := s.acked(t, "deploy 功能/购物车"); ack.Code != http.StatusOK || ack.Data != `{"response":null}` {
		t.Errorf("acknowledged as %+v", ack)
	}
	id, _ := s.Say("somebody", "", "whoami")
	_, err := s.WaitAck(soon(t), id)
	must(t, err)
	cmds := s.log.commands()
	if len(cmds) != 2 {
		t.Fatalf("%d commands", len(cmds))
	}
	got := cmds[0]
	if got.Text != "deploy 功能/购物车" || got.Chat != "dingtalk" || got.Channel != "dingtalk:"+group || got.User != (deploy.Actor{ID: "dingtalk:manager4220", Name: "小钉"}) {
		t.Errorf("read as %+v", got)
	}
	if got = cmds[1]; got.Channel != "" || got.User.ID != "dingtalk:somebody" || got.Key != "dingtalk:"+id {
		t.Errorf("in private: %+v", got)
	}
	must(t, s.chat.Reply(t.Context(), cmds[0], deploy.Message{Lines: []string{"#142 is queued"}}))
	answer, err := s.WaitSent(soon(t), func(m bottest.DingTalkMessage) bool { return strings.Contains(m.Text, "142") })
	if err != nil || answer.Channel != "session" {
		t.Errorf("answered %+v, %v", answer, err)
	}
	if _, err := s.chat.Post(t.Context(), bottest.Card("dingtalk:"+group)); err != nil || len(s.Messages(group)) != 1 {
		t.Errorf("a message to the group: %v", err)
	}
}

func TestAMessageThatComesTwiceKeepsItsKey(t *testing.T) {
	s := listening(t, nil)
	for range 2 {
		_, ok := s.Deliver(bottest.DingTalkCommand{Text: "deploy", MsgID: "msg-said-once=="})
		if _, err := s.WaitAck(soon(t), "msg-said-once=="); err != nil || !ok {
			t.Fatal(err)
		}
	}
	if got := s.log.handled(); len(got) != 2 || got[0] != "dingtalk:msg-said-once==" || got[1] != got[0] {
		t.Errorf("keys %q", got)
	}
}

func TestEachFrameIsAcknowledgedAsDocumented(t *testing.T) {
	s := listening(t, func(cmd deploy.Command) error {
		if cmd.Text == "deploy nothing" {
			return &deploy.Error{Code: deploy.CodeUnavailable, Message: "no space left"}
		}
		return nil
	})
	must(t, s.Ping(soon(t)))
	robot := func(c bottest.DingTalkCommand) dingtalkgateway.Frame {
		return dingtalkgateway.Frame{Type: "CALLBACK", Topic: dingtalkgateway.TopicRobot, Data: string(s.Body(c))}
	}
	for name, want := range map[string]struct {
		frame dingtalkgateway.Frame
		code  int
	}{
		"a command":                      {robot(bottest.DingTalkCommand{Text: "status"}), 200},
		"a command that could not be":    {robot(bottest.DingTalkCommand{Text: "deploy nothing"}), 500},
		"somebody outside":               {robot(bottest.DingTalkCommand{Text: "status", StaffID: "-"}), 200},
		"a picture":                      {robot(bottest.DingTalkCommand{MsgType: "picture"}), 200},
		"a message that is no JSON":      {dingtalkgateway.Frame{Type: "CALLBACK", Topic: dingtalkgateway.TopicRobot, Data: "{"}, 500},
		"a message without a sender":     {dingtalkgateway.Frame{Type: "CALLBACK", Topic: dingtalkgateway.TopicRobot, Data: "{}"}, 200},
		"an event":                       {dingtalkgateway.Frame{Type: "EVENT", Topic: "*", Data: "{}"}, 404},
		"a card's button":                {dingtalkgateway.Frame{Type: "CALLBACK", Topic: dingtalkgateway.TopicCard, Data: "{}"}, 404},
		"an unknown word of the system":  {dingtalkgateway.Frame{Type: "SYSTEM", Topic: "KEEPALIVE", Data: "{}"}, 404},
		"an unknown type":                {dingtalkgateway.Frame{Type: "", Topic: "", Data: ""}, 404},
		"a robot's topic as an event":    {dingtalkgateway.Frame{Type: "EVENT", Topic: dingtalkgateway.TopicRobot, Data: "{}"}, 404},
		"a message with hostile numbers": {dingtalkgateway.Frame{Type: "CALLBACK", Topic: dingtalkgateway.TopicRobot, Data: `{"msgId":1e999}`}, 500},
	} {
		id, ok := s.Push(want.frame)
		if !ok {
			t.Fatalf("%s: no connection is open", name)
		}
		if got, err := s.WaitAck(soon(t), id); err != nil || got.Code != want.code {
			t.Errorf("%s: acknowledged as %+v, want %d (%v)", name, got, want.code, err)
		}
	}
	if s.Opened() != 1 {
		t.Errorf("%d connections were needed", s.Opened())
	}
}

func TestWhoSendsAPictureIsToldThatOnlyTextIsUnderstood(t *testing.T) {
	s := listening(t, nil)
	_, _ = s.Deliver(bottest.DingTalkCommand{MsgType: "picture"})
	if _, err := s.WaitSent(soon(t), func(m bottest.DingTalkMessage) bool {
		return m.Channel == "session" && strings.Contains(m.Text, "说：only text messages")
	}); err != nil {
		t.Error(err)
	}
}

func TestMalformedFramesDoNotEndTheConnection(t *testing.T) {
	s := listening(t, nil)
	whole, err := json.Marshal(map[string]any{
		"specVersion": "1.0", "type": "CALLBACK", "data": string(s.Body(bottest.DingTalkCommand{Text: "deploy"})),
		"headers": map[string]string{"topic": dingtalkgateway.TopicRobot, "messageId": ""},
	})
	must(t, err)
	frames := map[string][]byte{
		"nothing":           {},
		"no JSON":           []byte("hello"),
		"half":              whole[:len(whole)/2],
		"data an object":    []byte(`{"type":"CALLBACK","headers":{"topic":"/v1.0/im/bot/messages/get","messageId":"x"},"data":{"text":{}}}`),
		"no headers":        []byte(`{"type":"CALLBACK","data":"{}"}`),
		"headers a list":    []byte(`{"type":"CALLBACK","headers":[],"data":"{}"}`),
		"no messageId":      whole,
		"messageId a mess":  []byte(`{"type":"SYSTEM","headers":{"topic":"ping","messageId":"a\u0000 b"},"data":"{}"}`),
		"a huge messageId":  []byte(`{"type":"SYSTEM","headers":{"topic":"ping","messageId":"` + strings.Repeat("x", 1<<16) + `"},"data":"{}"}`),
		"two mebibytes":     []byte(`{"type":"SYSTEM","headers":{"topic":"ping","messageId":"x"},"data":"` + strings.Repeat("x", 2<<20) + `"}`),
		"two mebibytes raw": []byte(strings.Repeat("x", 2<<20)),
		"a list":            []byte(`[1,2,3]`),
		"nested too deep":   []byte(strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
	}
	for name, raw := range frames {
		if !s.Send(raw) {
			t.Fatalf("%s: no connection is open", name)
		}
		must(t, s.Ping(soon(t)))
	}
	if ack := s.acked(t, "status"); ack.Code != http.StatusOK || s.Opened() != 1 {
		t.Errorf("acknowledged as %+v; %d connections were needed", ack, s.Opened())
	}
	if got := s.log.handled(); len(got) != 1 {
		t.Errorf("%d commands were handled", len(got))
	}
}

func TestTheReaderWaitsForNoHandlerAndTakesAHundredAtOnce(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, dingtalk.MaxHandlers)
	s := listening(t, func(cmd deploy.Command) error {
		begun <- struct{}{}
		<-release
		return nil
	})
	var ids []string
	for range dingtalk.MaxHandlers {
		id, ok := s.Say("manager4220", group, "status")
		if !ok {
			t.Fatal("no connection is open")
		}
		ids = append(ids, id)
		<-begun
	}
	must(t, s.Ping(soon(t)))
	if ack := s.acked(t, "one too many"); ack.Code != http.StatusInternalServerError {
		t.Errorf("one too many is acknowledged as %+v", ack)
	}
	close(release)
	for _, id := range ids {
		if ack, err := s.WaitAck(soon(t), id); err != nil || ack.Code != http.StatusOK {
			t.Fatalf("acknowledged as %+v, %v", ack, err)
		}
	}
	if ack := s.acked(t, "again"); ack.Code != http.StatusOK {
		t.Errorf("afterwards: %+v", ack)
	}
}

func TestACommandInHandIsFinishedAndAcknowledgedBeforeListenEnds(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{})
	s := listening(t, func(deploy.Command) error {
		close(begun)
		<-release
		return errors.New("late, but told")
	})
	id, _ := s.Say("manager4220", group, "deploy")
	<-begun
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	<-s.ctx.Done()
	select {
	case <-stopped:
		t.Error("Listen ended before the command")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if ack, err := s.WaitAck(soon(t), id); err != nil || ack.Code != http.StatusInternalServerError {
		t.Errorf("acknowledged as %+v, %v", ack, err)
	}
	<-stopped
}
