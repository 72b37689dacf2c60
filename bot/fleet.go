package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// fleetLines tell of the hosts of a rolling environment: how many are in
// traffic, who is out since when and by whom, and who runs something else.
func fleetLines(o Overview, now time.Time) []string {
	l, hosts := o.Live, o.hosts
	if l.Hosts.IsZero() || l.Slot != deploy.Main && l.Slot != "" {
		return nil
	}
	var in, out, bare []deploy.HostID
	for _, h := range hosts {
		switch s := l.Hosts.Get(h.ID); {
		case !l.Hosts.Has(h.ID):
			bare = append(bare, h.ID)
		case s.Out != nil:
			out = append(out, h.ID)
		default:
			in = append(in, h.ID)
		}
	}
	lines := append([]string{inLine(len(in), len(hosts))}, outLines(o, out, now)...)
	if len(bare) > 0 {
		lines = append(lines, fmt.Sprintf("new and not deployed to yet: %s", someHosts(bare)))
	}
	return append(append(lines, otherLines(l, hosts)...), goneLines(l, hosts)...)
}

func inLine(in, all int) string {
	switch {
	case in < all:
		return fmt.Sprintf("%d of %d hosts in traffic", in, all)
	case all == 1:
		return "1 host in traffic"
	}
	return fmt.Sprintf("%d hosts in traffic", all)
}

func outLines(v Overview, out []deploy.HostID, now time.Time) []string {
	var lines []string
	work := v.atWork()
	for i, id := range out {
		if i == mostNamed {
			return append(lines, fmt.Sprintf("and %d more out of traffic", len(out)-i))
		}
		switch {
		case work.Op == deploy.OpIn && slices.Contains(work.Hosts, id):
			lines = append(lines, fmt.Sprintf("%s is being put back by %s", id, v.Live.Active))
		case work.Op == deploy.OpOut && slices.Contains(work.Hosts, id):
			lines = append(lines, fmt.Sprintf("%s is being taken out by %s", id, v.Live.Active))
		default:
			lines = append(lines, outLine(v.Live, id, now))
		}
	}
	return lines
}

// atWork is the step that the active deploy has begun and not ended; the zero
// Step where there is none.
func (o Overview) atWork() deploy.Step {
	if o.Active == nil {
		return deploy.Step{}
	}
	step, ok := o.Active.StepAt(o.Active.Next)
	_, outcomes, _ := o.Active.Current()
	if !ok || outcomes.At(o.Active.Next).Attempts == 0 {
		return deploy.Step{}
	}
	return step
}

// outLine says since when and why a host is out of traffic, and what ends it.
func outLine(l deploy.Live, id deploy.HostID, now time.Time) string {
	s := l.Hosts.Get(id)
	o := *s.Out
	since, atWork := lastsFor(now.Sub(o.At)), o.Deploy == l.Active
	switch {
	case atWork && o.Unproven:
		return fmt.Sprintf("%s is being taken out by %s", id, o.Deploy)
	case o.Unproven:
		return fmt.Sprintf("it is not certain whether %s has traffic since %s took it out: look at it, then type online or offline", id, o.Deploy)
	case o.Person && !s.Instance.Running() && !s.Release.IsZero():
		return fmt.Sprintf("%s stopped and out of traffic for %s by %s (%s), until start", id, since, o.Deploy, actorText(o.By))
	case o.Person:
		return fmt.Sprintf("%s out of traffic for %s by %s (%s), until online", id, since, o.Deploy, actorText(o.By))
	case atWork:
		return fmt.Sprintf("%s out of traffic for %s by %s, which is at work on it", id, since, o.Deploy)
	}
	return fmt.Sprintf("%s out of traffic for %s by %s: the next deploy or online puts it back", id, since, o.Deploy)
}

// lastsFor is how long something is so already.
func lastsFor(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return ago(d)
}

// otherLines tell which hosts run another release than the live one.
func otherLines(l deploy.Live, hosts []deploy.Host) []string {
	var order []string
	running := map[string][]deploy.HostID{}
	var anew []deploy.HostID
	for _, h := range hosts {
		r := l.Hosts.Get(h.ID).Release
		if r.IsZero() || r.Key() == l.Release.Key() {
			continue
		}
		if r.Commit.SHA == l.Release.Commit.SHA {
			anew = append(anew, h.ID)
			continue
		}
		if c := r.Commit.Short(); !slices.Contains(order, c) {
			order = append(order, c)
		}
		running[r.Commit.Short()] = append(running[r.Commit.Short()], h.ID)
	}
	lines := builtLines(l.Release.Commit, anew)
	for _, c := range order[:min(len(order), mostNamed)] {
		if ids := running[c]; len(ids) == 1 {
			lines = append(lines, fmt.Sprintf("%s runs %s", ids[0], c))
		} else {
			lines = append(lines, fmt.Sprintf("%d hosts run %s: %s", len(ids), c, someHosts(ids)))
		}
	}
	return lines
}

// builtLines tell which hosts run another build of the live commit.
func builtLines(c deploy.Commit, hosts []deploy.HostID) []string {
	switch len(hosts) {
	case 0:
		return nil
	case 1:
		return []string{fmt.Sprintf("%s runs %s with older settings", hosts[0], c.Short())}
	}
	return []string{fmt.Sprintf("%d hosts run %s with older settings: %s", len(hosts), c.Short(), someHosts(hosts))}
}

// goneLines tell of hosts that left the configuration and were not stopped yet.
func goneLines(l deploy.Live, hosts []deploy.Host) []string {
	gone := slices.DeleteFunc(l.Hosts.IDs(), func(id deploy.HostID) bool {
		return slices.ContainsFunc(hosts, func(h deploy.Host) bool { return h.ID == id })
	})
	if len(gone) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("not in the configuration any more, stopped by the next deploy: %s", someHosts(gone))}
}

// hostList is hosts in words, "web-1, web-2 (2 hosts)".
func hostList(ids []deploy.HostID) string {
	if len(ids) == 1 {
		return string(ids[0])
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%d hosts)", someHosts(ids), len(ids)))
}
