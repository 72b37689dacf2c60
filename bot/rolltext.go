package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// wave is the hosts that a rolling plan works on together, with its steps about them.
type wave struct {
	hosts  []deploy.HostID
	phases string
	steps  []deploy.Step
}

// rollText prints a rolling plan: what is about all hosts step by step, the
// hosts in their turn batch by batch, and what holds throughout.
func rollText(p deploy.Plan) []string {
	lines, n := []string{rollHead(p)}, 0
	say := func(text string) {
		n++
		lines = append(lines, fmt.Sprintf("%3d. %s", n, text))
	}
	for i := 0; i < len(p.Steps); {
		end := rollPart(p, i)
		for _, text := range partTexts(p, p.Steps[i:end]) {
			say(text)
		}
		if i <= p.Commit && p.Commit < end {
			lines = append(lines, "     ── commit point: from here on the release is the live one ──")
		}
		i = end
	}
	return append(lines, rollRules(p)...)
}

// rollPart gives where the part of a plan ends that begins at a step: a batch,
// the way of hosts that left the configuration, or a single step.
func rollPart(p deploy.Plan, from int) int {
	first, end := p.Steps[from], from+1
	switch {
	case inBatch(first):
		for end < len(p.Steps) && inBatch(p.Steps[end]) && p.Steps[end].Batch == first.Batch {
			end++
		}
	case first.Op == deploy.OpOut:
		for end < len(p.Steps) && !p.Steps[end-1].Forget {
			end++
		}
	}
	return end
}

func inBatch(s deploy.Step) bool { return s.Batch > 0 && s.Op != deploy.OpBake }

func partTexts(p deploy.Plan, steps []deploy.Step) []string {
	switch {
	case inBatch(steps[0]):
		return batchTexts(p, steps)
	case steps[0].Op == deploy.OpOut:
		return []string{fmt.Sprintf("%s left the configuration: %s", hostList(steps[0].Hosts), phasesText(steps))}
	}
	return []string{stepText(steps[0])}
}

// batchTexts is a line for all waves of a batch that go the same way.
func batchTexts(p deploy.Plan, steps []deploy.Step) []string {
	lead := "on "
	if last := lastBatch(p); last > 1 {
		lead = fmt.Sprintf("batch %d of %d: ", steps[0].Batch, last)
	}
	var out []string
	waves := wavesOf(steps)
	for i := 0; i < len(waves); {
		end, widest := i, 0
		var hosts []deploy.HostID
		for ; end < len(waves) && waves[end].phases == waves[i].phases; end++ {
			hosts = append(hosts, waves[end].hosts...)
			widest = max(widest, len(waves[end].hosts))
		}
		out = append(out, lead+paced(hosts, widest)+": "+waves[i].phases)
		i = end
	}
	return out
}

func lastBatch(p deploy.Plan) int {
	last := 0
	for _, m := range p.Fleet {
		last = max(last, m.Batch)
	}
	return last
}

// paced says how many of the hosts are worked on at once.
func paced(hosts []deploy.HostID, widest int) string {
	switch {
	case len(hosts) == 1:
		return string(hosts[0])
	case widest == len(hosts):
		return fmt.Sprintf("%s (%d hosts), all at once", someHosts(hosts), len(hosts))
	}
	return fmt.Sprintf("%s (%d hosts), %d at a time", someHosts(hosts), len(hosts), widest)
}

// wavesOf takes the steps of a batch apart: a step about none of a wave's hosts
// begins the next one; programs that run beside the bot belong to the wave before.
func wavesOf(steps []deploy.Step) []wave {
	var out []wave
	for _, s := range steps {
		last := len(out) - 1
		if last < 0 || len(s.Hosts) > 0 && !slices.ContainsFunc(s.Hosts, func(id deploy.HostID) bool { return slices.Contains(out[last].hosts, id) }) {
			out = append(out, wave{})
			last++
		}
		w := &out[last]
		w.steps = append(w.steps, s)
		for _, id := range s.Hosts {
			if !slices.Contains(w.hosts, id) {
				w.hosts = append(w.hosts, id)
			}
		}
	}
	for i := range out {
		out[i].phases = phasesText(out[i].steps)
	}
	return out
}

