package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxyapi"
)

const (
	followEvery  = 50 * time.Millisecond
	followLimit  = time.Minute
	putBackLimit = 10 * time.Second
	promptLimit  = time.Second // to put back after the caller left
)

// change is one Route, judged and ready to be applied.
type change struct {
	*balancer
	ready []move // servers that are to be up and are drained
	drain []move // servers that are to be down and are not drained
	up    []move // every server that is to be up
	done  []move // what may have been applied
	saved bool   // the state file may tell of it
}

// move is one server of one HAProxy on its way to a state.
type move struct {
	door   *haproxyapi.API
	server haproxyapi.Server
	to     string
}

func (m move) make(ctx context.Context) error {
	return m.door.SetState(ctx, m.server.Backend, m.server.Name, m.to)
}

// back is the move that undoes it.
func (m move) back() move {
	m.to = map[string]string{haproxyapi.Ready: haproxyapi.Drain, haproxyapi.Drain: haproxyapi.Ready}[m.to]
	return m
}

// plan reads what is so and judges whether it may be changed; it changes nothing.
func (b *balancer) plan(ctx context.Context, step deploy.Step) (*change, error) {
	up := slices.ContainsFunc(step.Targets, func(e deploy.Endpoint) bool { return e.Up })
	if step.Op == deploy.OpRoute && !up {
		return nil, &deploy.Error{Code: deploy.CodeRefused, Message: "no target is up: no server would receive requests and every request would fail; nothing was changed"}
	}
	views, err := b.look(ctx)
	if err != nil {
		return nil, err
	}
	c := &change{balancer: b}
	for _, v := range views {
		if err := c.add(v, step); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add plans what one HAProxy has to change.
func (c *change) add(v view, step deploy.Step) error {
	named := map[string]deploy.Endpoint{}
	for _, e := range step.Targets {
		s, err := v.find(e, c.settings.Backend)
		if err != nil {
			return err
		}
		if other, twice := named[s.Subject()]; twice {
			return unknown(e, "%s at %s and %s at %s are the same server %s for HAProxy: give each a label `haproxy` of its own, or none, so that it is found by its address", other.Host, other.Addr, e.Host, e.Addr, s.Subject())
		}
		named[s.Subject()] = e
		if err := c.place(move{door: v.door, server: s}, e.Up); err != nil {
			return err
		}
	}
	if step.Op == deploy.OpRoute && step.First {
		return v.onlyThese(named)
	}
	return nil
}

// place puts a server where it belongs in the plan. One in maintenance receives
// nothing and stays as somebody left it.
func (c *change) place(m move, up bool) error {
	drained := m.server.Admin.Has(haproxyapi.ForcedDrain)
	if up {
		m.to = haproxyapi.Ready
		c.up = append(c.up, m)
		if drained {
			c.ready = append(c.ready, m)
		}
		return kept(m)
	}
	if m.to = haproxyapi.Drain; !drained && !m.server.Admin.Has(haproxyapi.ForcedMaint) {
		c.drain = append(c.drain, m)
	}
	return nil
}

// kept is the error of a server that is to be up and that somebody keeps out.
func kept(m move) error {
	var message string
	switch s := m.server; {
	case s.Admin.Has(haproxyapi.ConfiguredMaint) && s.Admin.Has(haproxyapi.ForcedMaint):
		message = fmt.Sprintf("haproxy.cfg has %s disabled, so it was not put into traffic: when it may serve, take the word `disabled` from its line and reload HAProxy, then repeat", s.Subject())
	case s.Admin.Has(haproxyapi.ForcedMaint):
		message = fmt.Sprintf("somebody put %s into maintenance in HAProxy, so it was not put into traffic: when it may serve, `echo set server %s state drain | socat stdio %s`, then repeat", s.Subject(), s.Subject(), m.door.Socket())
	case s.Admin.Has(haproxyapi.InheritedMaint | haproxyapi.InheritedDrain):
		message = fmt.Sprintf("%s follows %s in HAProxy (track), which is out of traffic: put that one in, or let the host's label `haproxy` name it", s.Subject(), s.Tracks)
	case s.Weight == 0:
		message = fmt.Sprintf("%s has weight 0 in HAProxy, by which it gets no requests: when it may serve, `echo set server %s weight 100%% | socat stdio %s`, or give it a weight in haproxy.cfg, then repeat", s.Subject(), s.Subject(), m.door.Socket())
	default:
		return nil
	}
	return &deploy.Error{Code: deploy.CodeDrift, Op: "ready", Subject: m.server.Subject(), Message: message}
}

// onlyThese refuses when other servers of the same backends get requests.
func (v view) onlyThese(named map[string]deploy.Endpoint) error {
	backends := map[string]bool{}
	for subject := range named {
		backend, _, _ := strings.Cut(subject, "/")
		backends[backend] = true
	}
	var others []haproxyapi.Server
	for _, s := range v.servers {
		if _, ours := named[s.Subject()]; !ours && backends[s.Backend] && s.Receives {
			others = append(others, s)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf("other servers of the backend get requests past ipublish, so nothing was switched: %s. Add them to the hosts, drain them or take them out of haproxy.cfg, then repeat", list(others))}
}

// apply makes it so, or what was before.
func (c *change) apply(ctx context.Context) error {
	if err := c.make(ctx); err != nil {
		return c.putBack(ctx, err)
	}
	return nil
}

func (c *change) make(ctx context.Context) error {
	if err := c.run(ctx, c.ready); err != nil {
		return err
	}
	if len(c.drain) > 0 && len(c.up) > 0 {
		if err := c.follow(ctx); err != nil {
			return err
		}
	}
	if err := c.run(ctx, c.drain); err != nil {
		return err
	}
	return c.save(ctx)
}

func (c *change) run(ctx context.Context, moves []move) error {
	for _, m := range moves {
		err := m.make(ctx)
		if err == nil || unanswered(err) {
			c.done = append(c.done, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unanswered reports whether what failed may happen all the same, also later.
func unanswered(err error) bool { return errors.Is(err, haproxyapi.ErrUnanswered) }

// follow waits until HAProxy sends requests to every server that is to be up.
func (c *change) follow(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var late error
	for {
		views, err := c.look(limited)
		if err != nil && (limited.Err() == nil || late == nil) {
			return err
		}
		if err == nil {
			late = c.late(views)
		}
		if late == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return late
		case <-tick.C:
		}
	}
}

// late is the error of the first server that does not receive requests yet.
func (c *change) late(views []view) error {
	for _, m := range c.up {
		for _, v := range views {
			for _, s := range v.servers {
				if v.door == m.door && s.Subject() == m.server.Subject() && !s.Receives {
					return &deploy.Error{Code: deploy.CodeUnhealthy, Op: "ready", Subject: s.Subject(), Message: fmt.Sprintf(
						"HAProxy sends no requests to %s, which is to take over: its state is %s, its check says %q. Look at `check` and `option httpchk` of its backend", s.Subject(), s.Status, s.CheckStatus)}
				}
			}
		}
	}
	return nil
}

// putBack undoes what was done, last first, also when the caller left. Where
// HAProxy did not answer, or the caller left, nothing is decided: the step, or
// one the other way, may be run again.
func (c *change) putBack(ctx context.Context, cause error) error {
	limit := putBackLimit
	if ctx.Err() != nil {
		limit = promptLimit
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := c.undo(limited, cause)
	if err == nil || ctx.Err() != nil || deploy.CodeOf(cause) == deploy.CodeUnavailable {
		return cause
	}
	return &deploy.Error{Code: deploy.CodeHold, Op: "restore", Err: errors.Join(cause, err), Message: fmt.Sprintf(
		"HAProxy could not be brought back to what was in force before (%s): look at `show servers state` and set each server's state by hand", deploy.MessageOf(err))}
}

// undo drains nobody while a drain may still happen: the two together would
// leave nobody up.
func (c *change) undo(ctx context.Context, cause error) error {
	failed := error(nil)
	for _, m := range slices.Backward(c.done) {
		if m.to == haproxyapi.Ready && (failed != nil || unanswered(cause)) {
			continue
		}
		failed = errors.Join(failed, m.back().make(ctx))
	}
	if failed == nil && c.saved {
		return c.save(ctx)
	}
	return failed
}
