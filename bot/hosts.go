package bot

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// mostHosts is how many hosts one command names.
const mostHosts = 1000

// rangeForm is a word that stands for several hosts: web-[1-3] or web-[01-20].internal.
var rangeForm = regexp.MustCompile(`^([^\[\]]*)\[(\d{1,6})-(\d{1,6})\]([^\[\]]*)$`)

// spread takes lists and ranges apart: "web-[1-3],db-1".
func spread(words []string) ([]string, error) {
	var out []string
	for _, w := range words {
		for part := range strings.SplitSeq(w, ",") {
			if part == "" {
				continue
			}
			names, err := ranged(part)
			if err != nil {
				return nil, err
			}
			if out = append(out, names...); len(out) > mostHosts {
				return nil, invalid("these are more than %d hosts: name fewer", mostHosts)
			}
		}
	}
	return out, nil
}

// ranged gives the names that a word stands for: itself, where it is no range.
func ranged(word string) ([]string, error) {
	m := rangeForm.FindStringSubmatch(word)
	if m == nil {
		return []string{word}, nil
	}
	from, _ := strconv.Atoi(m[2]) // digits by the form
	to, _ := strconv.Atoi(m[3])
	if to < from || to-from >= mostHosts {
		return nil, invalid("%q is no range of hosts: write it like web-[1-3], of at most %d", hostile.Line(word, 40), mostHosts)
	}
	width := 0
	if m[2][0] == '0' {
		width = len(m[2])
	}
	var out []string
	for n := from; n <= to; n++ {
		out = append(out, fmt.Sprintf("%s%0*d%s", m[1], width, n, m[4]))
	}
	return out, nil
}

// listedOn adds the words to a list of hosts that a comma joins to it: people
// type a blank behind a comma. It gives the list and how many words it took.
func listedOn(list string, words []word, used int) (string, int) {
	for used < len(words) {
		next := words[used]
		joined := strings.HasSuffix(list, ",") || strings.HasPrefix(next.text, ",")
		if !joined || next.quoted || strings.HasPrefix(next.text, "-") {
			break
		}
		list += next.text
		used++
	}
	return list, used
}

// leave takes the value of --without.
func (p *Parsed) leave(value string) error {
	if strings.HasSuffix(value, ",") {
		return invalid("a host is missing after %q: write the hosts without blanks, --without web-3,web-4", hostile.Line(value, 40))
	}
	names, err := spread([]string{strings.ReplaceAll(value, " ", ",")})
	if err == nil && len(names) == 0 {
		err = invalid("say which hosts stay as they are: --without web-3")
	}
	for _, name := range names {
		p.Without = append(p.Without, deploy.HostID(name))
	}
	return err
}

// hostNamed finds a host, in whatever case it is typed.
func hostNamed(e deploy.Environment, name string) (deploy.HostID, bool) {
	i := slices.IndexFunc(e.Hosts, func(h deploy.Host) bool { return strings.EqualFold(string(h.ID), name) })
	if i < 0 {
		return "", false
	}
	return e.Hosts[i].ID, true
}

// suited refuses what the environment's strategy has no use for, and gives the
// hosts of --without their configured names.
func suited(g grammar, p Parsed, scope Scope) (Parsed, error) {
	if g.places != placeOne {
		return p, nil
	}
	e, at := scope.environment(p.Target()), p.Target()
	switch rolls := e.Rolling != nil; {
	case len(p.Hosts) > 0 && len(p.Without) > 0:
		return p, invalid("name the hosts, or those to leave out, not both: --without web-3,web-4")
	case !rolls && (g.rolls || len(p.Hosts) > 0):
		return p, slotsOnly(g, at)
	case !rolls && len(p.Without) > 0:
		return p, invalid("--without is for the hosts of rolling environments, and %s switches between two slots: leave it out", at)
	case rolls && g.hosts != namesNone && p.Force != "":
		return p, invalid("%s takes no --force: min_healthy and the check of a host hold for everybody; put other hosts online first, or lower min_healthy", g.verb)
	}
	var without []deploy.HostID
	for _, typed := range p.Without {
		id, ok := hostNamed(e, string(typed))
		if !ok {
			return p, noHost(string(typed), at, hostNames(e.HostIDs()))
		}
		if !slices.Contains(without, id) {
			without = append(without, id)
		}
	}
	p.Without = without
	return p, nil
}

// slotsOnly says that an environment has no hosts that are worked on one by one.
func slotsOnly(g grammar, at deploy.Target) error {
	if g.verb == VerbRestart {
		return invalid("single hosts are restarted in rolling environments, and %s switches between two slots: `restart %s %s` starts what is live anew, unnoticed", at, at.App, at.Env)
	}
	return invalid("%s is for hosts of a rolling environment, and %s switches between two slots: `restart %s %s` starts what is live anew, unnoticed", g.verb, at, at.App, at.Env)
}

// noHost lists the hosts that there are; others are what the word may have been
// meant as besides.
func noHost(word string, at deploy.Target, hosts []string, others ...[]string) error {
	choices := slices.Concat(hosts, slices.Concat(others...))
	return invalid("%s has no host %q%s It has: %s", at, hostile.Line(word, 40), didYouMean(word, choices), listed(hosts))
}

func hostNames(ids []deploy.HostID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// someHosts names at most twelve hosts, and says how many there are besides.
func someHosts(ids []deploy.HostID) string {
	names := hostNames(ids)
	if len(names) <= mostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s, and %d more", strings.Join(names[:mostNamed], ", "), len(names)-mostNamed)
}

// mostNamed is how many hosts one line names.
const mostNamed = 12
