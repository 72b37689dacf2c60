package bot

import (
	"fmt"
	"strconv"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Parsed is a command that was understood. Its words hold no control characters.
type Parsed struct {
	Verb    Verb
	Targets []deploy.Target // what it is about; those in scope for status, history, locks, cancel, pause and resume, else one
	Named   bool            // the environments were named, not taken from the scope
	Ref     string          // deploy, plan: as typed; empty: the environment's branch
	Release string          // rollback: lower-case hex digits; empty: the newest good one
	ID      deploy.ID       // cancel, pause, resume, abandon; 0: not given
	Why     string          // abandon
	Reason  string          // lock: 1 to 200 characters, without backticks
	For     deploy.Duration // lock: at most 30 days; 0: until the unlock
	Force   string          // reason of --force; with plan nothing more than a preview
	Limit   int             // history: 1 to 50
	Topic   Verb            // help: empty for the overview
	Hosts   []deploy.HostID // start, stop, restart, offline, online: as configured, each once
	Without []deploy.HostID // deploy, rollback, plan, restart, drill: as configured, each once
}

// Target returns the first environment, the only one where the verb takes one.
func (p Parsed) Target() deploy.Target {
	if len(p.Targets) == 0 {
		return deploy.Target{}
	}
	return p.Targets[0]
}

const (
	maxText      = 4000 // bytes of one command
	defaultLimit = 10
	maxLimit     = 50
)

// Parse understands one command. It is pure. Everything that it cannot make
// sense of is deploy.CodeInvalid with a message that gives the choices; the verb
// is there if it was understood.
func Parse(text string, scope Scope) (Parsed, error) {
	if len(text) > maxText {
		return Parsed{}, invalid("the command is longer than %d bytes: shorten it", maxText)
	}
	words, err := split(Normalize(text))
	if err != nil {
		return Parsed{}, err
	}
	words = unaddress(words)
	if len(words) == 0 {
		return Parsed{Verb: VerbHelp}, nil
	}
	g, err := verbOf(words[0].text)
	if err != nil {
		return Parsed{}, err
	}
	p, rest, err := flags(g, words[1:])
	if err != nil {
		return Parsed{Verb: g.verb}, err
	}
	if p, err = arguments(g, p, rest, scope); err != nil {
		return p, err
	}
	return suited(g, p, scope)
}

// unaddress drops the command's or the bot's own name and a leading slash.
func unaddress(words []word) []word {
	for len(words) > 0 {
		w := strings.TrimLeft(words[0].text, "/@")
		switch strings.ToLower(w) {
		case "", "ipub", "ipublish":
			words = words[1:]
			continue
		}
		return append([]word{{text: w}}, words[1:]...)
	}
	return nil
}

func verbOf(word string) (grammar, error) {
	if g, ok := grammarOf(Verb(strings.ToLower(word))); ok {
		return g, nil
	}
	names := make([]string, 0, len(grammars()))
	for _, v := range Verbs() {
		names = append(names, string(v))
	}
	return grammar{}, invalid("%q is not a command%s There are: %s", hostile.Line(word, 40), didYouMean(word, names), strings.Join(names, ", "))
}

// arguments reads the words after the verb and its flags.
func arguments(g grammar, p Parsed, in []word, scope Scope) (Parsed, error) {
	words := texts(in)
	switch {
	case g.verb == VerbHelp:
		return helpTopic(p, words)
	case g.verb == VerbAbandon:
		return abandonment(g, p, words)
	case g.verb == VerbLock:
		return locking(g, p, in, scope)
	case g.id && len(words) == 1 && looksLikeID(words[0]):
		return withID(p, words[0])
	case g.hosts != namesNone:
		return hosted(g, p, words, scope)
	case g.places == placeNone && len(words) > 0:
		return p, g.excess(words[0])
	case g.places == placeNone:
		return p, nil
	}
	return located(g, p, words, scope)
}

func helpTopic(p Parsed, words []string) (Parsed, error) {
	if len(words) == 0 {
		return p, nil
	}
	g, err := verbOf(strings.TrimLeft(words[0], "/"))
	p.Topic = g.verb
	return p, err
}

func abandonment(g grammar, p Parsed, words []string) (Parsed, error) {
	if len(words) < 2 || !looksLikeID(words[0]) {
		return p, invalid("give the deploy's number and the reason: %s", g.usage())
	}
	p, err := withID(p, words[0])
	p.Why = strings.TrimSpace(strings.Join(words[1:], " "))
	if err == nil && p.Why == "" {
		err = invalid("say why: %s", g.usage())
	}
	return p, err
}

func looksLikeID(w string) bool {
	d := strings.TrimPrefix(w, "#")
	return d != "" && strings.Trim(d, "0123456789") == ""
}

func withID(p Parsed, w string) (Parsed, error) {
	id, err := deploy.ParseID(w)
	p.ID = id
	return p, err
}

func (g grammar) excess(word string) error {
	return invalid("%q is one word too many: %s", hostile.Line(word, 40), g.usage())
}

// located reads the app, environment, ref and "to" of a verb that has them.
func located(g grammar, p Parsed, words []string, scope Scope) (Parsed, error) {
	words, to, err := cutTo(g, words)
	if err != nil {
		return p, err
	}
	place := placement{scope: scope, g: g}
	if g.verb == VerbRollback {
		p.Release, err = release(to)
	} else if to != "" {
		err = place.environment(to)
	}
	for i := 0; i < len(words) && err == nil; i++ {
		err = place.take(words[i])
	}
	if err != nil {
		return p, err
	}
	p.Ref, p.Named = place.ref, place.app != "" || place.env != ""
	p.Targets, err = place.targets()
	return p, err
}

// cutTo takes "to X" off the end.
func cutTo(g grammar, words []string) (rest []string, to string, err error) {
	n := len(words)
	switch {
	case !g.to || n == 0:
		return words, "", nil
	case strings.EqualFold(words[n-1], "to"):
		return nil, "", invalid("something is missing after \"to\": %s", g.usage())
	case n >= 2 && strings.EqualFold(words[n-2], "to"):
		return words[:n-2], words[n-1], nil
	}
	return words, "", nil
}

func release(word string) (string, error) {
	low := strings.ToLower(word)
	if word == "" || hexWord(word) || low == deploy.AdoptedRelease("").Commit.SHA {
		return low, nil
	}
	return "", invalid("%q is not a release: give at least 7 digits of its commit, as history shows them", hostile.Line(word, 40))
}

// hexWord reports whether w is a commit of 7 to 64 hex digits, or a release's key.
func hexWord(w string) bool {
	commit, rest, isKey := strings.Cut(strings.ToLower(w), "-")
	if strings.Trim(commit+rest, "0123456789abcdef") != "" {
		return false
	}
	if isKey {
		return len(commit) == 12 && len(rest) == 8
	}
	return len(commit) >= 7 && len(commit) <= 64
}

// flags takes the flags out of the words.
func flags(g grammar, words []word) (Parsed, []word, error) {
	p := Parsed{Verb: g.verb}
	if g.limit {
		p.Limit = defaultLimit
	}
	var rest []word
	for i := 0; i < len(words); i++ {
		if !isFlag(g, words[i], i) {
			rest = append(rest, words[i])
			continue
		}
		used, err := p.flag(g, words[i:])
		if err != nil {
			return p, nil, err
		}
		i += used - 1
	}
	return p, rest, nil
}

// isFlag reports whether the word in that place begins with a dash and is not
// part of a reason.
func isFlag(g grammar, w word, at int) bool {
	switch g.verb {
	case VerbAbandon:
		return at == 0 && strings.HasPrefix(w.text, "-")
	case VerbLock:
		return strings.HasPrefix(w.text, "--") && !w.quoted
	}
	return strings.HasPrefix(w.text, "-")
}

// flag reads the flag at the head of words and says how many words it took.
func (p *Parsed) flag(g grammar, words []word) (used int, err error) {
	name, value, inline := strings.Cut(strings.TrimLeft(words[0].text, "-"), "=")
	name = strings.ToLower(name)
	if d := strings.TrimPrefix(name, "n"); d != "" && d != name && looksLikeID(d) && !inline {
		name, value, inline = "n", d, true
	}
	used = 1
	bare := false
	if !inline && len(words) > 1 {
		value, bare, used = words[1].text, !words[1].quoted, 2
	}
	if name == "without" && !strings.HasPrefix(value, "-") && (inline || bare) {
		value, used = listedOn(value, words, used)
	}
	switch {
	case name == "force" && g.force:
		p.Force = strings.TrimSpace(value)
		if p.Force == "" || bare && strings.HasPrefix(value, "-") {
			return 0, invalid("say why it must be forced: --force \"why\"")
		}
		return used, nil
	case name == "force" && (g.hosts != namesNone || g.rolls):
		return 0, invalid("%s takes no --force: min_healthy and the check of a host hold for everybody; put other hosts online first, or lower min_healthy", g.verb)
	case name == "without" && g.without:
		if bare && strings.HasPrefix(value, "-") {
			value = ""
		}
		return used, p.leave(value)
	case name == "n" && g.limit:
		p.Limit, err = limit(value)
		return used, err
	}
	return 0, invalid("%s has no flag %q: %s", g.verb, hostile.Line(words[0].text, 40), g.usage())
}

func limit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		return 0, invalid("-n takes a number from 1 to %d: history -n 20", maxLimit)
	}
	return n, nil
}

func invalid(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read command", Message: fmt.Sprintf(format, args...)}
}
