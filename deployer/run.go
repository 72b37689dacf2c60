package deployer

import (
	"context"
	"slices"
	"sync"
	"time"

	"ipublish/deploy"
)

// outcomePatience is how long looking at the world before or after an effect may take.
const outcomePatience = 15 * time.Second

// run makes the next step's truth so: started is durable before the effect
// begins, done or failed after it. A cancel or abandon ends the effect early
// without an outcome; the step is then undone, or looked at again.
func (d *drive) run(ctx context.Context) error {
	plan, _, _ := d.st.Current()
	step := d.bind(plan.Steps[d.st.Next])
	x, err := d.engine.effects(d.st.Target, plan.Settings)
	if err != nil {
		return d.unopened(ctx, step, err)
	}
	x.drive = d
	x.learn(ctx)
	d.attend(ctx, x, step)
	before := x.masked(x.before(ctx, step))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := d.append(ctx, deploy.Event{Kind: deploy.KindStarted, Step: d.st.Next, Evidence: &before}); err != nil {
		return err
	}
	if err := x.fenceOff(); err != nil {
		return err
	}
	after, err := d.effect(ctx, x, step)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(after.Failures) == 0 {
		after.Failures = x.maskedFailures(hostFailures(err))
	}
	return d.outcome(ctx, step, x.masked(after), x.maskedError(err))
}

// fenceOff makes every command before this step an older one.
func (x *effects) fenceOff() error {
	live, err := x.engine.Ledger.Live(x.target)
	x.epoch = live.Seq
	return err
}

// unopened journals a step that could not even begin.
func (d *drive) unopened(ctx context.Context, step deploy.Step, cause error) error {
	if err := d.append(ctx, deploy.Event{Kind: deploy.KindStarted, Step: d.st.Next}); err != nil {
		return err
	}
	return d.outcome(ctx, step, deploy.Evidence{}, cause)
}

// bind completes a step with what is known only at execution.
func (d *drive) bind(s deploy.Step) deploy.Step {
	s.Release = d.st.Artifact(s.Release)
	s.Deploy = d.id
	if plan, _, _ := d.st.Current(); plan.Rolls() {
		s = d.muster(s)
	}
	if s.Op == deploy.OpDrain || s.Op == deploy.OpIdle {
		spent := deploy.Duration(d.spent())
		s.Hold, s.Limit = max(s.Hold-spent, 0), max(s.Limit-spent, deploy.Duration(time.Minute))
	}
	return s
}

// spent is what the journal says an interrupted attempt used of the step's time.
func (d *drive) spent() time.Duration {
	_, outcomes, _ := d.st.Current()
	if o := outcomes.At(d.st.Next); o.Attempts > 0 {
		return max(d.st.Last.Sub(o.Started), 0)
	}
	return 0
}

// effect runs the step within its limit, watched for a person's interruption.
func (d *drive) effect(ctx context.Context, x *effects, step deploy.Step) (deploy.Evidence, error) {
	ctx, stop := context.WithTimeout(ctx, step.Limit.D())
	defer stop()
	besides, end := context.WithCancel(ctx)
	var both sync.WaitGroup
	notes := make(chan string, 1)
	x.notes = notes
	both.Go(func() { d.watch(besides, stop) })
	both.Go(func() { d.note(besides, notes) })
	after, err := x.run(ctx, step)
	end()
	both.Wait()
	return after, err
}

// watch stops the effect when a person cancels or abandons the deploy.
func (d *drive) watch(ctx context.Context, stop context.CancelFunc) {
	st := d.st
	for {
		events, err := d.engine.Journal.Events(ctx, d.id, st.N)
		if err != nil && !wait(ctx, time.Second) {
			return
		}
		for _, ev := range events {
			st = st.Apply(ev)
		}
		if err == nil && interrupted(st) {
			stop()
			return
		}
	}
}

// interrupted reports whether the decision is no longer to run the open step.
func interrupted(st deploy.State) bool {
	return deploy.Decide(st).Act != deploy.ActRun
}

// outcome journals what became of the step, also when somebody appended meanwhile.
func (d *drive) outcome(ctx context.Context, step deploy.Step, after deploy.Evidence, err error) error {
	index, undoing := d.st.Next, d.st.Undo != nil
	after.Watch = d.seen()
	for {
		if err != nil {
			// The journal may hold the reason why the effect was stopped.
			if cerr := d.peek(ctx); cerr != nil {
				return cerr
			}
		}
		still := d.st.Open && d.st.Next == index && (d.st.Undo != nil) == undoing
		if !still || err != nil && interrupted(d.st) {
			d.unseen(after.Watch)
			return nil
		}
		aerr := d.append(ctx, outcomeEvent(index, step, after, err))
		if deploy.CodeOf(aerr) != deploy.CodeConflict {
			return aerr
		}
	}
}

// peek folds newer events without waiting for any.
func (d *drive) peek(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	err := d.catchUp(ctx)
	if code := deploy.CodeOf(err); code == deploy.CodeCancelled {
		return nil
	}
	return err
}

func outcomeEvent(index int, step deploy.Step, after deploy.Evidence, err error) deploy.Event {
	ev := deploy.Event{Kind: deploy.KindDone, Step: index, Evidence: &after}
	if err != nil {
		ev.Kind, ev.Err = deploy.KindFailed, stepError(err, step.Name(), subjectOf(step, after.Failures))
	}
	return ev
}

// subjectOf says what a failed step was about: of several hosts the one whose
// error is told.
func subjectOf(step deploy.Step, failures []deploy.HostFailure) string {
	if step.Slot != deploy.Main || len(failures) == 0 {
		return step.Subject()
	}
	worst := slices.IndexFunc(failures, func(f deploy.HostFailure) bool { return f.Err.Code == deploy.CodeUnhealthy })
	return string(failures[max(worst, 0)].Host)
}
