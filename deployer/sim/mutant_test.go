package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mutant is a bug in the sources: old stands there exactly once, and with new
// in its place the simulator must fail.
type mutant struct{ name, file, old, new string }

// mutantSeeds is how many random stories a mutant has to survive.
const mutantSeeds = "60"

// What a mutant is shown to: the scenarios of two slots or of many hosts, then
// random stories.
const (
	huntSlots  = "^(TestEveryScenarioEndsAsItShouldWithoutFaults|TestRandomStoriesWithFaultsAndCrashesKeepTheInvariants)$"
	skipFleets = "/^roll:"
	huntFleets = "^(TestEveryScenarioEndsAsItShouldWithoutFaults|TestRandomStoriesOfManyHostsKeepTheInvariants)$/^(roll:|lane)"
)

func slotMutants() []mutant {
	return []mutant{
		{"no look right before the switch", "deployer/route.go", "if err := x.stillHealthy(ctx, s); err != nil {", "if err := error(nil); err != nil {"},
		{"the table is not looked at after the switch", "deployer/route.go", "return verifyRoute(s, ev.Traffic)", "return nil"},
		{"the front door is not asked after the switch", "deployer/route.go", "if err == nil && x.settings.Verify != nil {", "if false {"},
		{"drained at once", "deployer/route.go", "if left := inFlight(s, ev.Traffic); left == 0 {", "if left := inFlight(s, ev.Traffic); left >= 0 {"},
		{"whatever is told to stop is stopped", "deployer/slots.go", "if err := x.harmless(ctx, s); err != nil {", "if err := error(nil); err != nil {"},
		{"any process passes the gate", "deployer/check.go", "if err = g.identity(); err == nil {", "if err = nil; err == nil {"},
		{"a restart does not void the gate", "deployer/check.go", "if g.seen.PID != g.first.PID || g.seen.Started != g.first.Started {", "if false {"},
		{"a failed check does not void the gate", "deployer/check.go", "g.last, g.passes, g.since = err, 0, time.Time{}", "g.last, g.passes = err, 0"},
		{"bake does not look at the processes", "deployer/bake.go", "return seen, b.x.samePassed(b.step, seen)", "return seen, nil"},
		{"the probes condemn nobody", "deployer/bake.go", "b.addresses()); b.blame == nil {", "b.addresses()); true {"},
		{"the new release is always to blame", "deployer/attribute.go", `case plan.OldSlot == "":`, `case plan.OldSlot == "", true:`},
		{"leases run out at once", "deployer/lease.go", "if over < at {", "if over < at-100*time.Hour {"},
		{"plans over any world", "deploy/planner.go", "func (p planning) worldFits() error {\n", "func (p planning) worldFits() error {\n\tif true {\n\t\treturn nil\n\t}\n"},
		{"warm is whatever runs there", "deploy/planner.go", "return then.Passed && now.Host == then.Host && now.PID == then.PID && now.Started == then.Started", "return then.Passed && now.Host == then.Host"},
		{"the gate does not hold", "deploy/planner.go", "check.Hold = hold", "check.Hold = min(hold, 0)"},
		{"what failed is tried again", "deploy/planner.go", "if p.live.IsBad(rel) {", "if false {"},
		{"a push brings back what was left", "deploy/planner.go", "if p.st.Request.Auto && p.live.IsLeft(rel) {", "if false {"},
		{"prune forgets good releases", "deploy/planner.go", "for _, past := range p.live.Good[:min(len(p.live.Good), max(p.app.Keep, 1))] {", "for _, past := range p.live.Good[:0] {"},
		{"the way back does not check the old one", "deploy/undo.go", "u.checkOld(route), u.routeBack(route))", "u.routeBack(route))"},
		{"the way back does not drain", "deploy/undo.go", "plan.Steps = append(plan.Steps, u.drainNew(route))", ""},
		{"the way back leaves the new one running", "deploy/undo.go", "if step, ok := u.toStop(); ok && !s.Plan.Release.Adopted() {", "if step, ok := u.toStop(); ok && false {"},
		{"a rollback reverts itself", "deploy/decide.go", "case Moved(s) && s.Request.Want == WantRollback:", "case false:"},
		{"undone with nothing to go back to", "deploy/decide.go", `return !Moved(s) || s.Plan.OldSlot != "" || !s.Committed() && s.Plan.Old.IsZero()`, `return !s.Committed() || s.Plan.OldSlot != ""`},
		{"the file is never known", "deploy/live.go", `if t != nil && t.File != "" {`, "if false {"},
		{"any push is the tip", "deploy/admit.go", "if w.Resolved.SHA == w.Request.Commit {", "if true {"},
		{"a lock holds nothing", "deploy/admit.go", `case l.Lock != nil && r.Force == "":`, "case false:"},
		{"a rollback pauses nothing", "deploy/live.go", "case r.Want == WantRollback && (ev.Ending == Succeeded || ev.Ending == Abandoned && Moved(st)):", "case false:"},
		{"a slot is stopped with work in flight", "deploy/planner.go", "steps := []Step{p.drain(p.live.Slot, slot)}", "steps := []Step(nil)"},
		{"a rollback migrates", "deploy/planner.go", "if plan.Want != WantRollback {", "if true {"},
		{"background work is not waited for", "deployer/hook.go", "case err == nil:\n\t\t\treturn deploy.Evidence{}, nil", "case true:\n\t\t\treturn deploy.Evidence{}, nil"},
		{"what does not answer is adopted", "deployer/adopt.go", "if err := x.answers(ctx, s); err != nil {", "if err := error(nil); err != nil {"},
		{"every delivery is a deploy", "store/submit.go", "if h.state.ID != except && sameWish(h.state, r) {", "if false {"},
	}
}

