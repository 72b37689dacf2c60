package deploy

import (
	"fmt"
	"strings"
)

// Queue is one environment as a claim sees it.
type Queue struct {
	Live    Live
	Waiting []State // unclaimed deploys in turn: urgent first, then by ID, housekeeping last
}

// Verdict is the answer of an Admit. The zero Verdict waits.
type Verdict struct {
	Take   ID       // claim this one; only of an idle environment
	Lookup ID       // ask this one's commit or tip first
	End    ID       // end this one without running it …
	Ending Ending   // … so,
	Err    *Error   // … for this reason,
	Queue  *Request // … and queue this in the same transaction (the tip instead of a stale push)
	Note   ID       // tell people of this one …
	Text   string   // … why it waits
}

// Admit decides what happens next in an environment with waiting requests. It
// is pure; the store applies its verdict in one transaction.
type Admit func(q Queue) Verdict

// Admission is the rule of the queue: a lock or unlock takes effect at once, a
// typed ref is resolved at once, turn or not; what a lock holds back lets those
// behind it pass; an automatic request is claimed only as its branch's tip, as
// asked when its turn came; authority is checked again. allowed gives nil or the
// refusal; asked reports whether a newer answer for that deploy is on its way already.
func Admission(allowed func(Request) *Error, asked func(State) bool) Admit {
	return func(q Queue) Verdict {
		for _, w := range q.Waiting {
			switch {
			case w.Broken != nil:
				return Verdict{End: w.ID, Ending: Failed, Err: w.Broken}
			case w.Request.Instant():
				return admitInstant(q.Live, w, allowed)
			case w.unresolved() && !asked(w):
				return Verdict{Lookup: w.ID}
			}
		}
		if q.Live.Active != 0 {
			return Verdict{}
		}
		for _, w := range q.Waiting {
			why := q.Live.holds(w.Request)
			if why == "" && !strings.HasPrefix(w.Note, "waits: ") {
				return admitNext(q, w, allowed, asked)
			}
			if why != w.Note {
				return Verdict{Note: w.ID, Text: why}
			}
		}
		return Verdict{}
	}
}

// holds says what keeps the request from being claimed, or nothing.
func (l Live) holds(r Request) string {
	switch {
	case r.Want != WantDeploy, r.By == SystemActor():
		return ""
	case l.Lock != nil && r.Force == "":
		return l.lockedText(*l.Lock)
	case l.Paused != nil && r.Auto:
		return fmt.Sprintf("waits: %s rolled back with %s, so nothing is deployed automatically until `unlock %s %s`", l.Paused.By, l.Paused.Deploy, l.Target.App, l.Target.Env)
	}
	return ""
}

func (l Live) lockedText(k Lock) string {
	if k.Until.IsZero() {
		return fmt.Sprintf("waits: locked by %s (%s) until `unlock %s %s`", k.By, k.Reason, l.Target.App, l.Target.Env)
	}
	return fmt.Sprintf("waits: locked by %s (%s) until %s or `unlock %s %s`", k.By, k.Reason, k.Until.UTC().Format("2006-01-02 15:04 UTC"), l.Target.App, l.Target.Env)
}

func admitInstant(l Live, w State, allowed func(Request) *Error) Verdict {
	if err := allowed(w.Request); err != nil {
		return Verdict{End: w.ID, Ending: Rejected, Err: err}
	}
	if of := w.Request.Lock; of != 0 && (l.Lock == nil || l.Lock.Deploy != of) {
		return Verdict{End: w.ID, Ending: Superseded} // that lock is gone already
	}
	return Verdict{End: w.ID, Ending: Succeeded}
}

func admitNext(q Queue, w State, allowed func(Request) *Error, asked func(State) bool) Verdict {
	if err := allowed(w.Request); err != nil {
		return Verdict{End: w.ID, Ending: Rejected, Err: err}
	}
	v := admitAllowed(q, w)
	if v.Lookup != 0 && asked(w) {
		return Verdict{}
	}
	return v
}

func admitAllowed(q Queue, w State) Verdict {
	if w.unresolved() {
		return Verdict{Lookup: w.ID}
	}
	if !w.Request.Auto {
		return Verdict{Take: w.ID}
	}
	// An answer older than the environment's newest event may be stale.
	if w.Resolved.SHA == "" || w.ResolvedSeq < q.Live.Seq {
		return Verdict{Lookup: w.ID}
	}
	if w.Resolved.SHA == w.Request.Commit {
		return Verdict{Take: w.ID}
	}
	tip := tipInstead(w)
	return Verdict{End: w.ID, Ending: Superseded, Queue: &tip, Err: &Error{
		Code: CodeRefused, Op: "claim", Subject: w.ID.String(),
		Message: fmt.Sprintf("%s is not the tip of %s any more, %s is", Short(w.Request.Commit), w.Request.Ref, w.Resolved.Short()),
	}}
}

// unresolved reports whether a person's ref still has to become a commit.
func (s State) unresolved() bool {
	return s.Phase == PhaseQueued && s.Request.Want == WantDeploy && s.Commit.SHA == ""
}

// tipInstead is the request for the branch's tip in the place of a stale push.
func tipInstead(w State) Request {
	r := w.Request
	r.ID, r.Commit, r.Title, r.Author = 0, w.Resolved.SHA, w.Resolved.Title, w.Resolved.Author
	r.Key = fmt.Sprintf("tip:%s:%s:%s:%d", w.Target, r.Ref, r.Commit, w.ID)
	return r
}
