package deployer

import (
	"context"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
)

// observeLimit bounds the look at the world before planning.
const observeLimit = time.Minute

// Plan observes and plans what a request would do now, without queueing it. It
// blocks for at most a minute; refusals are those of deploy.NewPlan.
func (e *Engine) Plan(ctx context.Context, r deploy.Request) (deploy.Plan, error) {
	st := deploy.State{Target: r.Target(), Request: r, Commit: deploy.Commit{SHA: r.Commit, Title: r.Title, Author: r.Author, Ref: r.Ref}}
	if r.Want == deploy.WantDeploy && r.Commit == "" {
		c, err := e.resolve(ctx, st)
		if err != nil {
			return deploy.Plan{}, stepError(err, "resolve", r.Ref)
		}
		st.Commit = c
	}
	return e.planned(ctx, st)
}

// plan appends the plan of the claimed request, or its refusal as the ending.
func (d *drive) plan(ctx context.Context) error {
	plan, err := d.engine.planned(ctx, d.st)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return d.end(ctx, deploy.Failed, stepError(err, "plan", ""))
	}
	return d.append(ctx, deploy.Event{Kind: deploy.KindPlanned, Plan: &plan})
}

func (e *Engine) planned(ctx context.Context, st deploy.State) (deploy.Plan, error) {
	app, env, err := e.config(st.Target)
	if err != nil {
		return deploy.Plan{}, err
	}
	live, err := e.Ledger.Live(st.Target)
	if err != nil {
		return deploy.Plan{}, err
	}
	obs, err := e.observe(ctx, st.Target, app, env, live)
	if err != nil {
		return deploy.Plan{}, err
	}
	return deploy.NewPlan(app, env, live, st, obs)
}

// observe looks at both slots of every host and at the balancer.
func (e *Engine) observe(ctx context.Context, t deploy.Target, app deploy.App, env deploy.Environment, live deploy.Live) (deploy.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, observeLimit)
	defer cancel()
	obs := deploy.Observation{Slots: map[deploy.Slot][]deploy.Instance{}}
	x, err := e.effects(t, deploy.SettingsOf(app, env))
	if err != nil {
		return obs, err
	}
	if env.Rolling != nil {
		err = retry(ctx, func(ctx context.Context) error { obs.Hosts, err = x.look(ctx); return err })
		return obs, err
	}
	slots, route := deploy.ObserveSteps(app, env, live)
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green} {
		err := retry(ctx, func(ctx context.Context) (err error) {
			obs.Slots[slot], err = x.instances(ctx, slots[slot])
			return err
		})
		if err != nil {
			return obs, err
		}
	}
	err = retry(ctx, func(ctx context.Context) error {
		ev, err := x.traffic(ctx, route)
		if err == nil && ev != nil {
			obs.Traffic = *ev
		}
		return err
	})
	return obs, err
}

// abandon records what is observed as live and ends the deploy.
func (d *drive) abandon(ctx context.Context) error {
	live, err := d.engine.Ledger.Live(d.st.Target)
	if err != nil {
		return err
	}
	report := deploy.Conclude(d.st, live, deploy.Abandoned, time.Now())
	if app, env, cerr := d.engine.config(d.st.Target); cerr == nil {
		obs, oerr := d.engine.observe(ctx, d.st.Target, app, env, live)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case oerr != nil:
			report.Notes = append(report.Notes, "not everything could be looked at: "+deploy.MessageOf(oerr))
		case env.Rolling != nil:
			recordHosts(&report, live, d.st, env, obs)
		default:
			recordObserved(&report, live, d.st, env, obs)
		}
	}
	return d.append(ctx, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Abandoned, Report: &report})
}

// recordObserved turns what was seen into what the environment is from now on.
// The slot that has traffic is the live one, whatever runs there.
func recordObserved(report *deploy.Report, live deploy.Live, st deploy.State, env deploy.Environment, obs deploy.Observation) {
	report.Observed = true
	report.Serving, report.Slot, report.Slots = deploy.Release{}, "", map[deploy.Slot]deploy.SlotState{}
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green} {
		for i := range obs.Slots[slot] {
			obs.Slots[slot][i].Log = "" // told nowhere, and it may hold what the app knows
		}
		rel := knownRelease(live, st, obs.Slots[slot])
		if !rel.IsZero() {
			report.Slots[slot] = deploy.SlotState{Release: rel, Instances: obs.Slots[slot]}
		}
		if receives(env, slot, obs.Traffic) {
			report.Serving, report.Slot = rel, slot
			if rel.IsZero() && live.Slot == slot {
				report.Serving = live.Release
			}
		}
	}
}

// recordHosts turns what was seen into what each host is from now on. The release
// that most serving hosts run is the live one.
func recordHosts(report *deploy.Report, live deploy.Live, st deploy.State, env deploy.Environment, obs deploy.Observation) {
	report.Observed, report.Hosts, report.Slots = true, map[deploy.HostID]deploy.HostState{}, map[deploy.Slot]deploy.SlotState{}
	report.Serving, report.Slot = deploy.Release{}, ""
	votes := map[string]int{}
	for _, h := range env.Hosts {
		sight, now := obs.Hosts[h.ID], live.Hosts.Get(h.ID)
		if sight.Err != nil {
			continue
		}
		sight.Instance.Log = "" // told nowhere, and it may hold what the app knows
		now.Instance, now.Host = sight.Instance, h
		if rel := knownRelease(live, st, []deploy.Instance{sight.Instance}); !rel.IsZero() {
			now.Release = rel
		}
		switch {
		case sight.Up:
			now.Out = nil
		case now.Out == nil:
			now.Out = &deploy.Outage{Deploy: st.ID, By: st.Request.By, At: time.Now()}
		}
		report.Hosts[h.ID] = now
		if sight.Serving() {
			votes[now.Release.Key()]++
			if best := report.Serving.Key(); report.Slot == "" || votes[now.Release.Key()] > votes[best] {
				report.Serving, report.Slot = now.Release, deploy.Main
			}
		}
	}
}

// knownRelease finds the release that any of the slot's processes says it runs.
func knownRelease(live deploy.Live, st deploy.State, instances []deploy.Instance) deploy.Release {
	known := []deploy.Release{live.Release, live.Slots[deploy.Blue].Release, live.Slots[deploy.Green].Release}
	if st.Plan != nil {
		known = append(known, st.Artifact(st.Plan.Release), st.Plan.Old)
	}
	for _, past := range live.Good {
		known = append(known, past.Release)
	}
	for _, r := range known {
		runs := func(in deploy.Instance) bool { return in.Running() && in.Key == r.Key() }
		if !r.IsZero() && slices.ContainsFunc(instances, runs) {
			return r
		}
	}
	return deploy.Release{}
}

// receives reports whether an address of the slot is among those that receive traffic.
func receives(env deploy.Environment, slot deploy.Slot, t deploy.Traffic) bool {
	suffix := ":" + portText(env.BlueGreen.Port(slot))
	return slices.ContainsFunc(t.Up, func(addr string) bool { return strings.HasSuffix(addr, suffix) })
}
