package screen

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// journal numbers events of one deploy.
func journal(events ...deploy.Event) []deploy.Event {
	for i := range events {
		events[i].N, events[i].Deploy, events[i].V = uint64(i+1), 7, deploy.EventVersion
		events[i].Target, events[i].At = deploy.Target{App: "shop", Env: "production"}, time.Now()
	}
	return events
}

func requested() deploy.Event {
	return deploy.Event{Kind: deploy.KindRequested, Request: &deploy.Request{App: "shop", Env: "production", Want: deploy.WantDeploy, Commit: "4f2a91c0000"}}
}

func planned(ops ...deploy.Op) deploy.Event {
	p := &deploy.Plan{Commit: -1, Baked: -1}
	for _, op := range ops {
		p.Steps = append(p.Steps, deploy.Step{Op: op})
	}
	return deploy.Event{Kind: deploy.KindPlanned, Plan: p}
}

// telling is a stream of these events.
func telling(events []deploy.Event, end error) Stream {
	return func(_ context.Context, tell func(deploy.Event)) error {
		for _, ev := range events {
			tell(ev)
		}
		return end
	}
}

func TestAPipeGetsALineForEachStepAndTheWholeAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	events := journal(requested(), deploy.Event{Kind: deploy.KindClaimed}, planned(deploy.OpFetch, deploy.OpBuild),
		deploy.Event{Kind: deploy.KindStarted, Step: 0}, deploy.Event{Kind: deploy.KindDone, Step: 0},
		deploy.Event{Kind: deploy.KindStarted, Step: 1}, deploy.Event{Kind: deploy.KindDone, Step: 1},
		deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Succeeded})
	st, err := New(&out).Follow(context.Background(), telling(events, nil), nil)
	if err != nil || st.Ending != deploy.Succeeded {
		t.Fatalf("%v, %v", st.Ending, err)
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		if _, text, ok := strings.Cut(strings.TrimSpace(line), " #7 "); ok && strings.HasPrefix(text, "deploying") {
			said = append(said, text)
		}
	}
	want := "deploying|deploying, step 1 of 2: fetch|deploying, step 2 of 2: build"
	if got := strings.Join(said, "|"); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if !strings.Contains(out.String(), "✔ succeeded") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("the end is missing, or a pipe got control characters: %q", out.String())
	}
}

func TestADeployThatIsHeldIsLeftToAPerson(t *testing.T) {
	var out bytes.Buffer
	events := journal(requested(), deploy.Event{Kind: deploy.KindClaimed},
		deploy.Event{Kind: deploy.KindStuck, Err: &deploy.Error{Code: deploy.CodeHold, Message: "look at it"}})
	endless := func(ctx context.Context, tell func(deploy.Event)) error {
		_ = telling(events, nil)(ctx, tell)
		<-ctx.Done()
		return ctx.Err()
	}
	st, err := New(&out).Follow(context.Background(), endless, nil)
	if st.Phase != deploy.PhaseStuck || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, %v", st.Phase, err)
	}
	if !strings.Contains(out.String(), "look at it") {
		t.Errorf("the reason is not told: %s", out.String())
	}
}

func TestAStreamThatBreaksIsAnError(t *testing.T) {
	broken := errors.New("cut")
	if _, err := New(&bytes.Buffer{}).Follow(context.Background(), telling(journal(requested()), broken), nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
