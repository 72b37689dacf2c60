package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// span is a range within a text, [01-20]. An IPv6 address in brackets is none.
var span = regexp.MustCompile(`\[([0-9]{1,9})-([0-9]{1,9})\]`)

// mostHosts is how many hosts one entry may stand for.
const mostHosts = 1000

// expanded gives the hosts that an entry stands for: as many as its ranges have
// numbers, or the entry itself.
func (b *building) expanded(key string, entry int, f hostFile) []hostFile {
	ranged := f.ranged()
	if len(ranged) == 0 {
		return []hostFile{f}
	}
	members := map[string][]string{}
	for _, text := range ranged {
		all, err := spread(text)
		if err == nil && len(members) > 0 && len(all) != len(members[ranged[0]]) {
			err = fmt.Errorf("%s and %s are not of the same length: the ranges of an entry go together, one number for each host", describe(ranged[0]), describe(text))
		}
		if err != nil {
			b.fail(key, "entry %d: %v", entry, err)
			return nil
		}
		members[text] = all
	}
	out := make([]hostFile, len(members[ranged[0]]))
	for i := range out {
		out[i] = f.each(func(text string) string {
			if all, ok := members[text]; ok {
				return all[i]
			}
			return text
		})
	}
	return out
}

// ranged are the texts of an entry that hold a range.
func (f hostFile) ranged() []string {
	texts := []string{f.SSH, f.Name, f.Address}
	for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
		texts = append(texts, f.Labels[name])
	}
	return slices.DeleteFunc(texts, func(t string) bool { return !span.MatchString(t) })
}

// each is the entry with every text that may hold a range changed.
func (f hostFile) each(change func(string) string) hostFile {
	f.SSH, f.Name, f.Address = change(f.SSH), change(f.Name), change(f.Address)
	f.Labels = maps.Clone(f.Labels)
	for name, text := range f.Labels {
		f.Labels[name] = change(text)
	}
	return f
}

// standsFor says which hosts an entry with a range is; empty without one.
func (f hostFile) standsFor() string {
	if ranged := f.ranged(); len(ranged) > 0 {
		return describe(ranged[0])
	}
	return ""
}

// describe says what a text with a valid range expands to.
func describe(text string) string {
	all, err := spread(text)
	if err != nil {
		return text
	}
	return fmt.Sprintf("%s (%d: %s to %s)", text, len(all), all[0], all[len(all)-1])
}

// spread gives what a text with a range expands to. The numbers are as wide as
// the first one where that begins with 0.
func spread(text string) ([]string, error) {
	found := span.FindAllStringSubmatchIndex(text, -1)
	at := found[0]
	low, high := text[at[2]:at[3]], text[at[4]:at[5]]
	from, _ := strconv.Atoi(low) // at most nine digits, by the expression
	to, _ := strconv.Atoi(high)
	switch {
	case len(found) > 1:
		return nil, fmt.Errorf("%s has more than one range: write an entry for each", text)
	case to < from:
		return nil, fmt.Errorf("%s counts backwards: write [%s-%s]", text, high, low)
	case to-from >= mostHosts:
		return nil, fmt.Errorf("%s stands for %d hosts, and an entry may stand for %d at most", text, to-from+1, mostHosts)
	}
	width := 0
	if low[0] == '0' {
		width = len(low)
	}
	all := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprintf("%s%0*d%s", text[:at[0]], width, n, text[at[1]:]))
	}
	return all, nil
}
