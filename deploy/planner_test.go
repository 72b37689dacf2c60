package deploy_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"ipublish/deploy"
)

var update = flag.Bool("update", false, "write the golden plans anew: go test ./deploy -run Golden -update")

func TestGoldenPlans(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden plans found, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) == 0 || archive.Files[0].Name != "input" || len(archive.Comment) == 0 {
		t.Fatalf("%s begins with a comment that says what it shows, then with -- input --", name)
	}
	w, err := read(string(archive.Files[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := w.plan()
	got := w.told(plan, err)
	if *update {
		archive.Files = append(archive.Files[:1], txtar.File{Name: "plan", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(archive.Files) != 2 || string(archive.Files[1].Data) != got {
		t.Errorf("the plan is now\n%s\nand %s has another one; if this is meant: go test ./deploy -run Golden -update", got, name)
	}
	if err != nil {
		return
	}
	settings := deploy.SettingsOf(w.app, w.env)
	settings.Gone = w.departed()
	if plan.Settings.Gone == nil && plan.Want != deploy.WantDeploy && plan.Want != deploy.WantRollback {
		settings.Gone = nil // who left is dismissed by the next release
	}
	if !reflect.DeepEqual(plan.Settings, settings) {
		t.Error("the plan does not carry the resolved settings")
	}
	if plan.Rolls() {
		soundRoll(t, w, plan)
		return
	}
	sound(t, w, plan)
}

// sound checks what holds for every plan.
func sound(t *testing.T, w *world, p deploy.Plan) {
	t.Helper()
	for i, s := range p.Steps {
		if s.Limit <= 0 {
			t.Errorf("step %d (%s) has no limit", i, s.Op)
		}
		if s.Op == deploy.OpRoute && (i != p.Commit || len(up(s)) == 0) {
			t.Errorf("step %d routes to %v, the commit point is %d", i, up(s), p.Commit)
		}
		if (s.Op == deploy.OpRetire || s.Op == deploy.OpStart) && s.Slot == w.live.Slot {
			t.Errorf("step %d (%s) touches the live slot", i, s.Op)
		}
		if s.Op == deploy.OpStop && s.Slot == w.live.Slot && i <= p.Baked {
			t.Errorf("step %d stops the live slot before bake is over", i)
		}
	}
	if p.Commit > p.Baked || p.Baked >= len(p.Steps) {
		t.Errorf("the marks are %d and %d of %d steps", p.Commit, p.Baked, len(p.Steps))
	}
}

// up are the addresses that a step wants to have traffic.
func up(s deploy.Step) []string {
	var out []string
	for _, e := range s.Targets {
		if e.Up {
			out = append(out, e.Addr)
		}
	}
	return out
}

// told prints a plan, or the refusal.
func (w *world) told(p deploy.Plan, err error) string {
	var e *deploy.Error
	if errors.As(err, &e) {
		return w.named(fmt.Sprintf("refused (%s): %s: %s\n", e.Code, e.Subject, e.Message))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s on %s", p.Want, p.Target, release(p.Release), p.Slot)
	if p.OldSlot != "" {
		fmt.Fprintf(&b, " instead of %s on %s", release(p.Old), p.OldSlot)
	}
	fmt.Fprintln(&b)
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	b.WriteString(turns(p))
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%2d %s\n", i+1, printed(s))
		for _, e := range s.Targets {
			fmt.Fprintf(&b, "     %s %s/%s%s\n", e.Addr, e.Host, e.Slot, role(e))
		}
		if i == p.Commit {
			fmt.Fprintln(&b, "-- commit point")
		}
		if i == p.Baked {
			fmt.Fprintln(&b, "-- baked")
		}
	}
	return w.named(b.String())
}

func role(e deploy.Endpoint) string {
	switch {
	case e.Up && e.Spare:
		return " up and spare"
	case e.Up:
		return " up"
	case e.Spare:
		return " spare"
	}
	return ""
}

func release(r deploy.Release) string {
	if r.IsZero() {
		return "nothing"
	}
	return r.Commit.Short()
}

// printed is one step with all that is set in it.
func printed(s deploy.Step) string {
	parts := []string{string(s.Op)}
	add := func(format string, v any, zero bool) {
		if !zero {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	add("%s", s.Slot, s.Slot == "")
	add(":%d", s.Port, s.Port == 0)
	add("%s", release(s.Release), s.Release.IsZero())
	add("on %v", s.Hosts, len(s.Hosts) == 0)
	add("in %s", s.Dir, s.Dir == "")
	add("home %s", s.Home, s.Home == "")
	add("known %s", s.Known, s.Known == "")
	add("keep %v", s.Keep, len(s.Keep) == 0)
	add("hold %s", s.Hold, s.Hold == 0)
	add("stop within %s", s.Stop, s.Stop == 0)
	add("limit %s", s.Limit, false)
	if s.Hook != "" {
		parts = append(parts, fmt.Sprintf("%s %v on %s", s.Hook, s.Run, s.On))
	}
	add("batch %d", s.Batch, s.Batch == 0)
	if s.Forget {
		parts = append(parts, "and forget")
	}
	return strings.Join(parts, " ")
}

// named replaces the keys of releases, which depend on every bit of the
// configuration, by the names that the input gave them.
func (w *world) named(text string) string {
	for _, name := range strings.Split("abcdef", "") {
		text = strings.ReplaceAll(text, w.release(name).Key(), "{"+name+"}")
	}
	return text
}
