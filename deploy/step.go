package deploy

import (
	"strconv"
	"strings"
	"time"
)

// Op is what a step makes true.
type Op string

// The operations of a blue/green plan, each with the truth it states.
const (
	OpFetch   Op = "fetch"   // the mirror has the release's commit
	OpBuild   Op = "build"   // the artifact of the release is kept by its sha256
	OpStage   Op = "stage"   // every host holds the release in Dir, byte for byte
	OpFront   Op = "front"   // the front door answers (the baseline of the silence report)
	OpRetire  Op = "retire"  // nothing of ours runs in Slot and its port is free
	OpStart   Op = "start"   // Slot runs Release
	OpCheck   Op = "check"   // Slot answers as Release, for Hold
	OpRoute   Op = "route"   // exactly the Up targets receive traffic, proven
	OpBake    Op = "bake"    // Release served for Hold without a bad verdict
	OpDrain   Op = "drain"   // nothing is in flight to Old any more, or the limit passed
	OpStop    Op = "stop"    // nothing of ours runs in Slot
	OpPrune   Op = "prune"   // hosts hold no releases beyond those in Keep
	OpAccept  Op = "accept"  // the managed file as it stands is the known version
	OpAdopt   Op = "adopt"   // the foreign process on Slot's port answers, is recorded as live and receives traffic
	OpHook    Op = "hook"    // the user's program ran to its end with exit status 0
	OpIdle    Op = "idle"    // the user's program says that Slot has no background work, or Hold passed
	OpOut     Op = "out"     // Hosts receive no new requests, proven; the others are as they were
	OpIn      Op = "in"      // Hosts, which passed their check, receive traffic, proven
	OpObserve Op = "observe" // what runs and serves is recorded (abandon)
)

// Endpoint is one instance that a balancer can send traffic to.
type Endpoint struct {
	Host HostID `json:"host"`
	Slot Slot   `json:"slot"`
	Addr string `json:"addr"`         // host:port as the balancer dials it
	Up   bool   `json:"up,omitempty"` // receives traffic
	// Spare: may be given a request whose connect to every Up address was
	// refused (nothing was sent yet). Only the built-in proxy uses it.
	Spare bool `json:"spare,omitempty"`
	// Labels are the host's: how balancers call it.
	Labels map[string]string `json:"labels,omitempty"`
	// Weight is what the balancer gave the host before it was taken out, as the
	// ledger recorded it; 0: not recorded. Bound at execution.
	Weight int `json:"weight,omitempty"`
}

// Step states one truth about the world. Running it twice is running it once.
type Step struct {
	Op      Op         `json:"op"`
	Hosts   []HostID   `json:"hosts,omitempty"`
	Slot    Slot       `json:"slot,omitempty"`
	Port    int        `json:"port,omitempty"`
	Release Release    `json:"release,omitzero"`
	Dir     string     `json:"dir,omitempty"`     // the release's folder on a host
	Home    string     `json:"home,omitempty"`    // the slot's folder on a host: pid file, log, CATALINA_BASE
	Targets []Endpoint `json:"targets,omitempty"` // route, drain: the whole table, sorted by host and slot; of a rolling plan Hosts' only
	Known   string     `json:"known,omitempty"`   // route: sha256 of the managed file as ipublish last left it; empty: none yet
	First   bool       `json:"first,omitempty"`   // route, adopt: nothing was live before: whatever else sends traffic past ipublish has to be found
	Keep    []string   `json:"keep,omitempty"`    // prune: release keys that stay
	Hold    Duration   `json:"hold,omitempty"`    // check: min healthy time; bake: bake time; drain, hook, idle: at most
	Limit   Duration   `json:"limit"`             // deadline of the step; never zero
	Stop    Duration   `json:"stop,omitempty"`    // SIGTERM to SIGKILL
	Hook    string     `json:"hook,omitempty"`    // hook, idle: its name in the configuration
	Run     []string   `json:"run,omitempty"`     // hook, idle: argv, placeholders not yet replaced
	On      string     `json:"on,omitempty"`      // hook, idle: OnBot, OnFirstHost or OnHosts
	Batch   int        `json:"batch,omitempty"`   // of a rolling plan, from 1
	Forget  bool       `json:"forget,omitempty"`  // stop: the host is in the configuration no more

	// Bound at execution, never journaled.
	Env    map[string]string `json:"-"` // the app's environment with references resolved: secret
	Deploy ID                `json:"-"`
}

// Replacer replaces {port}, {slot}, {release} (the full commit), {short}, {dir}
// and {home} once, and leaves every other brace as it is.
func (s Step) Replacer() *strings.Replacer {
	return strings.NewReplacer("{port}", strconv.Itoa(s.Port), "{slot}", string(s.Slot), "{release}", s.Release.Commit.SHA,
		"{short}", s.Release.Commit.Short(), "{dir}", s.Dir, "{home}", s.Home)
}

