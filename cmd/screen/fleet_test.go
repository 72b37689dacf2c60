package screen

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"ipublish/bot"
	"ipublish/bot/bottest"
	"ipublish/deploy"
)

func TestAPipeGetsALineABatchHoweverManyHostsAndNotesThereAre(t *testing.T) {
	var out bytes.Buffer
	st, err := New(&out).Follow(context.Background(), func(_ context.Context, tell func(deploy.Event)) error {
		bottest.FleetDeploy(200, tell)
		return nil
	}, nil)
	if err != nil || st.Ending != deploy.Succeeded {
		t.Fatalf("%v, %v", st.Ending, err)
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		if _, text, ok := strings.Cut(strings.TrimSpace(line), " #142 "); ok && line[2] == ':' {
			said = append(said, text)
		}
	}
	want := []string{
		"queued", "deploying", "deploying, step 1 of 10: fetch", "deploying, step 2 of 10: build", "deploying, step 3 of 10: stage",
		"deploying, step 4 of 10: batch 1 of 3", "deploying, step 5 of 10: bake", "deploying, step 6 of 10: batch 2 of 3",
		"deploying, step 7 of 10: bake", "deploying, step 8 of 10: batch 3 of 3", "live, watching it", "live, watching it, step 9 of 10: bake",
		"live, cleaning up", "live, cleaning up, step 10 of 10: prune",
	}
	if got := strings.Join(said, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("said\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if n := strings.Count(out.String(), "\n"); n > 30 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestATerminalShowsTwoHundredHostsInAFewLines(t *testing.T) {
	for i, st := range bottest.FleetStates(200) {
		if i%20 != 0 && st.Stuck == nil && st.Undo == nil && !st.Ended() {
			continue
		}
		m := deploy.Describe(st)
		m.Log = ""
		lines := 0
		for line := range strings.Lines(bot.RenderText(m)) {
			cut := Wrap(strings.TrimRight(line, "\n"), 79)
			for _, l := range cut {
				if columns(l) > 79 {
					t.Fatalf("event %d: %q is wider than the terminal", i, l)
				}
			}
			lines += len(cut)
		}
		if most := 23; lines > most && st.Stuck == nil && st.Undo == nil && !st.Ended() {
			t.Fatalf("event %d: %d lines:\n%s", i, lines, bot.RenderText(m))
		}
	}
}

func TestAPausedDeployIsTold(t *testing.T) {
	var out bytes.Buffer
	cut := errors.New("cut")
	_, err := New(&out).Follow(context.Background(), func(_ context.Context, tell func(deploy.Event)) error {
		var st deploy.State
		bottest.FleetDeploy(20, func(ev deploy.Event) {
			if st.Pause != nil {
				return
			}
			st = st.Apply(ev)
			tell(ev)
			if ev.Kind == deploy.KindDone && st.Plan.Steps[ev.Step].Op == deploy.OpBake {
				pause := deploy.Event{N: ev.N + 1, Seq: ev.N + 1, Deploy: ev.Deploy, V: ev.V, Target: ev.Target, At: ev.At, Kind: deploy.KindPause, By: &deploy.Actor{Name: "ann"}}
				st = st.Apply(pause)
				tell(pause)
			}
		})
		return cut
	}, nil)
	if !errors.Is(err, cut) || !strings.Contains(out.String(), "#142 paused") || !strings.Contains(out.String(), "paused by ann: `resume #142` goes on, `cancel #142` goes back") {
		t.Errorf("%v: %s", err, out.String())
	}
}
