package slack

import (
	"encoding/json"
	"regexp"
	"strings"

	"ipublish/deploy"
)

// mention is the event app_mention as far as a command needs it.
type mention struct {
	EventID        string `json:"event_id"`
	Authorizations []struct {
		UserID string `json:"user_id"` // the bot's own
	} `json:"authorizations"`
	Event struct {
		Type     string          `json:"type"`
		User     string          `json:"user"`
		BotID    string          `json:"bot_id"`
		Text     string          `json:"text"`
		TS       string          `json:"ts"`
		ThreadTS string          `json:"thread_ts"`
		Channel  string          `json:"channel"`
		Edited   json.RawMessage `json:"edited"`
	} `json:"event"`
}

// readMention makes a command of a message that mentions the bot; the answer
// goes into its thread. deploy.CodeNotFound for every other event, for a
// message of a bot, and for an edited one: Slack tells of a mention again when
// its message is edited, and a corrected letter is no second command.
func readMention(payload []byte) (deploy.Command, error) {
	var m mention
	if err := json.Unmarshal(payload, &m); err != nil {
		return deploy.Command{}, malformed("the event is malformed")
	}
	e := m.Event
	if e.Type != "app_mention" || e.BotID != "" || e.User == "" || len(e.Edited) > 0 && string(e.Edited) != "null" {
		return deploy.Command{}, nothing("an event that asks for nothing")
	}
	parent := e.Channel + ":" + e.TS
	if e.ThreadTS != "" {
		parent = e.Channel + ":" + e.ThreadTS
	}
	_, _, threaded := splitRef(parent)
	if !isID(e.User) || !isID(e.Channel) || !threaded || m.EventID == "" || len(m.EventID) > mostID || len(e.Text) > mostText {
		return deploy.Command{}, malformed("user, channel, ts, text or event_id is missing or malformed")
	}
	cmd := deploy.Command{
		Chat:    "slack",
		Channel: "slack:" + e.Channel,
		Thread:  parent,
		User:    deploy.Actor{ID: "slack:" + e.User},
		Text:    typed(e.Text, m.bot()),
		Key:     "slack:" + m.EventID,
	}
	return cmd, nil
}

func (m mention) bot() string {
	if len(m.Authorizations) == 0 {
		return ""
	}
	return m.Authorizations[0].UserID
}

var (
	namedUser = regexp.MustCompile(`<@([A-Z0-9]+)(?:\|[^<>]*)?>`)
	linked    = regexp.MustCompile(`<([^@#!<>|][^<>|]*)(?:\|([^<>]*))?>`)
)

// typed gives what the person typed besides the mention of the bot: without it,
// without the links that Slack makes of names with a dot, and unescaped. Where
// the bot's id is not known the first mention is taken for it.
func typed(text, bot string) string {
	for _, at := range namedUser.FindAllStringSubmatchIndex(text, -1) {
		if bot == "" || text[at[2]:at[3]] == bot {
			text = text[:at[0]] + " " + text[at[1]:]
			break
		}
	}
	text = linked.ReplaceAllStringFunc(text, func(link string) string {
		parts := linked.FindStringSubmatch(link)
		if parts[2] != "" {
			return parts[2]
		}
		return parts[1]
	})
	return strings.TrimSpace(strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text))
}