// Name is the operation, of a hook its name in the configuration.
func (s Step) Name() string {
	if s.Hook != "" {
		return s.Hook
	}
	return string(s.Op)
}

// Subject gives what the step is about: its slot; empty where it has none.
func (s Step) Subject() string { return string(s.Slot) }

// Instance is what Observe saw of one slot on one host.
type Instance struct {
	Host    HostID `json:"host"`
	Slot    Slot   `json:"slot,omitempty"`
	PID     int    `json:"pid,omitempty"`      // of the process that ipublish started there; 0: none runs
	Started string `json:"started,omitempty"`  // start time of PID as the kernel counts it: pid reuse is told apart by it
	PortPID int    `json:"port_pid,omitempty"` // owner of the listening socket on the slot's port; 0: nobody listens; -1: listening, owner not visible
	// PortStarted is the start time of PortPID, told of a foreign one only.
	PortStarted string `json:"port_started,omitempty"`
	Owned       bool   `json:"owned,omitempty"`   // the listener is PID or a descendant of it
	Release     string `json:"release,omitempty"` // sha256 of the artifact that PID was started from
	Key         string `json:"key,omitempty"`     // Release.Key that PID was started as
	Command     string `json:"command,omitempty"` // of a foreign listener, for the message
	Passed      bool   `json:"passed,omitempty"`  // the health gate's record for this PID and Started
	Status      int    `json:"status,omitempty"`  // last HTTP status of the gate
	Log         string `json:"log,omitempty"`     // last lines of its output, at most 4 KiB
}

// Foreign reports whether the slot's port is held by a process that ipublish did not start.
func (i Instance) Foreign() bool { return i.PortPID != 0 && !i.Owned }

// Program is the name of a foreign listener's program. Its arguments are left
// out: they may hold passwords.
func (i Instance) Program() string {
	first, _, _ := strings.Cut(i.Command, " ")
	return first[strings.LastIndex(first, "/")+1:]
}

// Running reports whether a process that ipublish started is alive.
func (i Instance) Running() bool { return i.PID != 0 }

// Traffic is what a balancer says about itself.
type Traffic struct {
	Up         []string           `json:"up,omitempty"`         // addresses that receive new requests now, sorted
	Down       []string           `json:"down,omitempty"`       // known to it and without new requests, sorted
	Generation string             `json:"generation,omitempty"` // of the configuration in use
	File       string             `json:"file,omitempty"`       // managed file, where there is one
	SHA256     string             `json:"sha256,omitempty"`     // of that file as it stands; empty: absent
	Previous   []byte             `json:"previous,omitempty"`   // its bytes before the change
	Edited     bool               `json:"edited,omitempty"`     // the file is neither the known version nor the next one
	InFlight   map[string]int     `json:"in_flight,omitempty"`  // per address: requests or busy connections; -1: cannot be told
	Counters   map[string]Counter `json:"counters,omitempty"`   // per address, since the balancer's start
	Measured   bool               `json:"measured,omitempty"`   // Counters are real traffic's
	Weights    map[string]int     `json:"weights,omitempty"`    // per address, where the balancer has weights
	// Settle is how much longer than what was seen the balancer may go on as it
	// did before: it looks at the hosts from time to time, and was not asked
	// itself. 0: Up and Down are the balancer's own word.
	Settle Duration `json:"settle,omitempty"`
}

// Counter counts requests to one address since the balancer's own start.
type Counter struct {
	Requests uint64 `json:"requests"`
	Failures uint64 `json:"failures"` // no answer could be given, or it was cut: a user noticed
	Errors5  uint64 `json:"errors_5xx"`
	// Latency tells of the answers how long they took, from the head of the
	// request to the end of the answer; nil where the balancer does not measure.
	Latency Latencies `json:"latency,omitempty"`
}

// Probe is the sum of the front door's probes that a step itself made, as its
// proof; what the watch saw beside it is in Evidence.Watch.
type Probe struct {
	Requests int      `json:"requests"`
	Failures int      `json:"failures"` // each confirmed by an immediate second probe
	Slowest  Duration `json:"slowest,omitempty"`
	Last     string   `json:"last,omitempty"` // last failure, for people
}

// Evidence is what was observed before or after a step: the undo value and the proof.
type Evidence struct {
	Instances []Instance `json:"instances,omitempty"` // sorted by host
	Traffic   *Traffic   `json:"traffic,omitempty"`
	Probe     *Probe     `json:"probe,omitempty"`
	Release   *Release   `json:"release,omitempty"`  // build: with SHA256, Kind, Name and Size
	TimedOut  bool       `json:"timedout,omitempty"` // drain: the limit passed with work in flight
	Note      string     `json:"note,omitempty"`
	Watch     []Window   `json:"watch,omitempty"` // what was seen since the last record that holds some
	// Failures are the hosts on which the step went wrong, sorted by host.
	Failures []HostFailure `json:"failures,omitempty"`
}

