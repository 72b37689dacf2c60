package bot

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

const (
	maxReason   = 200 // characters of a lock's reason
	longestLock = 30 * 24 * time.Hour
)

// locking reads the environment, the reason and the time of a lock. A reason in
// quotation marks may stand anywhere; else it is what follows the names.
func locking(g grammar, p Parsed, words []word, scope Scope) (Parsed, error) {
	words, lasts, err := cutFor(words)
	if err != nil {
		return p, err
	}
	place := placement{scope: scope, g: g}
	p.For = lasts
	if p.Reason, err = place.reason(words); err != nil {
		return p, err
	}
	p.Named = place.app != "" || place.env != ""
	p.Targets, err = place.targets()
	return p, err
}

// reason takes the names among the words and gives the rest as the reason.
func (p *placement) reason(words []word) (string, error) {
	rest, err := p.named(words)
	if err != nil {
		return "", err
	}
	reason := strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(rest, " "), "`", "'")), " ")
	if n := utf8.RuneCountInString(reason); n > maxReason {
		return "", invalid("the reason has %d characters, and %d fit: shorten it", n, maxReason)
	}
	if reason == "" {
		names := strings.Join(strings.Fields(p.app+" "+p.env+" "), " ")
		return "", invalid("say why it is locked, for example: lock %s \"database migration\" for 2h", cmp.Or(names, "shop production"))
	}
	return reason, nil
}

// named takes the names of the environment, and gives the other words.
func (p *placement) named(words []word) (rest []string, err error) {
	if i := p.quotedReason(words); i >= 0 {
		for _, w := range slices.Concat(words[:i], words[i+1:]) {
			if err := p.take(w.text); err != nil {
				return nil, err
			}
		}
		return []string{words[i].text}, nil
	}
	for rest = texts(words); len(rest) > 0 && p.isPlace(rest[0]); rest = rest[1:] {
		if err := p.take(rest[0]); err != nil {
			return nil, err
		}
	}
	return rest, p.unclear(rest)
}

// quotedReason finds the reason among words in quotation marks: the first that
// holds a space, else the first that is no name, else the last; -1 for none, and
// where the reason goes on behind the mark: lock shop production "login" is slow.
func (p *placement) quotedReason(words []word) int {
	at, name := -1, true
	for i, w := range words {
		switch {
		case !w.quoted:
		case strings.Contains(w.text, " "):
			return i
		case name:
			at, name = i, p.isPlace(w.text)
		}
	}
	if at >= 0 && at+1 < len(words) && p.isProse(words[at+1].text) {
		return -1
	}
	return at
}

// isProse reports whether a word is no name, and none that is misspelt.
func (p *placement) isProse(w string) bool {
	_, near := nearest(w, p.openNames(), strictSlack(w))
	return !near && !p.isPlace(w)
}

// unclear refuses a reason without quotation marks that may begin with a
// misspelt name, or that holds a time that is not at its end.
func (p *placement) unclear(words []string) error {
	if len(words) == 0 {
		return nil
	}
	if strings.EqualFold(words[0], "to") {
		return invalid("write the names without \"to\": %s", p.g.usage())
	}
	if meant, ok := nearest(words[0], p.openNames(), strictSlack(words[0])); ok {
		return invalid("%q is no app or environment — did you mean %s? If the reason begins with it, put the reason in quotation marks", hostile.Line(words[0], 40), meant)
	}
	for i := range words[1:] {
		if _, ok := span(words[i+1]); ok && isFor(words[i]) {
			return invalid("write how long at the end: %s", p.g.usage())
		}
	}
	return nil
}

func isFor(w string) bool { return strings.EqualFold(w, "for") }

// cutFor takes "for 2h", or "for 2 hours", off the end.
func cutFor(in []word) (rest []word, lasts deploy.Duration, err error) {
	words, n := texts(in), len(in)
	switch {
	case n > 0 && isFor(words[n-1]) && !in[n-1].quoted:
		return nil, 0, invalid("something is missing after \"for\": write it like for 30m, for 2h, for 1h30m or for 2d")
	case n > 1 && isFor(words[n-2]) && numeric(words[n-1]):
		lasts, err = lasting(words[n-1])
		return in[:n-2], lasts, err
	case n > 2 && isFor(words[n-3]) && numeric(words[n-2]) && unitOf(words[n-1]) > 0:
		lasts, err = lasting(words[n-2] + words[n-1])
		return in[:n-3], lasts, err
	}
	return in, 0, nil
}

// numeric reports whether a word begins as a number does.
func numeric(word string) bool {
	word = strings.TrimLeft(word, "+-")
	return word != "" && word[0] >= '0' && word[0] <= '9'
}

// lasting reads how long a lock lasts.
func lasting(word string) (deploy.Duration, error) {
	d, ok := span(word)
	switch {
	case !ok || d <= 0:
		return 0, invalid("%q is no time that a lock can last: write it like 30m, 2h, 1h30m or 2d", hostile.Line(word, 40))
	case d > longestLock:
		return 0, invalid("a lock lasts at most 30 days; without \"for\" it lasts until `unlock`")
	}
	return deploy.Duration(d), nil
}

// span reads "1h30m", "2d", "2 hours". What is too long for a lock comes back
// as some such time.
func span(text string) (sum time.Duration, ok bool) {
	const digits = "0123456789"
	text = strings.ReplaceAll(text, " ", "")
	for rest := text; rest != ""; {
		after := strings.TrimLeft(rest, digits)
		next := strings.IndexAny(after, digits)
		if next < 0 {
			next = len(after)
		}
		unit := unitOf(after[:next])
		n, err := strconv.Atoi(rest[:len(rest)-len(after)])
		if err != nil || unit == 0 {
			return 0, false
		}
		sum += time.Duration(min(n, int(longestLock/unit)+1)) * unit
		rest = after[next:]
	}
	return sum, text != ""
}

// unitOf gives a unit of time; 0 where the word is none.
func unitOf(word string) time.Duration {
	switch strings.ToLower(word) {
	case "s", "sec", "second", "seconds":
		return time.Second
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute
	case "h", "hour", "hours":
		return time.Hour
	case "d", "day", "days":
		return 24 * time.Hour
	}
	return 0
}
