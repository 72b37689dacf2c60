package bot

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"ipublish/deploy"
)

// memory is a store in memory with the contracts of this package's interfaces.
type memory struct {
	mu      sync.Mutex
	changed chan struct{}
	events  []deploy.Event
	keys    map[string]deploy.ID
	cursors map[string]uint64
	letters map[envelope]deploy.Letter

	submits   int          // calls of Submit
	journals  int          // calls of Events
	refuse    error        // of Submit
	onAppend  func() error // before an Append is applied
	planCalls int
	plan      deploy.Plan
	planErr   error
	planned   deploy.Request // what was asked of Plan last
}

func newMemory() *memory {
	return &memory{changed: make(chan struct{}), keys: map[string]deploy.ID{}, cursors: map[string]uint64{}, letters: map[envelope]deploy.Letter{}}
}

func (m *memory) put(ev deploy.Event) {
	ev.Seq, ev.V = uint64(len(m.events)+1), deploy.EventVersion
	if ev.At.IsZero() {
		ev.At = time.Now().UTC()
	}
	m.events = append(m.events, ev)
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) of(id deploy.ID) []deploy.Event {
	return slices.DeleteFunc(slices.Clone(m.events), func(e deploy.Event) bool { return e.Deploy != id })
}

func (m *memory) ids() []deploy.ID {
	var out []deploy.ID
	for _, e := range m.events {
		if e.Kind == deploy.KindRequested {
			out = append(out, e.Deploy)
		}
	}
	return out
}

func (m *memory) Submit(_ context.Context, r deploy.Request) (deploy.ID, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.submits++
	if m.refuse != nil {
		return 0, false, m.refuse
	}
	if id := m.keys[r.Key]; id != 0 {
		return id, false, nil
	}
	id := deploy.ID(len(m.ids()) + 1)
	m.keys[r.Key] = id
	m.put(deploy.Event{Deploy: id, N: 1, Target: r.Target(), Kind: deploy.KindRequested, By: &r.By, Request: &r})
	return id, true, nil
}

func (m *memory) State(id deploy.ID) (deploy.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state(id)
}

func (m *memory) state(id deploy.ID) (deploy.State, error) {
	s := deploy.Fold(m.of(id))
	if s.N == 0 {
		return s, &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Subject: id.String(), Message: "there is no deploy " + id.String()}
	}
	return s, nil
}

func (m *memory) Live(t deploy.Target) (deploy.Live, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l deploy.Live
	for _, e := range m.events {
		if e.Target == t {
			events := slices.DeleteFunc(m.of(e.Deploy), func(o deploy.Event) bool { return o.N > e.N })
			l = deploy.FoldEnv(l, deploy.Fold(events), e)
		}
	}
	return l, nil
}

func (m *memory) History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []deploy.State
	for _, id := range m.ids() {
		s, _ := m.state(id)
		if (t == nil || s.Target == *t) && (before == 0 || id < before) {
			out = append(out, inList(s))
		}
	}
	slices.SortFunc(out, func(a, b deploy.State) int { return cmp.Compare(b.ID, a.ID) })
	return out[:min(limit, len(out))], nil
}

// inList is what a list tells: of an ended deploy no steps, outcomes or settings.
func inList(s deploy.State) deploy.State {
	if !s.Ended() {
		return s
	}
	s.Outcomes, s.Undo, s.UndoOutcomes = deploy.Outcomes{}, nil, deploy.Outcomes{}
	if s.Plan != nil {
		plan := *s.Plan
		plan.Steps, plan.Settings, plan.Commit, plan.Baked = nil, deploy.Settings{}, -1, -1
		s.Plan = &plan
	}
	return s
}

func (m *memory) Waiting(t deploy.Target) ([]deploy.State, error) {
	all, _ := m.History(&t, 0, 1000)
	slices.Reverse(all)
	return slices.DeleteFunc(all, func(s deploy.State) bool { return s.Phase != deploy.PhaseQueued }), nil
}

