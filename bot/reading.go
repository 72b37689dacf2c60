package bot

import (
	"cmp"
	"slices"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// reading is what the words of a command mean for one environment: a word is a
// host before it is the name of an app or environment.
type reading struct {
	target   deploy.Target
	rolls    bool
	hosts    []deploy.HostID
	app, env bool     // it was named
	unread   []string // words without a meaning here
}

// hosted reads the hosts, the app and the environment of a verb that is about hosts.
func hosted(g grammar, p Parsed, words []string, scope Scope) (Parsed, error) {
	words, err := spread(withoutTo(words))
	if err != nil {
		return p, err
	}
	all := scope.readings(words)
	found, err := scope.chosen(g, all)
	switch {
	case err != nil:
		return p, err
	case len(all) == 0:
		return p, invalid("no environment is configured: add one to ipublish.yaml")
	case len(found) == 0:
		return p, scope.misread(g, all)
	case g.hosts == namesMust && len(where(found, reading.namesHosts)) == 0:
		return p, scope.noHosts(g, found)
	case len(found) > 1:
		return p, whichReading(g, found)
	}
	r := found[0]
	p.Targets, p.Hosts, p.Named = []deploy.Target{r.target}, r.hosts, r.app || r.env
	return p, nil
}

// withoutTo drops the "to" of "to ENV" at the end.
func withoutTo(words []string) []string {
	n := len(words)
	if n < 3 || !strings.EqualFold(words[n-2], "to") {
		return words
	}
	return append(slices.Clone(words[:n-2]), words[n-1])
}

func (r reading) namesHosts() bool { return len(r.hosts) > 0 }

// noHosts asks for hosts where none was named.
func (s Scope) noHosts(g grammar, found []reading) error {
	if len(found) > 1 || !found[0].rolls {
		return invalid("say which hosts: %s", g.usage())
	}
	return invalid("say which hosts of %s: %s. It has: %s", found[0].target, g.usage(), listed(hostNames(s.environment(found[0].target).HostIDs())))
}

// readings gives the words their meaning for every environment.
func (s Scope) readings(words []string) []reading {
	var out []reading
	for _, t := range s.all() {
		e := s.environment(t)
		r := reading{target: t, rolls: e.Rolling != nil}
		for _, w := range words {
			r.take(e, w)
		}
		out = append(out, r)
	}
	return out
}

func (r *reading) take(e deploy.Environment, word string) {
	id, isHost := hostNamed(e, word)
	app, env, pair := strings.Cut(word, "/")
	switch {
	case isHost && !slices.Contains(r.hosts, id):
		r.hosts = append(r.hosts, id)
	case pair && !r.app && !r.env && strings.EqualFold(app, r.target.App) && strings.EqualFold(env, r.target.Env):
		r.app, r.env = true, true
	case !r.app && strings.EqualFold(word, r.target.App):
		r.app = true
	case !r.env && strings.EqualFold(word, r.target.Env):
		r.env = true
	case !isHost:
		r.unread = append(r.unread, word)
	}
}

// chosen are the readings in which every word has a meaning, the nearest ones:
// what was left out is taken from the channel's binding where that decides it.
func (s Scope) chosen(g grammar, all []reading) ([]reading, error) {
	found := slices.DeleteFunc(slices.Clone(all), func(r reading) bool { return len(r.unread) > 0 })
	if rolling := where(found, func(r reading) bool { return r.rolls }); g.rolls && len(rolling) > 0 {
		found = rolling
	}
	open := where(found, func(r reading) bool { return !r.app || !r.env })
	if len(open) < len(found) || len(s.Bound) == 0 {
		return found, nil
	}
	if near := where(found, func(r reading) bool { return slices.Contains(s.Bound, r.target) }); len(near) > 0 {
		return near, nil
	}
	far := where(found, func(r reading) bool { return !r.app && !r.env && !s.boundApp(r.target.App) })
	if len(far) > 0 && len(far) == len(found) {
		return nil, whichReading(g, found) // another app's hosts are not meant by the way
	}
	return where(found, func(r reading) bool { return r.app || r.env || s.boundApp(r.target.App) }), nil
}

func where[T any](all []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(r T) bool { return !keep(r) })
}

