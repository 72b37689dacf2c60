package deployer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ipublish/deploy"
)

// atOnce is how many hosts are worked on at the same time within one step.
const atOnce = 32

// eachHost runs work on every host, many at once, and returns the results sorted
// by host. Where it failed the error is that of the first host whose release is
// to blame, else of the first host, and hostFailures finds all of them in it.
func eachHost[T any](ctx context.Context, hosts []deploy.HostID, work func(context.Context, deploy.HostID) (T, error)) ([]T, error) {
	type result struct {
		host  deploy.HostID
		value T
		err   error
	}
	results := make([]result, len(hosts))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, id := range hosts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			v, err := work(ctx, id)
			results[i] = result{id, v, err}
		})
	}
	wg.Wait()
	slices.SortStableFunc(results, func(a, b result) int { return cmp.Compare(a.host, b.host) })
	values := make([]T, 0, len(results))
	var failed hostErrors
	for _, r := range results {
		if r.err != nil {
			failed = append(failed, deploy.HostFailure{Host: r.host, Err: onHost(r.host, r.err)})
			continue
		}
		values = append(values, r.value)
	}
	if len(failed) > 0 {
		return nil, failed.first()
	}
	return values, nil
}

// onHost gives an error the host that it happened on.
func onHost(id deploy.HostID, err error) *deploy.Error {
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "on", Subject: string(id), Message: deploy.MessageOf(err), Log: logOf(err), Err: err}
}

// hostErrors are what went wrong on several hosts, sorted by host.
type hostErrors []deploy.HostFailure

// Error gives the first one.
func (e hostErrors) Error() string { return e[0].Err.Error() }

// first is the error that stands for all.
func (e hostErrors) first() error {
	worst := slices.IndexFunc(e, func(f deploy.HostFailure) bool { return f.Err.Code == deploy.CodeUnhealthy })
	f := e[max(worst, 0)]
	return &deploy.Error{Code: f.Err.Code, Op: f.Err.Op, Subject: f.Err.Subject, Message: f.Err.Message, Log: f.Err.Log, Err: errors.Join(f.Err.Err, e)}
}

// hostFailures are what went wrong on each host, where that is known.
func hostFailures(err error) []deploy.HostFailure {
	var all hostErrors
	errors.As(err, &all)
	return all
}

// patience is how long a host of a rolling plan may not be reached; 0 of others.
func (x *effects) patience() time.Duration {
	if x.settings.Rolling == nil {
		return 0
	}
	return x.settings.Rolling.UnreachableAfter.D()
}

// patiently repeats what could not be reached for as long as the plan waits for a
// host: in a rolling plan until it counts as unreachable, else until ctx ends.
func (x *effects) patiently(ctx context.Context, effect func(context.Context) error) error {
	if x.settings.Rolling == nil {
		return retry(ctx, effect)
	}
	until := time.Now().Add(x.patience())
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := effect(ctx)
		left := time.Until(until)
		if !passing(err) || ctx.Err() != nil || left <= 0 || !wait(ctx, min(pause, left)) {
			return err
		}
	}
}