func (m *memory) Append(id deploy.ID, afterN uint64, ev deploy.Event) error {
	m.mu.Lock()
	hook := m.onAppend
	m.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.state(id)
	if err != nil {
		return err
	}
	if s.N != afterN || s.Ended() {
		return &deploy.Error{Code: deploy.CodeConflict, Op: "append", Subject: id.String(), Message: "the deploy moved on"}
	}
	ev.Deploy, ev.N, ev.Target = id, afterN+1, s.Target
	m.put(ev)
	return nil
}

func (m *memory) wait(ctx context.Context, read func() []deploy.Event) ([]deploy.Event, error) {
	for {
		m.mu.Lock()
		events, changed := read(), m.changed
		m.mu.Unlock()
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *memory) Events(ctx context.Context, id deploy.ID, afterN uint64) ([]deploy.Event, error) {
	m.mu.Lock()
	m.journals++
	m.mu.Unlock()
	return m.wait(ctx, func() []deploy.Event {
		return slices.DeleteFunc(m.of(id), func(e deploy.Event) bool { return e.N <= afterN })
	})
}

func (m *memory) Tail(ctx context.Context, afterSeq uint64, limit int) ([]deploy.Event, error) {
	return m.wait(ctx, func() []deploy.Event {
		rest := m.events[min(int(afterSeq), len(m.events)):]
		return slices.Clone(rest[:min(limit, len(rest))])
	})
}

func (m *memory) LastSeq() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.events))
}

func (m *memory) Cursor(reader string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursors[reader], nil
}

func (m *memory) Enqueue(reader string, seq uint64, letters []deploy.Letter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cursors[reader] = max(seq, m.cursors[reader])
	for _, l := range letters {
		known, ok := m.letters[envelopeOf(l)]
		if ok {
			known.WantN, known.Final = max(known.WantN, l.WantN), known.Final || l.Final
			l = known
		}
		m.letters[envelopeOf(l)] = l
	}
	return nil
}

func (m *memory) Pending() ([]deploy.Letter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []deploy.Letter
	for _, l := range m.letters {
		if l.SentN < l.WantN {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b deploy.Letter) int {
		return cmp.Or(cmp.Compare(a.Deploy, b.Deploy), cmp.Compare(a.Channel, b.Channel))
	})
	return out, nil
}

func (m *memory) Sent(l deploy.Letter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.letters[envelopeOf(l)]
	known.Ref, known.SentN, known.Data = l.Ref, l.SentN, slices.Clone(l.Data)
	m.letters[envelopeOf(l)] = known
	return nil
}

func (m *memory) Plan(_ context.Context, r deploy.Request) (deploy.Plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planned = r
	m.planCalls++
	return m.plan, m.planErr
}

func (m *memory) submitCalls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.submits
}

// The tests' configuration: two apps, three environments.

var (
	shopProd = deploy.Target{App: "shop", Env: "production"}
	shopStag = deploy.Target{App: "shop", Env: "staging"}
	apiProd  = deploy.Target{App: "api", Env: "live"}
)

const (
	shopChannel = "slack:C0SHOP"
	opsChannel  = "slack:C0OPS"
	noteChannel = "dingtalk:cidNOTES"
	token       = "correct-horse-battery-staple"
)

func testConfig() Config {
	return Config{
		Apps: []deploy.App{
			{Name: "shop", Slug: "acme/shop", Environments: []deploy.Environment{
				{Name: "production", Branch: "main", AutoDeploy: true, Channels: []string{shopChannel}},
				{Name: "staging", Branch: "develop", AutoDeploy: true, Channels: []string{opsChannel}},
			}},
			{Name: "api", Slug: "acme/api", Environments: []deploy.Environment{
				{Name: "live", Branch: "main", Channels: []string{opsChannel}},
			}},
		},
		Roles: map[string][]string{
			"deployer": {"slack:UDEPLOY", "token:ci"},
			"admin":    {"slack:UADMIN"},
			"approver": {"slack:UAPPROVE"},
		},
		Tokens: map[string]string{"ci": token, "viewer": "another-secret-of-length", "short": "short"},
		Chats:  []string{"slack", "dingtalk"},
	}
}

