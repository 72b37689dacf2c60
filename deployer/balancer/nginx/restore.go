package nginx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ipublish/deploy"
)

// commandsLimit is what the commands of putting back may take besides the wait
// for the reload.
const commandsLimit = 10 * time.Second

// giveBack ends a failed switch: what was in force before is in force again, or
// the error is deploy.CodeHold. After a cancel, or when nginx or its host is
// gone, nothing is decided and the file stays as it is: a repeated step converges.
func (c *change) giveBack(ctx context.Context, cause error) error {
	undecided := errors.Is(ctx.Err(), context.Canceled) || ctx.Err() == nil && deploy.CodeOf(cause) == deploy.CodeUnavailable
	if undecided || !c.written && !c.reloaded {
		return cause
	}
	// The step's own deadline may have passed: putting back has its own.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.settings.ReloadTimeout.D()+commandsLimit)
	defer cancel()
	if err := c.restore(limited); err != nil {
		return &deploy.Error{Code: deploy.CodeHold, Err: errors.Join(cause, err), Message: fmt.Sprintf(
			"the switch failed (%s), and that the old table is back in force could not be shown (%s); look at nginx and at %s before going on",
			deploy.MessageOf(cause), deploy.MessageOf(err), c.settings.Include)}
	}
	return &deploy.Error{Code: deploy.CodeOf(cause), Err: cause,
		Message: deploy.MessageOf(cause) + ". The file and the table from before are in force"}
}

// errUnchanged: the file stood there before the switch already, so that putting
// it back says nothing about what nginx runs on.
var errUnchanged = errors.New("the file is the same as before the switch")

func (c *change) restore(ctx context.Context) error {
	if err := c.previous.replace(ctx, c.host, c.settings.Include); err != nil || !c.reloaded {
		return err
	}
	err := errUnchanged
	if !c.previous.is(c.content) {
		err = c.reloadPrevious(ctx)
	}
	if err == nil {
		return nil
	}
	// nginx will not take the old bytes now: enough that it never left the old table.
	now, lookErr := look(ctx, c.host, c.settings.PID, nil)
	if lookErr == nil && c.before.settled() && now.unchanged(c.before.processes) {
		return nil
	}
	return err
}

// reloadPrevious makes the old bytes be in force, proven by new workers and,
// where those bytes have a loopback server, by its answer.
func (c *change) reloadPrevious(ctx context.Context) error {
	if _, err := c.inspect(ctx); err != nil {
		return err
	}
	old, err := look(ctx, c.host, c.settings.PID, nil)
	if err != nil {
		return err
	}
	if err := c.tell(ctx); err != nil {
		return err
	}
	listen, want := promise(c.previous.Content, c.settings)
	_, err = c.await(ctx, c.asker.at(listen), func(v view) bool {
		return v.replaced(old) && (want.Generation == "" || v.Generation == want.Generation)
	})
	return err
}

// promise is where nginx gives which answer once it has loaded content; the zero
// answer if content has no loopback server of ipublish.
func promise(content []byte, s settings) (listen string, a answer) {
	listen = s.GenerationListen
	for _, d := range parseConfig(string(content)) {
		switch {
		case len(d.Words) == 2 && d.Words[0] == "listen" && checkLoopback(d.Words[1]) == nil:
			listen = d.Words[1]
		case len(d.Words) == 3 && d.Words[0] == "return":
			if said, ok := parseAnswer(d.Words[2], s.Upstream); ok {
				a = said
			}
		}
	}
	return listen, a
}
