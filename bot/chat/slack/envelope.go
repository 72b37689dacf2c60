package slack

import (
	"encoding/json"
	"net/url"

	"github.com/slack-go/slack/socketmode"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// notTaken answers a command that could not be taken. The reason comes by the
// command's response_url, where it can be told.
const notTaken = "this command was not taken; if no reason follows, look at `status` and type it again"

// open reads the command of an envelope. deploy.CodeNotFound: it holds none, or
// another app's; deploy.CodeInvalid: it is malformed.
func (c *Chat) open(req socketmode.Request) (deploy.Command, error) {
	switch req.Type {
	case socketmode.RequestTypeSlashCommands:
		form, err := fields(req.Payload)
		if err != nil {
			return deploy.Command{}, err
		}
		return c.decode(form)
	case socketmode.RequestTypeEventsAPI:
		return readMention(req.Payload)
	}
	return deploy.Command{}, nothing("an envelope without a command")
}

// fields are the texts of a slash command's payload, which has the same names
// as the form.
func fields(payload []byte) (url.Values, error) {
	var in map[string]any
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, malformed("the payload is not an object")
	}
	form := url.Values{}
	for name, value := range in {
		if text, ok := value.(string); ok {
			form.Set(name, text)
		}
	}
	return form, nil
}

// respond decides how an envelope is acknowledged, and whether it is at all. A
// command that was taken is answered by its response_url, never here. One that
// was not is never acknowledged as if it were: where the envelope takes a text
// it is told so, else Slack is left to report it, and to deliver an event again.
func (c *Chat) respond(req socketmode.Request, read, taken error) (r socketmode.Response, ok bool) {
	r.EnvelopeID = req.EnvelopeID
	command := req.Type == socketmode.RequestTypeSlashCommands
	switch {
	case taken == nil, read != nil && !command:
		return r, true
	case !command || !req.AcceptsResponsePayload:
		return r, false
	case read != nil:
		r.Payload = private(c.translate(deploy.MessageOf(read)))
	default:
		r.Payload = private(c.translate(notTaken))
	}
	return r, true
}

// mostAck is the longest text of an ack in UTF-16 units: escaped as JSON it
// stays far below the 20 KB from which Slack drops an ack silently.
const mostAck = 1000

func private(text string) ephemeral {
	return ephemeral{Type: "ephemeral", Text: escape(hostile.Block(text, mostAck), mostAck)}
}
