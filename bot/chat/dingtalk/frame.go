package dingtalk

import (
	"encoding/json"
	"errors"
	"net/http"

	"ipublish/bot/hostile"
)

// Types and topics of frames (developerpedia, stream protocol).
const (
	typeSystem   = "SYSTEM"
	typeCallback = "CALLBACK"

	topicPing       = "ping"
	topicDisconnect = "disconnect"
	topicRobot      = "/v1.0/im/bot/messages/get"
)

// The data of acknowledgements: JSON as a text.
const (
	dataNone  = `{}`
	dataRobot = `{"response":null}` // a reply cannot travel this way
)

// frame is what DingTalk sends over the stream, as far as it is needed.
type frame struct {
	Type    string `json:"type"`
	Headers struct {
		Topic     string `json:"topic"`
		MessageID string `json:"messageId"`
	} `json:"headers"`
	Data string `json:"data"` // JSON as a text; opaque in a ping
}

// readFrame reads a frame that can be acknowledged; deploy.CodeInvalid otherwise.
func readFrame(raw []byte) (frame, error) {
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		return frame{}, malformed("a frame of the stream is not the JSON that DingTalk documents", errors.New(hostile.Line(err.Error(), 200)))
	}
	if !isID(f.Headers.MessageID) {
		return frame{}, malformed("a frame of the stream has no messageId", nil)
	}
	return f, nil
}

// ack is the answer to a frame.
type ack struct {
	Code    int        `json:"code"`
	Headers ackHeaders `json:"headers"`
	Message string     `json:"message"`
	Data    string     `json:"data"`
}

type ackHeaders struct {
	MessageID   string `json:"messageId"`
	ContentType string `json:"contentType"`
}

// ack builds the answer to f: 200, 404 where nobody handles its topic, 500 where
// handling it failed.
func (f frame) ack(code int, data string) ack {
	return ack{
		Code: code, Message: http.StatusText(code), Data: data,
		Headers: ackHeaders{MessageID: f.Headers.MessageID, ContentType: "application/json"},
	}
}