// phasesText is the way of a host through a plan; the user's programs are told apart.
func phasesText(steps []deploy.Step) string {
	var way []string
	var drain deploy.Duration
	for _, s := range steps {
		if s.Op == deploy.OpDrain {
			drain = s.Hold
		}
		if s.Op != deploy.OpHook && s.Op != deploy.OpIdle {
			way = append(way, string(s.Op))
		}
	}
	switch strings.Join(way, " ") {
	case "out drain stop start check in":
		return fmt.Sprintf("out of traffic, drain at most %s, stop, start, check, back in", drain)
	case "out drain stop start check":
		return fmt.Sprintf("out of traffic, drain at most %s, stop, start, check", drain)
	case "out drain check in":
		return fmt.Sprintf("out of traffic, drain at most %s, check, back in", drain)
	case "out drain stop":
		return fmt.Sprintf("out of traffic, drain at most %s, stop", drain)
	case "out drain":
		return fmt.Sprintf("out of traffic, drain at most %s", drain)
	case "out start check in":
		return "out of traffic, start, check, back in"
	case "start check in":
		return "start, check, back in"
	case "check in":
		return "check, back in"
	}
	return strings.Join(way, ", ")
}

func rollHead(p deploy.Plan) string {
	app, env := p.Target.App, p.Target.Env
	hosts := make([]deploy.HostID, len(p.Fleet))
	for i, m := range p.Fleet {
		hosts[i] = m.Host
	}
	switch {
	case len(p.Steps) == 0:
		return fmt.Sprintf("%s → %s: nothing to do", app, env)
	case p.Want != deploy.WantDeploy && p.Want != deploy.WantRollback:
		return fmt.Sprintf("%s → %s: %s %s", app, env, p.Want, hostList(hosts))
	case p.Old.IsZero():
		return fmt.Sprintf("%s → %s: %s %s on %d hosts", app, env, p.Want, commitText(p.Release.Commit), len(hosts))
	}
	return fmt.Sprintf("%s → %s: %s %s on %d hosts; %s serves on each until its turn", app, env, p.Want, commitText(p.Release.Commit), len(hosts), commitText(p.Old.Commit))
}

// rollRules are what holds throughout a rolling plan.
func rollRules(p deploy.Plan) []string {
	if len(p.Steps) == 0 {
		return nil
	}
	lines := append(hookLines(p), orderLines(p)...)
	lines = append(lines, floorLines(p)...)
	if p.Want == deploy.WantDeploy || p.Want == deploy.WantRollback {
		lines = append(lines, failureLine(*p.Settings.Rolling), proofLine(p.Settings))
	}
	if p.Want == deploy.WantOffline || p.Want == deploy.WantStop {
		return lines
	}
	return append(lines, turnsLine(p))
}

// hookLines tell of the user's programs that run in every host's turn.
func hookLines(p deploy.Plan) []string {
	var lines []string
	var told []string
	for _, s := range p.Steps {
		if !inBatch(s) || s.Hook == "" || slices.Contains(told, s.Hook) {
			continue
		}
		told = append(told, s.Hook)
		lines = append(lines, fmt.Sprintf("%s: %s, %s runs on %s, at most %s", s.Hook, moment(s.Hook), programText(s), rollPlace(s.On), s.Hold))
	}
	return lines
}

func rollPlace(on string) string {
	switch on {
	case deploy.OnBot:
		return "the bot's machine"
	case deploy.OnFirstHost:
		return "the first host"
	}
	return "each host"
}

// moment is when in a host's turn a program runs.
func moment(hook string) string {
	switch hook {
	case "on_idle":
		return "once it is out of traffic"
	case "idle":
		return "before it is stopped"
	case "smoke_test":
		return "before it is back in"
	}
	return "once it is back in"
}

