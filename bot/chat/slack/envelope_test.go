package slack

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/slack-go/slack/socketmode"

	"ipublish/deploy"
)

func TestAnEnvelopeIsNeverAcknowledgedAsTakenWhenItWasNot(t *testing.T) {
	failed, foreign := errors.New("disk full"), nothing("not ours")
	const command, event = socketmode.RequestTypeSlashCommands, socketmode.RequestTypeEventsAPI
	chat := &Chat{translate: func(text string) string { return "说：" + text }}
	for name, c := range map[string]struct {
		kind        string
		accepts     bool
		read, taken error
		ack, speaks bool
	}{
		"a command that was taken":             {command, true, nil, nil, true, false},
		"an event that was taken":              {event, false, nil, nil, true, false},
		"a command that was not":               {command, true, nil, failed, true, true},
		"one that takes no text":               {command, false, nil, failed, false, false},
		"an event that was not":                {event, false, nil, failed, false, false},
		"an event that was not, with a text":   {event, true, nil, failed, false, false},
		"a foreign command":                    {command, true, foreign, foreign, true, true},
		"a foreign command that takes no text": {command, false, foreign, foreign, false, false},
		"a foreign event":                      {event, false, foreign, foreign, true, false},
		"a button":                             {socketmode.RequestTypeInteractive, true, foreign, foreign, true, false},
	} {
		r, ok := chat.respond(socketmode.Request{Type: c.kind, EnvelopeID: "e1", AcceptsResponsePayload: c.accepts}, c.read, c.taken)
		if ok != c.ack || (ok && r.Payload != nil) != c.speaks || r.EnvelopeID != "e1" {
			t.Errorf("%s: acknowledged %v with %+v", name, ok, r)
		}
		if said, _ := r.Payload.(ephemeral); c.speaks && !strings.HasPrefix(said.Text, "说：") {
			t.Errorf("%s: answered %+v, which is not in the chat's language", name, r.Payload)
		}
	}
}

func TestNoTextMakesAnAckThatSlackDrops(t *testing.T) {
	for _, unit := range []string{"a", "<", "\x7f\u2028<&>", "\"\\", "😀", "\u00ff"} {
		text := strings.Repeat(unit, 60_000)
		b, err := json.Marshal(socketmode.Response{EnvelopeID: "1d3c79ab-0ffb-41f3-a080-d19e85f53649", Payload: private(text)})
		if err != nil || len(b) >= 10*1024 {
			t.Errorf("%.4q: %d bytes, %v", unit, len(b), err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add("slash_commands", []byte(`{"user_id":"U1","user_name":"ada","channel_id":"C1","trigger_id":"1.2.a","command":"/ipub","text":"x","response_url":"https://hooks.slack.com/x"}`))
	f.Add("events_api", []byte(`{"event_id":"Ev1","authorizations":[{"user_id":"U0"}],"event":{"type":"app_mention","user":"U1","channel":"C1","ts":"1.2","thread_ts":"1.1","text":"<@U0|x> <http://a|b> &lt;"}}`))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		cmd, err := (&Chat{}).open(socketmode.Request{Type: kind, Payload: payload})
		switch deploy.CodeOf(err) {
		case "":
			if cmd.Chat != "slack" || cmd.Key == "slack:" || !strings.HasPrefix(cmd.Key, "slack:") || cmd.User.ID == "slack:" || !isID(strings.TrimPrefix(cmd.User.ID, "slack:")) {
				t.Errorf("passed as %+v", cmd)
			}
		case deploy.CodeInvalid, deploy.CodeNotFound:
		default:
			t.Errorf("code %q: %v", deploy.CodeOf(err), err)
		}
	})
}
