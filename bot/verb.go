package bot

// Verb is the first word of a command.
type Verb string

// The verbs of the grammar.
const (
	VerbDeploy   Verb = "deploy"
	VerbRollback Verb = "rollback"
	VerbStatus   Verb = "status"
	VerbHistory  Verb = "history"
	VerbPlan     Verb = "plan"
	VerbCancel   Verb = "cancel"
	VerbPause    Verb = "pause"
	VerbResume   Verb = "resume"
	VerbAbandon  Verb = "abandon"
	VerbStart    Verb = "start"
	VerbStop     Verb = "stop"
	VerbRestart  Verb = "restart"
	VerbOffline  Verb = "offline"
	VerbOnline   Verb = "online"
	VerbDrill    Verb = "drill"
	VerbLock     Verb = "lock"
	VerbUnlock   Verb = "unlock"
	VerbLocks    Verb = "locks"
	VerbAccept   Verb = "accept"
	VerbAdopt    Verb = "adopt"
	VerbWhoami   Verb = "whoami"
	VerbHelp     Verb = "help"
)

// VerbForce is not typed as a verb: it names the right that the flag --force needs.
const VerbForce Verb = "force"

// places says how many environments a verb is about.
type places int

const (
	placeNone places = iota // none
	placeOne                // exactly one
	placeMany               // one, or all in scope
)

// naming says whether a verb is about single hosts.
type naming int

const (
	namesNone naming = iota // no host is named
	namesSome               // hosts may be named
	namesMust               // at least one is
)

// grammar is what the parser and the help know of one verb.
type grammar struct {
	verb   Verb
	args   string // as help shows them
	about  string
	more   string // what the help of the verb alone adds
	role   Role
	places places
	hosts  naming
	ref    bool // a word may be a branch, tag or commit
	to     bool // "to X" is understood
	id     bool // a deploy's number is understood
	force  bool
	limit  bool

	without bool // hosts may be left out
	rolls   bool // it is for rolling environments only
}

// grammars lists every verb in the order in which help shows them.
func grammars() []grammar {
	return []grammar{
		{verb: VerbDeploy, args: `[APP] [REF] [to ENV] [--without HOST] [--force "why"]`, about: "deploys a branch, tag or commit; without REF the environment's branch", role: RoleDeployer, places: placeOne, ref: true, to: true, force: true, without: true},
		{verb: VerbRollback, args: `[APP] [ENV] [to RELEASE] [--without HOST] [--force "why"]`, about: "goes back to the newest good release, or to the commit RELEASE", role: RoleDeployer, places: placeOne, to: true, force: true, without: true},
		{verb: VerbStatus, args: "[APP] [ENV]", about: "shows what is live where, since when, by whom, hosts out of traffic, and the queue", places: placeMany},
		{verb: VerbHistory, args: "[APP] [ENV] [-n N]", about: "lists the last deploys, newest first", places: placeMany, limit: true},
		{verb: VerbPlan, args: `[APP] [REF] [to ENV] [--without HOST] [--force "why"]`, about: "shows the steps that a deploy would take, and takes none", places: placeOne, ref: true, to: true, force: true, without: true},
		{verb: VerbCancel, args: "[#ID]", about: "takes a waiting deploy back, undoes a running one", role: RoleDeployer, places: placeMany, id: true},
		{verb: VerbPause, args: "[#ID]", about: "holds a running deploy before its next hosts, or before the switch", more: "what was begun is finished first; resume goes on, cancel goes back", role: RoleDeployer, places: placeMany, id: true},
		{verb: VerbResume, args: "[#ID]", about: "lets a held deploy look again and go on; ends a pause", role: RoleDeployer, places: placeMany, id: true},
		{verb: VerbAbandon, args: `#ID "why"`, about: "ends a stuck deploy; what is observed is recorded as live", role: RoleAdmin, id: true},
		{verb: VerbStart, args: "HOST… [APP] [ENV]", about: "starts what is live on the hosts, checks it and puts them in traffic", more: "a host where it runs already is checked and put in traffic", role: RoleDeployer, places: placeOne, hosts: namesMust, rolls: true},
		{verb: VerbStop, args: "HOST… [APP] [ENV]", about: "takes the hosts out of traffic, drains and stops them, until start", more: "refused where fewer than min_healthy hosts would stay in service", role: RoleDeployer, places: placeOne, hosts: namesMust, rolls: true},
		{verb: VerbRestart, args: "[HOST…] [APP] [ENV] [--without HOST]", about: "starts the same release anew, host by host and never below min_healthy; without HOST everywhere", more: "where traffic switches between two slots, what is live comes up anew in the other slot", role: RoleDeployer, places: placeOne, hosts: namesSome, force: true, without: true},
		{verb: VerbOffline, args: "HOST… [APP] [ENV]", about: "takes the hosts out of traffic and drains them, until online; no deploy puts them back", more: "refused where fewer than min_healthy hosts would stay in service", role: RoleDeployer, places: placeOne, hosts: namesMust, rolls: true},
		{verb: VerbOnline, args: "HOST… [APP] [ENV]", about: "checks the hosts and puts them back in traffic", role: RoleDeployer, places: placeOne, hosts: namesMust, rolls: true},
		{verb: VerbDrill, args: "[APP] [ENV] [--without HOST]", about: "takes every host out of traffic and back in, within the budget, and replaces nothing", more: "it proves, before a deploy needs it, that the balancer does what ipublish asks for", role: RoleDeployer, places: placeOne, without: true, rolls: true},
		{verb: VerbLock, args: `[APP] [ENV] "reason" [for 2h]`, about: "holds every deploy back but a rollback, until unlock or until the time is over", more: "for takes 30m, 2h, 1h30m or 2d, at most 30 days; a second lock replaces the first", role: RoleDeployer, places: placeOne},
		{verb: VerbUnlock, args: "[APP] [ENV]", about: "ends a lock, and the pause of automatic deploys after a rollback", role: RoleDeployer, places: placeOne},
		{verb: VerbLocks, args: "[APP] [ENV]", about: "lists what is locked or paused: who, why, since when, until when, and how many deploys wait", places: placeMany},
		{verb: VerbAccept, args: "[APP] [ENV]", about: "takes what the balancer and its managed file say as right", role: RoleAdmin, places: placeOne},
		{verb: VerbAdopt, args: "[APP] [ENV]", about: "takes over what runs today as the live release, without starting or stopping anything", role: RoleAdmin, places: placeOne},
		{verb: VerbWhoami, about: "shows your and this channel's id as the configuration takes them"},
		{verb: VerbHelp, args: "[VERB]", about: "explains a verb"},
	}
}

// usage gives "deploy [APP] [REF] …".
func (g grammar) usage() string {
	if g.args == "" {
		return string(g.verb)
	}
	return string(g.verb) + " " + g.args
}

// Verbs returns every verb that a person can type, in the order of help.
func Verbs() []Verb {
	var out []Verb
	for _, g := range grammars() {
		out = append(out, g.verb)
	}
	return out
}

func grammarOf(v Verb) (grammar, bool) {
	for _, g := range grammars() {
		if g.verb == v {
			return g, true
		}
	}
	return grammar{}, false
}
