package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// drawn is how many hosts a message shows one by one; more become a bar.
const drawn = 12

// barWidth is how many signs a bar of hosts has at most.
const barWidth = 40

// batchMarks are a rolling plan in a message: what is about all hosts step by
// step, and each batch as one.
func batchMarks(p *Plan, outcomes Outcomes, next int, open bool) []Mark {
	single := planMarks(p, outcomes, next, open)
	var out []Mark
	for i := 0; i < len(p.Steps); {
		end := i + 1
		for inBatch(p.Steps[i]) && end < len(p.Steps) && inBatch(p.Steps[end]) && p.Steps[end].Batch == p.Steps[i].Batch {
			end++
		}
		if !inBatch(p.Steps[i]) {
			out = append(out, single[i])
		} else {
			out = append(out, Mark{Label: p.batchLabel(p.Steps[i].Batch), State: joined(single[i:end])})
		}
		i = end
	}
	return out
}

func inBatch(s Step) bool { return s.Batch > 0 && s.Op != OpBake }

func (p Plan) batchLabel(batch int) string {
	n, last := 0, 0
	for _, m := range p.Fleet {
		if m.Batch == batch {
			n++
		}
		last = max(last, m.Batch)
	}
	switch {
	case n == 1 && last == 1:
		return string(p.Fleet[0].Host)
	case last == 1:
		return fmt.Sprintf("%d hosts", n)
	}
	return fmt.Sprintf("batch %d of %d", batch, last)
}

// joined is the state of several marks as one.
func joined(marks []Mark) string {
	done := 0
	for _, m := range marks {
		switch m.State {
		case "failed":
			return "failed"
		case "done":
			done++
		}
	}
	switch {
	case done == len(marks):
		return "done"
	case done > 0 || slices.ContainsFunc(marks, func(m Mark) bool { return m.State == "doing" }):
		return "doing"
	}
	return "todo"
}

// hostMarks are the hosts of a rolling plan in their turn: how far each of them is.
func hostMarks(s State) []Mark {
	plan, outcomes, undoing := s.Current()
	steps, begun, done := map[HostID]int{}, map[HostID]int{}, map[HostID]int{}
	for i, st := range plan.Steps {
		for _, id := range st.Hosts {
			if inBatch(st) {
				steps[id]++
				begun[id] += min(outcomes.At(i).Attempts, 1)
				if outcomes.At(i).Done {
					done[id]++
				}
			}
		}
	}
	var failing []HostID // now: a person is needed, or the way back comes next
	if s.failed() {
		for _, f := range outcomes.At(s.Next).After.Failures {
			failing = append(failing, f.Host)
		}
	}
	var out []Mark
	for _, m := range s.Plan.Fleet {
		id, state := m.Host, "todo"
		switch {
		case s.Behind(id), slices.Contains(failing, id):
			state = "failed"
		case steps[id] == 0:
		case done[id] == steps[id] && undoing:
			state = "undone"
		case done[id] == steps[id]:
			state = "done"
		case begun[id] > 0:
			state = "doing"
		}
		out = append(out, Mark{Label: string(id), State: state})
	}
	return out
}

// fleetLines tell how far a rolling deploy is, host by host or as a bar.
func fleetLines(s State) []string {
	if s.Plan == nil || !s.Plan.Rolls() || len(s.Plan.Fleet) < 2 {
		return behindLines(s)
	}
	marks := hostMarks(s)
	lines := []string{bar(marks)}
	if len(marks) <= drawn {
		lines = []string{named(marks)}
	} else if _, _, undoing := s.Current(); !undoing {
		lines = append(lines, fmt.Sprintf("%d of %d hosts", count(marks, "done"), len(marks)))
	}
	if step, ok := s.StepAt(s.Next); ok && s.Open && inBatch(step) {
		lines = append(lines, fmt.Sprintf("now: %s of %s", step.Name(), someOf(step.Hosts)))
	}
	return append(lines, behindLines(s)...)
}

func behindLines(s State) []string {
	var lines []string
	all := slices.Concat(s.Skipped, s.UndoSkipped)
	for i, f := range all {
		if i == drawn {
			return append(lines, fmt.Sprintf("and %d more hosts are left behind", len(all)-i))
		}
		lines = append(lines, fmt.Sprintf("%s is left behind: %s", f.Host, MessageOf(f.Err)))
	}
	return lines
}

func count(marks []Mark, state string) int {
	n := 0
	for _, m := range marks {
		if m.State == state {
			n++
		}
	}
	return n
}

