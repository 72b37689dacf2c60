package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"ipublish/deploy"
)

// elderPatience is how long a process that is ending may take to answer: nothing
// else can be asked or changed meanwhile.
const elderPatience = 500 * time.Millisecond

// counts are what happened at the addresses of one route.
type counts map[string]addressStatus

func (c counts) add(more counts) {
	for a, s := range more {
		c[a] = c[a].plus(s)
	}
}

// elder is a process that handed over and still answers the clients that were
// connected to it. It follows every change of its routes, and what it counts is
// part of what this process tells.
type elder struct {
	PID    int               `json:"pid"`
	Socket string            `json:"socket"`
	Seen   map[string]counts `json:"seen"` // what it said last

	silence error // why it does not answer; nil: it does
}

// estate is what an elder counted until its end.
type estate struct {
	PID    int               `json:"pid"`
	Counts map[string]counts `json:"counts"`
}

// elders are those that live, and what the dead counted. The registry's lock
// guards them.
type elders struct {
	log    *slog.Logger
	living []*elder
	past   map[string]counts
}

// put has every elder follow, before the change is in force here. On an error
// some may follow already: the change is to be repeated.
func (e *elders) put(o order) error {
	silent := e.each(func(ctx context.Context, _ *elder, c client) error { return c.follow(ctx, o) })
	if len(silent) > 0 {
		return silent[0].unanswered()
	}
	return nil
}

// add adds to a route's status what the elders see and saw. Of one that does not
// answer it is what it said last; only one that never said anything of the route
// is an error, for nobody knows what is in flight there.
func (e *elders) add(s status) error {
	silent := e.each(func(ctx context.Context, x *elder, c client) error {
		got, err := c.get(ctx, s.Name)
		if err == nil || deploy.CodeOf(err) == deploy.CodeNotFound {
			x.Seen[s.Name] = got.Addresses
		}
		return err
	})
	for _, x := range silent {
		if _, heard := x.Seen[s.Name]; !heard {
			return x.unanswered()
		}
	}
	into := counts(s.Addresses)
	into.add(e.past[s.Name])
	for _, x := range e.living {
		into.add(x.Seen[s.Name])
	}
	return nil
}

// each asks every elder that lives, all at once, and returns those that did not
// answer in time; one that is dead leaves what was seen of it.
func (e *elders) each(ask func(context.Context, *elder, client) error) (silent []*elder) {
	asked := slices.Clone(e.living)
	answers := make([]error, len(asked))
	ctx, cancel := context.WithTimeout(context.Background(), elderPatience)
	defer cancel()
	var all sync.WaitGroup
	for i, x := range asked {
		all.Go(func() { answers[i] = ask(ctx, x, newClient(x.Socket)) })
	}
	all.Wait()
	for i, x := range asked {
		switch err := answers[i]; {
		case err == nil, deploy.CodeOf(err) == deploy.CodeNotFound:
			x.silence = nil
		case dead(err):
			e.bury(estate{PID: x.PID, Counts: x.Seen})
			_ = os.Remove(x.Socket) // it could not
		default:
			e.fallSilent(x, err)
			silent = append(silent, x)
		}
	}
	return silent
}

// fallSilent notes that an elder does not answer, and tells it once.
func (e *elders) fallSilent(x *elder, err error) {
	if x.silence == nil {
		e.log.Warn("the proxy that was replaced does not answer: what it said last counts", "process", x.PID, "error", err)
	}
	x.silence = err
}

func (x *elder) unanswered() error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: "ask proxy", Subject: x.Socket, Err: x.silence,
		Message: fmt.Sprintf("the proxy that was replaced, process %d, does not answer while it serves its last clients: end it with `kill %d` if this lasts", x.PID, x.PID)}
}

// dead reports whether nobody listens on an elder's socket any more.
func dead(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// ended is what is left of a process that ends: nothing is in flight there.
func ended(seen map[string]counts) map[string]counts {
	for _, c := range seen {
		for a, s := range c {
			s.InFlight = 0
			c[a] = s
		}
	}
	return seen
}

// bury takes the estate of an elder that lived until now; one that is not known
// left it already.
func (e *elders) bury(left estate) {
	i := slices.IndexFunc(e.living, func(x *elder) bool { return x.PID == left.PID })
	if i < 0 {
		return
	}
	e.living = slices.Delete(e.living, i, i+1)
	for name, c := range ended(left.Counts) {
		if e.past[name] == nil {
			e.past[name] = counts{}
		}
		e.past[name].add(c)
	}
}

// end tells the elders that the proxy ends: there is no successor to wait for.
func (e *elders) end() {
	for _, x := range e.living {
		ctx, cancel := context.WithTimeout(context.Background(), elderPatience)
		_ = newClient(x.Socket).end(ctx) // one that cannot be reached ends by itself
		cancel()
	}
}