func (s Scope) boundApp(app string) bool {
	return slices.ContainsFunc(s.Bound, func(t deploy.Target) bool { return t.App == app })
}

// whichReading lists the choices, with one of them as it is typed.
func whichReading(g grammar, found []reading) error {
	names := make([]string, len(found))
	same := !slices.ContainsFunc(found, func(r reading) bool { return !slices.Equal(r.hosts, found[0].hosts) })
	for i, r := range found {
		names[i] = r.target.String()
		if !same {
			names[i] = strings.TrimSpace(shortHosts(r.hosts) + " " + names[i])
		}
	}
	example := strings.TrimSpace(shortHosts(found[0].hosts) + " " + found[0].target.String())
	return invalid("which one: %s? For example: %s %s", listed(names), g.verb, example)
}

// shortHosts are hosts as they are typed.
func shortHosts(ids []deploy.HostID) string {
	if len(ids) > 3 {
		return "HOST…"
	}
	return strings.Join(hostNames(ids), " ")
}

// misread complains of the first word that has no meaning where most have one.
func (s Scope) misread(g grammar, all []reading) error {
	best := s.best(all)
	word, at := best[0].unread[0], best[0].target
	id, elsewhere, ok := s.hostElsewhere(word)
	hosts := s.hostsOf(best)
	open := s.openNames(best[0])
	choices := slices.Concat(hosts, open)
	switch {
	case ok && best[0].rolls:
		return invalid("%s is a host of %s, not of %s: name the hosts of one environment", id, elsewhere, at)
	case ok:
		return slotsOnly(g, at)
	case len(best) == 1 && best[0].rolls:
		return noHost(word, at, hosts, open)
	case len(hosts) == 0:
		return invalid("%q is no app or environment%s There are: %s", hostile.Line(word, 40), didYouMean(word, choices), listed(choices))
	}
	return invalid("%q is no host, app or environment%s Hosts are: %s", hostile.Line(word, 40), didYouMean(word, choices), listed(hosts))
}

// openNames lists the apps and environments that a word could still mean.
func (s Scope) openNames(r reading) []string {
	var out []string
	if !r.app {
		out = append(out, s.appNames()...)
	}
	if !r.env {
		out = append(out, s.envNames("")...)
	}
	return out
}

func (s Scope) hostElsewhere(word string) (deploy.HostID, deploy.Target, bool) {
	for _, t := range s.all() {
		if id, ok := hostNamed(s.environment(t), word); ok {
			return id, t, true
		}
	}
	return "", deploy.Target{}, false
}

// hostsOf lists the hosts of rolling environments, each once.
func (s Scope) hostsOf(all []reading) []string {
	var out []string
	for _, r := range where(all, func(r reading) bool { return r.rolls }) {
		for _, name := range hostNames(s.environment(r.target).HostIDs()) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// best are the readings that come nearest: those that leave the fewest names of
// apps and environments without a meaning, then the channel's own, then those
// that leave the fewest words; of these the rolling ones.
func (s Scope) best(all []reading) []reading {
	compare := func(a, b reading) int {
		return cmp.Or(cmp.Compare(s.names(a.unread), s.names(b.unread)), cmp.Compare(s.distance(a.target), s.distance(b.target)), cmp.Compare(len(a.unread), len(b.unread)))
	}
	first := slices.MinFunc(all, compare)
	best := where(all, func(r reading) bool { return compare(r, first) == 0 })
	if rolling := where(best, func(r reading) bool { return r.rolls }); len(rolling) > 0 {
		return rolling
	}
	return best
}

// names counts the words that name an app or an environment.
func (s Scope) names(words []string) int {
	n := 0
	for _, w := range words {
		app, _, _ := strings.Cut(w, "/")
		_, isApp := s.app(app)
		if isApp || slices.ContainsFunc(s.envNames(""), func(e string) bool { return strings.EqualFold(e, w) }) {
			n++
		}
	}
	return n
}

func (s Scope) distance(t deploy.Target) int {
	switch {
	case slices.Contains(s.Bound, t):
		return 0
	case s.boundApp(t.App):
		return 1
	}
	return 2
}