func fleetMutants() []mutant {
	return []mutant{
		{"the floor is not looked at", "deployer/rolling.go", "err := x.floor(ctx, s)\n", "err := error(nil)\n"},
		{"bad hosts do not use up the budget", "deployer/floor.go", "if x.passesAs(limited, h, s.Port) == nil {", "if x.passesAs(limited, h, s.Port) == nil || !leaves {"},
		{"a host that is not reached serves nobody", "deployer/floor.go", "return err != nil, ctx.Err()", "return false, ctx.Err()"},
		{"what passes nothing gets traffic back", "deployer/rolling.go", "if err := x.fit(ctx, s); err != nil {", "if err := error(nil); err != nil {"},
		{"the balancer's pace is not waited for", "deployer/rolling.go", "settle = ev.Traffic.Settle.D()", "settle = min(ev.Traffic.Settle.D(), 0)"},
		{"a host is stopped with work in flight", "deployer/rolling.go", "if err != nil || d.left == 0 || !wait(over, pause) {", "if err != nil || d.left >= 0 || !wait(over, pause) {"},
		{"commands of lost callers act late", "deployer/effects.go", "if err != nil || x.epoch == 0 {", "if true {"},
		{"the ledger is written too late", "deploy/live.go", "case KindStarted:\n\t\tl.foldLeaving(st, ev)", "case KindResume:\n\t\tl.foldLeaving(st, ev)"},
		{"a person's word is forgotten", "deploy/rollplan.go", "Kept: was.Out != nil && was.Out.Person}", "Kept: false}"},
		{"the way back begins with the first host", "deploy/rollundo.go", "return append(first, later...)", "slices.Reverse(later)\n\treturn append(later, first...)"},
		{"the way back forgets who only left", "deploy/rollundo.go", "case !t.left || t.settled(s.Plan.Release):", "case !t.stopped || t.settled(s.Plan.Release):"},
		{"every host is taken at once", "deploy/rollplan.go", "limit = c.parallel", "limit = len(c.members)"},
		{"a migration is bound to one host", "deploy/rollplan.go", "steps[i].Hosts = idsOf(hosts)", "_ = i"},
		{"whom a deploy left behind before it touched him is taken back", "deploy/rollundo.go", "ok && (!skipped || i <= failed) {", "ok && (true || !skipped || i <= failed) {"},
		{"who could not leave is called out", "deploy/live.go", "case KindFailed:\n\t\tl.foldStaying(st, ev)", "case KindResume:\n\t\tl.foldStaying(st, ev)"},
		{"what is live is given up because of one host", "deploy/report.go", "plan.Rolls() && ending != Succeeded && rel.Key() == plan.Old.Key()", "false"},
		{"a pause holds nothing", "deploy/decide.go", "case s.pausesHere():", "case false:"},
	}
}

func TestEveryMutantOfTheSourcesIsCaught(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatalf("mutants need the go tool: %v", err)
	}
	two := make(chan struct{}, 2) // each has a core
	try := func(m mutant, tests ...string) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			two <- struct{}{}
			defer func() { <-two }()
			out, err := m.hunt(t, tool, tests)
			switch {
			case err == nil:
				t.Error("slips through")
			case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") || !strings.Contains(out, "FAIL"):
				t.Errorf("is no test of anything: %v\n%s", err, out)
			}
		})
	}
	for _, m := range slotMutants() {
		try(m, "-run", huntSlots, "-skip", skipFleets)
	}
	for _, m := range fleetMutants() {
		try(m, "-run", huntFleets)
	}
}

// hunt runs the simulator on the mutant's sources.
func (m mutant) hunt(t *testing.T, tool string, tests []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	args := append([]string{"test", "-overlay", m.overlay(t), "-count=1", "-vet=off", "-failfast", "-timeout=10m"}, tests...)
	cmd := exec.CommandContext(ctx, tool, append(args, "ipublish/deployer/sim")...)
	cmd.Env = append(os.Environ(), "SEEDS="+mutantSeeds, "SEED=", "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// overlay writes the mutant beside the sources, which stay as they are.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("the mutant's text is gone: %s holds it %d times, not once:\n%s", m.file, n, m.old)
	}
	dir := t.TempDir()
	changed, list := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	write(t, changed, []byte(strings.Replace(string(text), m.old, m.new, 1)))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, list, overlay)
	return list
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