// orderLines say who comes first and who stays out, because no user reaches it.
func orderLines(p deploy.Plan) []string {
	var first, kept []deploy.HostID
	served := false
	for _, m := range p.Fleet {
		switch {
		case m.Kept:
			kept = append(kept, m.Host)
		case !m.Served:
			first = append(first, m.Host)
		}
		served = served || m.Served
	}
	var lines []string
	if served && len(first) > 0 {
		lines = append(lines, fmt.Sprintf("out of traffic already, so they come first and cost no budget: %s", someHosts(first)))
	}
	if len(kept) > 0 && p.Want != deploy.WantOnline && p.Want != deploy.WantStart {
		lines = append(lines, fmt.Sprintf("stay out of traffic until online: %s", someHosts(kept)))
	}
	return lines
}

// floorLines tell how many hosts stay in service; nothing where none leaves it.
func floorLines(p deploy.Plan) []string {
	served := map[deploy.HostID]bool{}
	for _, m := range p.Fleet {
		served[m.Host] = m.Served
	}
	widest := 0
	for _, s := range p.Steps {
		if s.Op == deploy.OpOut {
			leaving := where(s.Hosts, func(id deploy.HostID) bool { return served[id] })
			widest = max(widest, len(leaving))
		}
	}
	if widest == 0 {
		return nil
	}
	return []string{fmt.Sprintf("floor: at least %d of %d hosts stay healthy and in traffic, at most %d out at once", p.Settings.Rolling.MinHealthy, len(p.Settings.Hosts), widest)}
}

// failureLine says what follows when the release fails on a host.
func failureLine(r deploy.Rolling) string {
	switch r.OnHostFailure {
	case deploy.OnFailureStop:
		return "if the release fails on a host, the deploy is held as it stands, for a person"
	case deploy.OnFailureSkip:
		return fmt.Sprintf("if the release fails on a host, that host stays out of traffic, at most %d of them", r.MaxFailedHosts)
	}
	return "if the release fails on a host, every host that was changed goes back"
}

// turnsLine sums the waits that the plan itself asks for.
func turnsLine(p deploy.Plan) string {
	var fixed, drain deploy.Duration
	for _, s := range p.Steps {
		switch s.Op {
		case deploy.OpCheck, deploy.OpBake:
			fixed += s.Hold
		case deploy.OpDrain:
			drain += s.Hold
		}
	}
	return fmt.Sprintf("turns: %d; waits at least %s, drains at most %s, plus stop, start and the balancer's own delay", turnsOf(p), fixed, drain)
}

// turnsOf counts the waves of a plan.
func turnsOf(p deploy.Plan) int {
	n := 0
	for i := 0; i < len(p.Steps); {
		end := rollPart(p, i)
		if inBatch(p.Steps[i]) {
			n += len(wavesOf(p.Steps[i:end]))
		}
		i = end
	}
	return n
}

// sameWork reports whether a deploy of the past did the same on some host; a
// list's entry is enough.
func sameWork(s deploy.State, want deploy.Want) bool {
	return s.Ending == deploy.Succeeded && s.Request.Want == want && s.Plan != nil && len(s.Plan.Fleet) > 0
}

// expectedLine foretells how long a rolling plan takes by a whole deploy of the
// past; empty where that one had no turns.
func expectedLine(p deploy.Plan, s deploy.State) string {
	if s.Plan == nil || !s.Plan.Rolls() || turnsOf(*s.Plan) == 0 {
		return ""
	}
	turn := inTurns(s) / time.Duration(turnsOf(*s.Plan))
	total := turn * time.Duration(turnsOf(p))
	for _, st := range p.Steps {
		if st.Op == deploy.OpBake {
			total += st.Hold.D()
		}
	}
	return fmt.Sprintf("expected: about %s, as a turn took %s in %s", total.Round(time.Second), turn.Round(100*time.Millisecond), s.ID)
}

// inTurns is how long the hosts of a deploy had their turns.
func inTurns(s deploy.State) time.Duration {
	var sum time.Duration
	for i, st := range s.Plan.Steps {
		if o := s.Outcomes.At(i); inBatch(st) && o.Done {
			sum += o.Ended.Sub(o.Started)
		}
	}
	return sum
}