func newHandler(m *memory) *Handler {
	return &Handler{Config: testConfig, Intake: m, Records: m, Queue: m, Journal: m, Planner: m}
}

const sha = "4f2a91c0d7b5e6f8a9b0c1d2e3f405162738495a"

// drive appends events to a deploy until it reached a phase.
type drive struct {
	t  *testing.T
	m  *memory
	id deploy.ID
}

func (d drive) append(ev deploy.Event) {
	d.t.Helper()
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	s, err := d.m.state(d.id)
	if err != nil {
		d.t.Fatal(err)
	}
	ev.Deploy, ev.N, ev.Target = d.id, s.N+1, s.Target
	d.m.put(ev)
	if s, _ = d.m.state(d.id); s.Broken != nil {
		d.t.Fatalf("the test drives %s wrongly: %v", d.id, s.Broken)
	}
}

func submitted(t *testing.T, m *memory, target deploy.Target, key string) drive {
	t.Helper()
	id, _, err := m.Submit(t.Context(), deploy.Request{
		App: target.App, Env: target.Env, Want: deploy.WantDeploy, Ref: "main", Commit: sha, Title: "Fix the basket",
		By: deploy.Actor{ID: "slack:UDEPLOY", Name: "Ann"}, Key: key, At: time.Now().UTC(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return drive{t, m, id}
}

// planned claims and plans: two steps before the commit point, the route, bake, clean-up.
func (d drive) planned() drive {
	d.t.Helper()
	d.append(deploy.Event{Kind: deploy.KindClaimed})
	rel := deploy.Release{App: "shop", Commit: deploy.Commit{SHA: sha, Title: "Fix the basket"}}
	old := deploy.Release{App: "shop", Commit: deploy.Commit{SHA: "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Title: "Old"}}
	d.append(deploy.Event{Kind: deploy.KindPlanned, Plan: &deploy.Plan{
		Target: shopProd, Want: deploy.WantDeploy, Release: rel, Slot: deploy.Green, Old: old, OldSlot: deploy.Blue, Commit: 2, Baked: 3,
		Settings: deploy.Settings{Env: map[string]string{"PASSWORD": "canary-secret"}},
		Steps: []deploy.Step{
			{Op: deploy.OpFetch, Release: rel}, {Op: deploy.OpStart, Slot: deploy.Green, Release: rel},
			{Op: deploy.OpRoute, Slot: deploy.Green, Release: rel}, {Op: deploy.OpBake, Slot: deploy.Green, Release: rel}, {Op: deploy.OpStop, Slot: deploy.Blue},
		},
	}})
	return d
}

// done runs the next n steps well.
func (d drive) done(n int) drive {
	d.t.Helper()
	for range n {
		s, _ := d.m.State(d.id)
		d.append(deploy.Event{Kind: deploy.KindStarted, Step: s.Next})
		d.append(deploy.Event{Kind: deploy.KindDone, Step: s.Next})
	}
	return d
}

func (d drive) undo() drive {
	d.t.Helper()
	d.append(deploy.Event{Kind: deploy.KindRevert, Ending: deploy.Reverted,
		Err:  &deploy.Error{Code: deploy.CodeUnhealthy, Op: "bake", Subject: "green", Message: "green answered 500", Log: "boom"},
		Plan: &deploy.Plan{Target: shopProd, Commit: -1, Baked: -1, Steps: []deploy.Step{{Op: deploy.OpRoute, Slot: deploy.Blue}}}})
	return d
}

func (d drive) stuck() drive {
	d.t.Helper()
	d.append(deploy.Event{Kind: deploy.KindStuck, Err: &deploy.Error{Code: deploy.CodeHold, Op: "route", Message: "somebody edited the file", Log: "line one\nline two"}})
	return d
}

func (d drive) ended(e deploy.Ending) drive {
	d.t.Helper()
	d.append(deploy.Event{Kind: deploy.KindEnded, Ending: e, Report: &deploy.Report{}})
	return d
}
