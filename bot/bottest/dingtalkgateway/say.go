package dingtalkgateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"ipublish/bot/bottest"
)

// The topics of callbacks.
const (
	TopicRobot = "/v1.0/im/bot/messages/get"
	TopicCard  = "/v1.0/card/instances/callback"
)

// Frame is what the gateway sends. Data is JSON as a text.
type Frame struct {
	Type  string // SYSTEM, EVENT or CALLBACK
	Topic string
	Data  string
}

// Ack is the bot's answer to a frame.
type Ack struct {
	Code    int // 200, 404 (nobody handles the topic) or 500 (handling it failed)
	Message string
	Data    string
}

// delivery is one frame on its way.
type delivery struct {
	frame Frame
	to    *connection
	ack   *Ack
}

// Say lets a member of the organisation say text to the robot: in a group by its
// conversation's id, or in private where that is empty. ok is false where it was
// lost because no connection is open. It is never sent again.
func (g *Gateway) Say(user, conversation, text string) (msgID string, ok bool) {
	return g.Deliver(bottest.DingTalkCommand{Text: text, StaffID: user, Conversation: conversation, Private: conversation == ""})
}

// Deliver is Say for any message; with a MsgID that was said before it is the
// same message a second time.
func (g *Gateway) Deliver(c bottest.DingTalkCommand) (msgID string, ok bool) {
	if c.MsgID == "" {
		g.locked(func() { c.MsgID = g.id("msg") + "==" })
	}
	_, ok = g.push(Frame{Type: "CALLBACK", Topic: TopicRobot, Data: string(g.Body(c))}, c.MsgID)
	return c.MsgID, ok
}

// Push sends any frame to one connection; a callback to one that subscribed its
// topic, if there is one. Acknowledgements are found by the messageId returned.
func (g *Gateway) Push(f Frame) (messageID string, ok bool) { return g.push(f, "") }

// Send sends any text to one connection, be it a frame or not.
func (g *Gateway) Send(raw []byte) (ok bool) {
	g.mu.Lock()
	c := g.pick("")
	g.mu.Unlock()
	return c != nil && c.send(raw)
}

// Ping sends a ping to every connection that may get messages and waits until
// each has echoed it.
func (g *Gateway) Ping(ctx context.Context) error {
	g.mu.Lock()
	all := g.usable("")
	g.mu.Unlock()
	for _, c := range all {
		var opaque string
		g.locked(func() { opaque = `{"opaque":"` + g.id("") + ` <&> 购物车"}` })
		id, ok := g.pushTo(c, Frame{Type: "SYSTEM", Topic: "ping", Data: opaque}, "")
		if !ok {
			return fmt.Errorf("a connection takes no ping")
		}
		if _, err := g.WaitAck(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// WaitAck waits for the answer to a robot message (its msgId; of one that was
// said several times, the last time) or to a frame (its messageId). It fails as
// soon as the connection ends on which it was sent.
func (g *Gateway) WaitAck(ctx context.Context, id string) (Ack, error) {
	var got *Ack
	var lost bool
	err := g.await(ctx, "the acknowledgement of "+id, func() bool {
		d := g.deliveries[id]
		if d == nil {
			lost = true
			return true
		}
		got, lost = d.ack, d.to.closed
		return got != nil || lost
	})
	switch {
	case err != nil:
		return Ack{}, err
	case got == nil:
		return Ack{}, fmt.Errorf("%s was lost: the connection ended without an acknowledgement, or there was none", id)
	}
	return *got, nil
}

func (g *Gateway) push(f Frame, msgID string) (messageID string, ok bool) {
	topic := ""
	if f.Topic == TopicRobot {
		topic = f.Topic
	}
	g.mu.Lock()
	c := g.pick(topic)
	g.mu.Unlock()
	if c == nil {
		return "", false
	}
	return g.pushTo(c, f, msgID)
}

func (g *Gateway) pushTo(c *connection, f Frame, msgID string) (messageID string, ok bool) {
	var headers map[string]string
	g.locked(func() {
		messageID = g.id("frame")
		d := &delivery{frame: f, to: c}
		g.deliveries[messageID] = d
		if msgID != "" {
			g.deliveries[msgID] = d
		}
		headers = map[string]string{
			"topic": f.Topic, "messageId": messageID, "contentType": "application/json", "appId": "made-up-app",
			"connectionId": "made-up-connection", "time": strconv.FormatInt(time.Now().UnixMilli(), 10),
		}
	})
	return messageID, c.send(mustJSON(map[string]any{"specVersion": "1.0", "type": f.Type, "headers": headers, "data": f.Data}))
}

// acknowledge files an answer and judges it; with the lock held.
func (g *Gateway) acknowledge(c *connection, text bool, raw []byte) {
	var in struct {
		Code    int               `json:"code"`
		Headers map[string]string `json:"headers"`
		Message string            `json:"message"`
		Data    *string           `json:"data"`
	}
	if err := json.Unmarshal(raw, &in); err != nil || !text || in.Data == nil {
		g.broken("%.200q is no acknowledgement", raw)
		return
	}
	d := g.deliveries[in.Headers["messageId"]]
	if d == nil || d.to != c || d.ack != nil {
		g.broken("%.200q answers nothing that was sent there, or a second time", raw)
		return
	}
	d.ack = &Ack{Code: in.Code, Message: in.Message, Data: *in.Data}
	switch {
	case in.Headers["contentType"] != "application/json" || in.Message == "":
		g.broken("%.200q lacks its contentType or message", raw)
	case in.Code != 200 && in.Code != 404 && in.Code != 500:
		g.broken("%.200q has an unknown code", raw)
	case d.frame.Topic == "ping" && (in.Code != 200 || *in.Data != d.frame.Data):
		g.broken("%.200q does not echo %q", raw, d.frame.Data)
	case d.frame.Topic == TopicRobot && in.Code == 200 && *in.Data != `{"response":null}`:
		g.broken("%.200q is no answer to a robot message", raw)
	case !json.Valid([]byte(*in.Data)):
		g.broken("the data of %.200q is not JSON", raw)
	}
}

func (g *Gateway) broken(format string, args ...any) {
	g.wrong = append(g.wrong, fmt.Sprintf(format, args...))
}
