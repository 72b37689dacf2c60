package deploy

import "encoding/json"

// Letter is the durable memory of one deploy's message in one channel. It is
// pending while SentN < WantN.
type Letter struct {
	Deploy  ID              `json:"deploy"`
	Channel string          `json:"channel"`
	Ref     string          `json:"ref,omitempty"` // the platform's reference of the message to edit
	SentN   uint64          `json:"sent_n"`        // event of the deploy that was last shown
	WantN   uint64          `json:"want_n"`        // newest event of the deploy
	Final   bool            `json:"final,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"` // the notifier's own notes
}
