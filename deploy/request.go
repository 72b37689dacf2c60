package deploy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID is the number of a deploy, unique on one server and never reused: #142.
// Every accepted request is a deploy from the start.
type ID uint64

// String gives "#142".
func (id ID) String() string { return "#" + strconv.FormatUint(uint64(id), 10) }

// ParseID reads "#142" or "142".
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 10, 64)
	if err != nil || n == 0 {
		return 0, &Error{Code: CodeInvalid, Message: fmt.Sprintf("%q is not a deploy's number: write it like #142", s)}
	}
	return ID(n), nil
}

// Want is what a request asks for.
type Want string

// The wants. Deploy is asked for by people and pushes, Rollback, Accept, Adopt,
// Lock and Unlock by people, Retire by ipublish itself when the lease of a warm
// slot expires, Unlock when a lock's time is over, and Alarm when what is live
// fails its users.
const (
	WantDeploy   Want = "deploy"
	WantRollback Want = "rollback"
	WantAccept   Want = "accept"
	WantAdopt    Want = "adopt" // what runs on a slot's port, started by somebody else, is the live release
	WantRetire   Want = "retire"
	WantLock     Want = "lock" // no deploy begins until the unlock
	WantUnlock   Want = "unlock"
	WantAlarm    Want = "alarm" // changes nothing: people are told the Reason

	// Of named hosts of a rolling environment, by people.
	WantStart   Want = "start"   // the host runs its release, checked, and receives traffic
	WantStop    Want = "stop"    // it is out of traffic and runs nothing
	WantRestart Want = "restart" // the same release, started anew; without hosts: everywhere, within the budget
	WantOffline Want = "offline" // out of traffic until online
	WantOnline  Want = "online"  // checked and back in traffic
	WantDrill   Want = "drill"   // every host out and back in, nothing replaced
)

// Actor is who asked, by an id that its owner cannot change.
type Actor struct {
	ID   string `json:"id"`             // "slack:U024BE7LH", "dingtalk:manager4220", "push:github", "cli:root", "ipublish"
	Name string `json:"name,omitempty"` // for display only, hostile text
}

// SystemActor returns the actor of what ipublish does by itself.
func SystemActor() Actor { return Actor{ID: "ipublish", Name: "ipublish"} }

// String gives the name, else the id.
func (a Actor) String() string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

// Request is one accepted wish. Key makes it exactly-once: a second request
// with a Key that was seen is answered with the first one's ID.
type Request struct {
	ID      ID       `json:"id,omitempty"` // given by the store
	App     string   `json:"app"`
	Env     string   `json:"env"`
	Want    Want     `json:"want"`
	Ref     string   `json:"ref,omitempty"`     // as typed or pushed; empty: the environment's branch
	Commit  string   `json:"commit,omitempty"`  // full hash; known at once for a push, resolved later for a typed ref
	Title   string   `json:"title,omitempty"`   // the head commit's first line, where a push told it; hostile text
	Author  string   `json:"author,omitempty"`  // of that commit
	Release string   `json:"release,omitempty"` // rollback: wanted release or commit; empty: the newest good one
	By      Actor    `json:"by"`
	Auto    bool     `json:"auto,omitempty"`    // from a push or a poll: superseded by a newer one, still-the-tip checked
	Key     string   `json:"key"`               // e.g. "github:72d3162e-cc78-11e3-81ab-4c9367dc0958"
	Force   string   `json:"force,omitempty"`   // the reason given with --force
	Reason  string   `json:"reason,omitempty"`  // lock: why; hostile text; alarm: what happened and what to do
	For     Duration `json:"for,omitempty"`     // lock: how long, from At; 0: until the unlock
	Lock    ID       `json:"lock,omitempty"`    // unlock: only the lock that this request made; 0: whatever holds deploys back
	Hosts   []HostID `json:"hosts,omitempty"`   // start, stop, restart, offline, online: which
	Without []HostID `json:"without,omitempty"` // deploy, rollback, restart, drill: hosts to leave as they are
	Origin  string   `json:"origin,omitempty"`  // channel the command came from; told besides the environment's channels

	At time.Time `json:"at,omitzero"` // wall time of acceptance, set by the store's caller
}

// Target returns the environment that the request is for.
func (r Request) Target() Target { return Target{App: r.App, Env: r.Env} }

// Urgent reports whether the request goes to the front of its queue.
func (r Request) Urgent() bool {
	return r.Want == WantRollback || r.Want == WantAccept || r.Want == WantAdopt || r.Instant()
}

// Instant reports whether the request only changes what is recorded: it takes
// effect whoever holds the environment, and nothing is planned or run for it.
func (r Request) Instant() bool {
	return r.Want == WantLock || r.Want == WantUnlock || r.Want == WantAlarm
}

// Housekeeping reports whether any other request supersedes this one.
func (r Request) Housekeeping() bool { return r.Want == WantRetire }