// HostFailure is what went wrong on one host.
type HostFailure struct {
	Host HostID `json:"host"`
	Err  *Error `json:"err"`
	Step int    `json:"step,omitempty"` // of a host that is left behind: the step that it failed at
}

// Event is one record of the journal.
type Event struct {
	Seq      uint64    `json:"seq"`    // global, for tailing; given by the store
	N        uint64    `json:"n"`      // dense within the deploy, from 1
	Deploy   ID        `json:"deploy"` //
	Target   Target    `json:"target"`
	At       time.Time `json:"at"` // wall time, told to people; no deadline depends on it alone
	V        int       `json:"v"`  // version of this record's form: EventVersion
	Kind     Kind      `json:"kind"`
	Step     int       `json:"step,omitempty"` // started, done, failed: index in the current plan
	By       *Actor    `json:"by,omitempty"`
	Request  *Request  `json:"request,omitempty"`  // requested
	Commit   *Commit   `json:"commit,omitempty"`   // resolved
	Plan     *Plan     `json:"plan,omitempty"`     // planned, revert_decided
	Evidence *Evidence `json:"evidence,omitempty"` // started: before; done: after; watched: Watch
	Err      *Error    `json:"err,omitempty"`      // failed, revert_decided, stuck, ended
	Ending   Ending    `json:"ending,omitempty"`   // ended; revert_decided: the ending that the undo leads to
	Report   *Report   `json:"report,omitempty"`   // ended
	Text     string    `json:"text,omitempty"`     // noted, reasons
	Other    ID        `json:"other,omitempty"`    // superseded: by which deploy
	Hosts    []HostID  `json:"hosts,omitempty"`    // skipped: they are left behind
}

// EventVersion is the form of the events that this binary writes and reads.
const EventVersion = 1

// Kind says what an event records.
type Kind string

// The kinds, in the order in which a deploy usually meets them.
const (
	KindRequested Kind = "requested"
	KindResolved  Kind = "resolved" // a typed ref is this commit
	KindClaimed   Kind = "claimed"
	KindPlanned   Kind = "planned"
	KindStarted   Kind = "started"       // intent: durable before the effect
	KindDone      Kind = "done"          // outcome with its proof
	KindFailed    Kind = "failed"        // the step failed for good
	KindNoted     Kind = "noted"         // progress for people; changes nothing
	KindWatched   Kind = "watched"       // what the watch of users' requests saw; changes nothing
	KindSkipped   Kind = "hosts_skipped" // Hosts are left as they are: the deploy goes on without them
	KindCancel    Kind = "cancel_requested"
	KindPause     Kind = "pause_requested"
	KindResume    Kind = "resume_requested"
	KindAbandon   Kind = "abandon_requested"
	KindRevert    Kind = "revert_decided" // carries the undo plan and where it leads
	KindStuck     Kind = "stuck"          // held for a person
	KindEnded     Kind = "ended"
)

// Ending is how a deploy ended; every deploy gets exactly one.
type Ending string

// The endings of SPEC §7.
const (
	Succeeded  Ending = "succeeded"
	Reverted   Ending = "reverted"
	Failed     Ending = "failed"
	Superseded Ending = "superseded"
	Cancelled  Ending = "cancelled"
	Rejected   Ending = "rejected"
	Expired    Ending = "expired"
	Abandoned  Ending = "abandoned"
)

// RolledBack is the reason of a cancel that was asked for as a rollback.
const RolledBack = "rollback"

// Report is what the last message tells: what serves now and whether anybody noticed.
type Report struct {
	Serving  Release   `json:"serving,omitzero"`    // what receives traffic at the end; zero: nothing was ever live
	Slot     Slot      `json:"slot,omitempty"`      // and where
	Warm     *Lease    `json:"warm,omitempty"`      // a rollback is a flip until then
	Measured string    `json:"measured,omitempty"`  // "proxy", "verify", "proxy and verify"; empty: silence not measured
	Requests uint64    `json:"requests,omitempty"`  // seen while the deploy changed things
	Failures uint64    `json:"failures,omitempty"`  // of them without an answer, or cut
	Errors5  uint64    `json:"errors5xx,omitempty"` // of them answered 5xx by the app itself
	Watched  *Silence  `json:"silence,omitempty"`   // what users could have noticed, in parts; nil: nobody watched
	Notes    []string  `json:"notes,omitempty"`
	Failed   []Release `json:"failed,omitempty"` // releases to mark as failed here
	Left     []Release `json:"left,omitempty"`   // releases that this deploy took out of traffic by rollback or revert
	// Observed: Serving, Slot and Slots were looked up because the deploy was abandoned.
	Observed bool                 `json:"observed,omitempty"`
	Slots    map[Slot]SlotState   `json:"slots,omitempty"`
	Hosts    map[HostID]HostState `json:"hosts,omitempty"` // of a rolling environment
}

// Lease keeps the old slot warm after a deploy.
type Lease struct {
	Slot    Slot      `json:"slot"`
	Release Release   `json:"release"`
	Until   time.Time `json:"until"`
}
