package deploy

import "time"

// Phase is where a deploy stands.
type Phase string

// The phases. Ended deploys carry their Ending besides.
const (
	PhaseQueued    Phase = "queued"
	PhaseRunning   Phase = "running"
	PhasePaused    Phase = "paused" // by a person, between two batches or before the switch
	PhaseBaking    Phase = "baking"
	PhaseFinishing Phase = "finishing" // clean-up after bake
	PhaseReverting Phase = "reverting"
	PhaseStuck     Phase = "stuck" // held for a person; not an ending
	PhaseEnded     Phase = "ended"
)

// Outcome is what the journal knows of one step.
type Outcome struct {
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Attempts int       `json:"attempts,omitempty"` // started records: more than one after a crash or a resume
	Done     bool      `json:"done,omitempty"`
	Failed   bool      `json:"failed,omitempty"`
	Before   Evidence  `json:"before,omitzero"` // of the first attempt: the undo value
	After    Evidence  `json:"after,omitzero"`
}

// State is one deploy: always Fold(its events), never stored as the truth.
type State struct {
	ID          ID        `json:"id"`
	N           uint64    `json:"n"`   // events folded
	Seq         uint64    `json:"seq"` // of the last event
	Target      Target    `json:"target"`
	Phase       Phase     `json:"phase"`
	Request     Request   `json:"request"`
	Commit      Commit    `json:"commit,omitzero"`
	Resolved    Commit    `json:"resolved,omitzero"`      // newest answer of the remote about the ref
	ResolvedSeq uint64    `json:"resolved_seq,omitempty"` // the event that brought it
	Claimed     time.Time `json:"claimed,omitzero"`
	Plan        *Plan     `json:"plan,omitempty"` // nil until planned
	Outcomes    Outcomes  `json:"outcomes,omitzero"`
	Next        int       `json:"next"` // index of the step to run or running
	Open        bool      `json:"open"` // Next was started and has no outcome

	Undo         *Plan    `json:"undo,omitempty"` // the journaled way back
	UndoOutcomes Outcomes `json:"undo_outcomes,omitzero"`
	UndoTo       Ending   `json:"undo_to,omitempty"` // where the undo leads

	Built       *Release      `json:"built,omitempty"`        // the release with its artifact, once built
	Trouble     *Error        `json:"trouble,omitempty"`      // why the step at Next failed
	Err         *Error        `json:"err,omitempty"`          // what went wrong, first
	Stuck       *Error        `json:"stuck,omitempty"`        // why it is held
	Broken      *Error        `json:"broken,omitempty"`       // its journal makes no sense to this binary: nothing is run, only abandon ends it
	Cancel      *Actor        `json:"cancel,omitempty"`       // who asked to cancel
	Why         string        `json:"why,omitempty"`          // their reason; rollback's number
	Pause       *Actor        `json:"pause,omitempty"`        // who asked to pause
	Skipped     []HostFailure `json:"skipped,omitempty"`      // hosts that are left behind, in the order in which they failed
	UndoSkipped []HostFailure `json:"undo_skipped,omitempty"` // … on the way back
	Abandon     *Actor        `json:"abandon,omitempty"`      // who gave it up
	Note        string        `json:"note,omitempty"`         // newest progress line
	Watched     Watched       `json:"watched,omitzero"`       // what users could notice, as far as it is journaled

	Ending Ending    `json:"ending,omitempty"`
	Report *Report   `json:"report,omitempty"`
	Other  ID        `json:"other,omitempty"` // superseded by
	Last   time.Time `json:"last"`            // of the last event
}

// Active reports whether the deploy holds its environment: claimed and not ended.
func (s State) Active() bool { return s.Phase != PhaseQueued && s.Phase != PhaseEnded }

// Ended reports whether the deploy got its ending.
func (s State) Ended() bool { return s.Phase == PhaseEnded }

// Current returns the plan in force, its outcomes and whether it is the undo.
func (s State) Current() (plan *Plan, outcomes Outcomes, undoing bool) {
	if s.Undo != nil {
		return s.Undo, s.UndoOutcomes, true
	}
	return s.Plan, s.Outcomes, false
}

// Committed reports whether the deploy's commit point lies behind it.
func (s State) Committed() bool {
	return s.Plan != nil && s.Plan.Commit >= 0 && s.Plan.Commit < s.Outcomes.Len() && s.Outcomes.At(s.Plan.Commit).Done
}

// Baked reports whether only clean-up is left.
func (s State) Baked() bool {
	return s.Plan != nil && s.Plan.Baked >= 0 && s.Plan.Baked < s.Outcomes.Len() && s.Outcomes.At(s.Plan.Baked).Done
}

// Live is one environment: the fold of all its events. The zero Live is an
// environment that never had a deploy.
type Live struct {
	Target  Target             `json:"target"`
	Seq     uint64             `json:"seq"`              // of the last event it covers
	Ends    uint64             `json:"ends,omitempty"`   // deploys that ended here, run or not
	Active  ID                 `json:"active,omitempty"` // the deploy that holds it
	Release Release            `json:"release,omitzero"` // what receives traffic
	Slot    Slot               `json:"slot,omitempty"`   // and where; empty: nothing is live
	Deploy  ID                 `json:"deploy,omitempty"` // that made it live
	Since   time.Time          `json:"since,omitzero"`
	By      Actor              `json:"by,omitzero"`
	Slots   map[Slot]SlotState `json:"slots,omitempty"` // what ipublish left in each slot
	Hosts   Roster             `json:"hosts,omitzero"`  // of a rolling environment: what each host runs, and who is out of traffic
	Warm    *Lease             `json:"warm,omitempty"`  // the old slot is kept until then
	Known   string             `json:"known,omitempty"` // sha256 of the managed balancer file as left or accepted
	Good    []Past             `json:"good,omitempty"`  // releases that ended well here, newest first, at most 50
	Bad     []string           `json:"bad,omitempty"`   // keys of releases that failed here; newest first, at most 50
	Left    []string           `json:"left,omitempty"`  // keys of releases that a rollback or revert left, at most 50

	Lock   *Lock `json:"lock,omitempty"`   // no deploy begins
	Paused *Lock `json:"paused,omitempty"` // no automatic deploy begins: a user rolled back
}

// Lock holds deploys of an environment back; a rollback it never holds.
type Lock struct {
	Deploy ID        `json:"deploy"` // the request that made it
	By     Actor     `json:"by"`
	Reason string    `json:"reason,omitempty"` // hostile text
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until the unlock
}

// SlotState is what ipublish left running in a slot.
type SlotState struct {
	Release   Release    `json:"release"`
	Instances []Instance `json:"instances,omitempty"` // with the gate's pass records
}

// Past is one good release.
type Past struct {
	Release Release   `json:"release"`
	Deploy  ID        `json:"deploy"`
	At      time.Time `json:"at"`
	By      Actor     `json:"by,omitzero"`
}
