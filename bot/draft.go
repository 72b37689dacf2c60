package bot

import (
	"encoding/json"

	"ipublish/deploy"
)

// told is the notifier's memory in a letter: what was shown already.
type told struct {
	Card      uint64 `json:"card,omitempty"`      // event that the edited message shows
	Reverting bool   `json:"reverting,omitempty"` // each of these was a message of its own
	Started   bool   `json:"started,omitempty"`
	Switched  bool   `json:"switched,omitempty"`
	Held      bool   `json:"held,omitempty"` // since it is held; false again when it went on
	Ended     bool   `json:"ended,omitempty"`
}

// draft is the next message of a letter, and what is true once it was sent.
type draft struct {
	due     bool
	message deploy.Message
	card    bool // the message is the one to edit later
	told    told
	sentN   uint64 // of the letter, then
}

// sent gives the letter as it is after the message was sent.
func (d draft) sent(l deploy.Letter, ref string) deploy.Letter {
	if d.card && ref != "" {
		l.Ref = ref
	}
	l.SentN = d.sentN
	// told is plain data, it always marshals.
	l.Data, _ = json.Marshal(d.told)
	return l
}

// draftFor decides what to tell next of a deploy in a channel. Where messages
// can be edited there is one card, edited in place, besides it one message when
// it reverts, and the failure's details in the card's thread. Elsewhere there
// are at most four messages: start, switch, revert, end; and one more each time
// a person is needed. What was missed meanwhile is left out.
func draftFor(s deploy.State, l deploy.Letter, editable bool) draft {
	t := readTold(l)
	t.Held = t.Held && s.Phase == deploy.PhaseStuck
	if editable {
		return cardDraft(s, l, t)
	}
	return milestoneDraft(s, l, t)
}

// readTold reads the letter's memory; an unreadable one is an empty one: then
// at most something is told twice.
func readTold(l deploy.Letter) told {
	var t told
	if json.Unmarshal(l.Data, &t) != nil {
		return told{}
	}
	return t
}

// piece makes the message of one thing that is due, and the memory of having
// told it.
type piece func(m deploy.Message, l deploy.Letter, t told) draft

// cardDraft takes the first piece that is due; the letter stays pending until it
// was the last one.
func cardDraft(s deploy.State, l deploy.Letter, t told) draft {
	if s.Ending == deploy.Superseded && l.Ref == "" {
		return draft{told: t, sentN: max(s.N, l.WantN)} // nobody saw it come, nobody misses it
	}
	pieces := duePieces(s, l, t)
	if len(pieces) == 0 {
		return draft{told: t, sentN: max(s.N, l.WantN)}
	}
	d := pieces[0](describe(s, l), l, t)
	d.due, d.sentN = true, l.SentN
	if d.card {
		d.told.Card = s.N
	}
	if len(pieces) == 1 {
		d.sentN = s.N
	}
	return d
}

// duePieces lists what is to be shown: the end before its details, but before
// the end nothing that is shown once waits behind the card's many edits.
func duePieces(s deploy.State, l deploy.Letter, t told) []piece {
	var out []piece
	card := t.Card < s.N || l.Ref == ""
	if card && (l.Ref == "" || s.Ended()) {
		out, card = append(out, cardPiece), false
	}
	if reverts(s) && (!s.Ended() || s.Ending == deploy.Reverted) && !t.Reverting {
		out = append(out, revertPiece)
	}
	if hasDetails(s) && !detailsTold(s, t) {
		out = append(out, detailPiece)
	}
	if card {
		out = append(out, cardPiece)
	}
	return out
}

// reverts reports whether traffic goes back to the old release.
func reverts(s deploy.State) bool { return s.Undo != nil && deploy.Moved(s) }

func hasDetails(s deploy.State) bool {
	bad := s.Ending == deploy.Failed || s.Ending == deploy.Reverted
	return s.Err != nil && (bad || s.Phase == deploy.PhaseStuck)
}

func detailsTold(s deploy.State, t told) bool {
	if s.Ended() {
		return t.Ended
	}
	return t.Held
}

func describe(s deploy.State, l deploy.Letter) deploy.Message {
	m := deploy.Describe(s)
	m.Channel = l.Channel
	return m
}

func cardPiece(m deploy.Message, l deploy.Letter, t told) draft {
	m.Ref = l.Ref
	return draft{message: m, card: true, told: t}
}

// revertPiece is its own message: it must not be missed among a card's edits.
func revertPiece(m deploy.Message, _ deploy.Letter, t told) draft {
	t.Reverting = true
	m.Steps, m.Log = nil, ""
	return draft{message: m, told: t}
}

// detailPiece goes into the card's thread.
func detailPiece(m deploy.Message, l deploy.Letter, t told) draft {
	if m.Final {
		t.Ended = true
	} else {
		t.Held = true
	}
	m.Thread, m.Steps = l.Ref, nil
	return draft{message: m, told: t}
}

// milestoneDraft tells where the deploy stands, once.
func milestoneDraft(s deploy.State, l deploy.Letter, t told) draft {
	d := draft{told: t, sentN: s.N}
	if mark := milestone(s, &d.told); mark != nil && !*mark {
		*mark, d.due = true, true
		d.message = describe(s, l)
	}
	return d
}

// milestone gives the memory of the message that the state deserves; nil: none.
func milestone(s deploy.State, t *told) *bool {
	switch {
	case s.Ended() && s.Claimed.IsZero() && (s.Ending == deploy.Superseded || s.Ending == deploy.Cancelled):
		return nil // nothing was told of it before
	case s.Ended():
		return &t.Ended
	case s.Phase == deploy.PhaseStuck:
		return &t.Held
	case reverts(s):
		return &t.Reverting
	case s.Committed():
		return &t.Switched
	case s.Active():
		return &t.Started
	}
	return nil
}