// sign shows a state in one letter.
func sign(state string) string {
	switch state {
	case "done":
		return "■"
	case "doing":
		return "▶"
	case "failed":
		return "✘"
	case "undone":
		return "↩"
	}
	return "·"
}

func named(marks []Mark) string {
	var out []string
	for _, m := range marks {
		out = append(out, sign(m.State)+" "+m.Label)
	}
	return strings.Join(out, "  ")
}

// bar draws one sign a host; of more hosts than fit each sign stands for
// several, and shows the one of them that people look for first.
func bar(marks []Mark) string {
	var out strings.Builder
	width := min(len(marks), barWidth)
	for i := range width {
		part := marks[i*len(marks)/width : (i+1)*len(marks)/width]
		out.WriteString(sign(foremost(part)))
	}
	return out.String()
}

func foremost(marks []Mark) string {
	for _, state := range []string{"failed", "doing", "todo", "undone"} {
		if count(marks, state) > 0 {
			return state
		}
	}
	return "done"
}

// standing is what a host runs and whether it has traffic, as the journal knows it.
type standing struct {
	release Release
	in      bool
}

// spread says which release serves on which hosts, and who is out of traffic.
func spread(s State) []string {
	at := map[HostID]standing{}
	for _, m := range s.Plan.Fleet {
		at[m.Host] = standing{release: m.Old, in: m.Served}
	}
	stand(at, s.Plan, s.Outcomes, leftAt(s.Skipped))
	if s.Undo != nil {
		stand(at, s.Undo, s.UndoOutcomes, leftAt(s.UndoSkipped))
	}
	serve, out := map[string][]HostID{}, []HostID(nil)
	var names []string
	for _, m := range s.Plan.Fleet {
		if !at[m.Host].in {
			out = append(out, m.Host)
			continue
		}
		name := at[m.Host].release.Commit.Short()
		if serve[name] == nil {
			names = append(names, name)
		}
		serve[name] = append(serve[name], m.Host)
	}
	var lines []string
	for _, name := range names {
		if name == "" {
			lines = append(lines, fmt.Sprintf("what ran before serves on %s", someOf(serve[name])))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s serves on %s", name, someOf(serve[name])))
	}
	if len(out) > 0 {
		lines = append(lines, fmt.Sprintf("out of traffic: %s", someOf(out)))
	}
	return lines
}

func stand(at map[HostID]standing, p *Plan, outcomes Outcomes, without map[HostID]int) {
	for i, st := range p.Steps {
		o := outcomes.At(i)
		for _, id := range st.Hosts {
			now, ok := at[id]
			failed, skipped := without[id]
			if !ok || o.Attempts == 0 || skipped && i > failed {
				continue
			}
			switch {
			case st.Op == OpOut:
				now.in = false
			case st.Op == OpIn:
				now.in = o.Done && !skipped
			case st.Op == OpStart, st.Op == OpCheck && !st.Release.IsZero():
				now.release = st.Release
			}
			at[id] = now
		}
	}
}

// rolled adds to the report who is not in traffic at the end.
func (r *Report) rolled(s State, live Live, ending Ending) {
	for _, line := range behindLines(s) {
		if !slices.Contains(r.Notes, line) {
			r.Notes = append(r.Notes, line)
		}
	}
	var mixed []string
	if ending != Succeeded && Moved(s) {
		mixed = spread(s)
	}
	r.Notes = append(r.Notes, mixed...)
	var ids []HostID
	for _, id := range live.Hosts.IDs() {
		if live.Hosts.Get(id).Out != nil {
			ids = append(ids, id)
		}
	}
	for i, id := range ids {
		if i == drawn {
			r.Notes = append(r.Notes, fmt.Sprintf("and %d more hosts are out of traffic", len(ids)-i))
			return
		}
		r.Notes = append(r.Notes, outText(id, *live.Hosts.Get(id).Out, live.Target))
	}
}

// outText says why a host is out of traffic and what brings it back.
func outText(id HostID, o Outage, t Target) string {
	if o.Unproven {
		return fmt.Sprintf("it is not certain whether %s has traffic since %s: look at it, then `online %s %s %s` or `offline %s %s %s`", id, o.Deploy, id, t.App, t.Env, id, t.App, t.Env)
	}
	if o.Person {
		return fmt.Sprintf("%s is out of traffic by %s (%s) until `online %s %s %s`", id, o.By, o.Deploy, id, t.App, t.Env)
	}
	return fmt.Sprintf("%s is out of traffic since %s by %s: when it is well again, `online %s %s %s` or the next deploy puts it back", id, o.At.UTC().Format("2006-01-02 15:04 UTC"), o.Deploy, id, t.App, t.Env)
}
