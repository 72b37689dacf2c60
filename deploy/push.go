package deploy

import "strings"

// Push is one ref's change as a git host told it, verified but still hostile:
// nothing in it is ever a path, an argument or a URL to dial.
type Push struct {
	Provider string
	Delivery string   // the host's delivery id; the same on redelivery
	Repo     string   // full name, "acme/shop"
	Ref      string   // refs/heads/x or refs/tags/x
	Before   string   // full hash; all zeros: the ref is new
	After    string   // full hash; all zeros: the ref was deleted
	Title    string   // first line of the head commit's message, hostile
	Message  string   // the head commit's whole message, for [skip deploy]
	Author   string   // of the head commit, hostile
	Pusher   Actor    // who pushed
	Files    []string // changed paths; only meaningful if FilesKnown
	// FilesKnown is false where the host does not list all files.
	FilesKnown bool
}

// Branch returns the branch's name; ok is false for a tag or any other ref.
func (p Push) Branch() (name string, ok bool) { return strings.CutPrefix(p.Ref, "refs/heads/") }

// Deleted reports whether the push deleted its ref.
func (p Push) Deleted() bool { return p.After == "" || strings.Trim(p.After, "0") == "" }

// Command is one message of a person to the bot, before it is understood.
type Command struct {
	Chat    string // driver, "slack"
	Channel string // "slack:C0DEPLOYS"; empty in a private conversation
	Thread  string // where the platform has threads
	User    Actor  // ID is "slack:U…"
	Text    string // without the command's name or the mention
	Key     string // the platform's id of this very message, for exactly-once
	Reply   string // opaque handle for an answer that only the asker sees
}

// Message is what a channel shows about one deploy, or one line of text.
// Everything in it is plain text: the chat driver escapes it, last and once.
type Message struct {
	Channel string // "slack:C0DEPLOYS"
	Ref     string // of the message to edit; empty: post a new one
	Thread  string // ref of the message to answer in its thread
	Deploy  ID
	Title   string // one line: "shop → production · #142 · 4f2a91c Fix the basket"
	Status  string // one word or phrase: "deploying", "succeeded"
	Tone    Tone
	Steps   []Mark   // the plan, in order
	Percent int      // 0 to 100
	Lines   []string // what else is to be said, most important first
	Log     string   // last log lines, shown as code
	Final   bool     // nothing follows
}

// Tone is how a message feels.
type Tone string

// The tones.
const (
	ToneNeutral Tone = "neutral"
	ToneGood    Tone = "good"
	ToneBad     Tone = "bad"
	ToneHold    Tone = "hold" // a person is needed
)

// Mark is one step as a message shows it.
type Mark struct {
	Label string
	State string // "todo", "doing", "done", "failed", "undone"
}
