package bot

import (
	"fmt"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// planText prints a plan: what it leads to, every step with its waits, the
// commit point, how the release is proven, and what stands in the way.
func planText(p deploy.Plan) string {
	lines := slotText
	if p.Rolls() {
		lines = rollText
	}
	return strings.Join(append(lines(p), noteLines(p)...), "\n")
}

// slotText is a plan that brings a release up in a slot, step by step.
func slotText(p deploy.Plan) []string {
	lines := []string{planHead(p)}
	for i, s := range p.Steps {
		lines = append(lines, fmt.Sprintf("%3d. %s", i+1, stepText(s)))
		if i == p.Commit {
			lines = append(lines, "     ── commit point: before it a failure is undone unnoticed, after it traffic goes back ──")
		}
	}
	if len(p.Steps) > 0 && p.Commit >= 0 {
		lines = append(lines, proofLine(p.Settings), waitsLine(p))
	}
	return lines
}

func noteLines(p deploy.Plan) []string {
	var lines []string
	for _, n := range p.Notes {
		lines = append(lines, "note: "+hostile.Line(strings.TrimPrefix(n, "nothing to do: "), 500))
	}
	return lines
}

func planHead(p deploy.Plan) string {
	if len(p.Steps) == 0 {
		return fmt.Sprintf("%s → %s: nothing to do", p.Target.App, p.Target.Env)
	}
	head := fmt.Sprintf("%s → %s: %s", p.Target.App, p.Target.Env, p.Want)
	if !p.Release.IsZero() {
		head += fmt.Sprintf(" %s to %s", commitText(p.Release.Commit), p.Slot)
	}
	if !p.Old.IsZero() && p.OldSlot != "" {
		head += fmt.Sprintf("; %s on %s serves until the switch", commitText(p.Old.Commit), p.OldSlot)
	}
	return head
}

// stepText is the truth that a step makes so, in words.
func stepText(s deploy.Step) string {
	switch s.Op {
	case deploy.OpFetch:
		return "fetch " + s.Release.Commit.Short()
	case deploy.OpBuild:
		return "build, at most " + s.Limit.String()
	case deploy.OpStage:
		return "copy the release to " + someHosts(s.Hosts)
	case deploy.OpFront:
		return "see that the front door answers before anything changes"
	case deploy.OpRetire:
		return fmt.Sprintf("clear %s on %s", s.Slot, someHosts(s.Hosts))
	case deploy.OpStart:
		return fmt.Sprintf("start %s on %s", s.Slot, someHosts(s.Hosts))
	case deploy.OpCheck:
		return fmt.Sprintf("see that %s stays healthy for %s, at most %s", s.Slot, s.Hold, s.Limit)
	case deploy.OpRoute:
		return fmt.Sprintf("switch traffic to %s and prove it", s.Slot)
	case deploy.OpBake:
		return fmt.Sprintf("watch it serve for %s", s.Hold)
	case deploy.OpDrain:
		return fmt.Sprintf("let the work on %s finish, at most %s", s.Slot, s.Hold)
	case deploy.OpStop:
		return fmt.Sprintf("stop %s on %s", s.Slot, someHosts(s.Hosts))
	case deploy.OpPrune:
		return fmt.Sprintf("remove old releases, keep %d", len(s.Keep))
	case deploy.OpAccept:
		return "record what the balancer and its managed file say as right"
	case deploy.OpAdopt:
		return fmt.Sprintf("see that what runs on port %d of %s answers, and take it as live on %s", s.Port, someHosts(s.Hosts), s.Slot)
	case deploy.OpHook:
		if s.Slot == deploy.Main {
			return fmt.Sprintf("%s: run %s on %s, at most %s", s.Name(), programText(s), placeText(s), s.Hold)
		}
		return fmt.Sprintf("%s of %s: run %s on %s, at most %s", s.Name(), s.Slot, programText(s), placeText(s), s.Hold)
	case deploy.OpIdle:
		if s.Slot == deploy.Main {
			return fmt.Sprintf("wait until %s on %s says that there is no background work, at most %s", programText(s), placeText(s), s.Hold)
		}
		return fmt.Sprintf("wait until %s on %s says that %s has no background work, at most %s", programText(s), placeText(s), s.Slot, s.Hold)
	}
	return string(s.Op)
}

// programText is a program without its arguments, which may be anything.
func programText(s deploy.Step) string {
	if len(s.Run) == 0 {
		return s.Name()
	}
	return hostile.Line(s.Run[0], 80)
}

// placeText is where a program runs.
func placeText(s deploy.Step) string {
	switch {
	case s.On == deploy.OnBot:
		return "the bot's machine"
	case s.On == deploy.OnFirstHost && len(s.Hosts) > 1:
		return fmt.Sprintf("%s, or the next one that works", s.Hosts[0])
	}
	return someHosts(s.Hosts)
}

func proofLine(s deploy.Settings) string {
	line := "proof of the release: " + s.Health.ExpectRelease
	if s.Verify == nil {
		return line + "; silence is measured by the built-in proxy only, verify is not set"
	}
	return line + "; silence is measured at " + s.Verify.URL
}

// waitsLine sums the waits that the plan itself asks for.
func waitsLine(p deploy.Plan) string {
	var fixed deploy.Duration
	for _, s := range p.Steps {
		if s.Op == deploy.OpCheck || s.Op == deploy.OpBake {
			fixed += s.Hold
		}
	}
	return fmt.Sprintf("waits at least %s, plus build, start and drain", fixed)
}
