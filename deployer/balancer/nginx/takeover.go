package nginx

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"ipublish/deploy"
)

// finding is what a survey found for the targets of a step.
type finding struct {
	survey
	obstacles []obstacle
}

// clashes reports whether ipublish's file would break the configuration at once.
func (f finding) clashes() bool { return f.reads && len(f.sameName()) > 0 }

// takeOver is the first switch of an environment. What keeps requests from going
// through ipublish is refused with the file in place where that is possible:
// nginx does not use it before the team's files do.
func (c *change) takeOver(ctx context.Context) error {
	// A file from an earlier attempt may be named in the team's files by now: it stays.
	if c.stand.Now.Present {
		c.previous, c.written, c.reloaded = c.stand.Now, false, false
	}
	found, err := c.find(ctx, c.targets, c.stand.Now)
	switch {
	case err != nil && !c.mayMend(err):
		return err
	case len(found.obstacles) > 0 && c.stand.Now.is(c.content):
		return c.refuseWaiting(found)
	case len(found.obstacles) > 0 && found.clashes():
		return c.refuseClash(found)
	case err == nil && c.inForce():
		return nil
	}
	return c.lay(ctx, found)
}

// lay writes the file and goes on unless the team's files stand in the way; was
// is what was found before. A file of an earlier attempt may name a slot that is
// no longer the running one: whoever obeys a refusal finds the table of this step.
func (c *change) lay(ctx context.Context, was finding) error {
	if err := c.write(ctx); err != nil {
		return c.giveBack(ctx, err)
	}
	found, err := c.find(ctx, c.targets, file{Present: true, Content: c.content})
	switch {
	case err == nil && len(found.obstacles) > 0:
		return c.refuseWaiting(found)
	case err == nil:
		err = c.reload(ctx)
	case deploy.CodeOf(err) == deploy.CodeRefused && len(was.obstacles) > 0:
		err = c.refuseClash(was)
	}
	if err != nil {
		return c.giveBack(ctx, err)
	}
	return nil
}

// find surveys what nginx reads; f is the include file as it stands.
func (b *balancer) find(ctx context.Context, targets []string, f file) (finding, error) {
	files, err := b.inspect(ctx)
	if err != nil {
		return finding{}, err
	}
	v := newSurvey(b.settings, files, f)
	k, err := b.lookAt(ctx, v.addrs(), targets)
	if err != nil {
		return finding{}, err
	}
	return finding{survey: v, obstacles: v.obstacles(targets, k)}, nil
}

// lookAt asks nginx's machine about the addresses that may be a target's: the
// ones with its port under another name.
func (b *balancer) lookAt(ctx context.Context, addrs, targets []string) (places, error) {
	ports := map[string]bool{}
	for _, t := range targets {
		_, port, _ := net.SplitHostPort(t)
		ports[port] = true
	}
	doubtful := slices.DeleteFunc(addrs, func(a string) bool {
		_, port, err := net.SplitHostPort(a)
		return err != nil || !ports[port] || slices.Contains(targets, a)
	})
	if len(doubtful) == 0 {
		return places{}, nil
	}
	return lookAround(ctx, b.host, hostNames(slices.Concat(doubtful, targets)))
}

// foreign is Foreign without the wrapping.
func (b *balancer) foreign(ctx context.Context, step deploy.Step) error {
	t, err := newTable(step.Targets)
	if err != nil {
		return err
	}
	st, err := readStand(ctx, b.host, b.settings)
	if err != nil {
		return err
	}
	found, err := b.find(ctx, t.all(), st.Now)
	content, _ := render(b.settings, t)
	switch {
	case err != nil && !st.Now.Present && b.awaited(err):
		return nil
	case err != nil || len(found.obstacles) == 0:
		return err
	case st.Now.is(content):
		return b.refuseWaiting(found)
	case found.clashes():
		return b.refuseClash(found)
	}
	return b.announce(found)
}

// awaited reports whether nginx only misses the file that the first Route writes.
func (b *balancer) awaited(err error) bool {
	said := stderrOf(err)
	return strings.Contains(said, fmt.Sprintf("host not found in upstream %q", b.settings.Upstream)) ||
		strings.Contains(said, fmt.Sprintf("open() %q failed (2:", b.settings.Include))
}

// refuseWaiting asks for the edit with the file in place.
func (b *balancer) refuseWaiting(f finding) error {
	return refused("not every request of %s/%s goes through ipublish yet. Change nginx's own files: %s. Then `%s`, and then `adopt %s %s`, or the deploy again. "+
		"%s is written and ready; nothing was switched, no user notices, and nginx may be reloaded at any time in between",
		b.target.App, b.target.Env, b.advise(f), strings.Join(b.settings.Test, " "), b.target.App, b.target.Env, b.settings.Include)
}

// refuseClash asks for the edit before the file can be written.
func (b *balancer) refuseClash(f finding) error {
	return refused("not every request of %s/%s goes through ipublish yet. First change nginx's own files: %s. "+
		"Then do not reload or restart nginx, which keeps running on what it has loaded, but `adopt %s %s`, or the deploy again. "+
		"%s is not written yet, because nginx would read it at once beside what stands there; nothing was switched, and no user notices",
		b.target.App, b.target.Env, b.advise(f), b.target.App, b.target.Env, b.settings.Include)
}

// announce says what the first Route will ask for.
func (b *balancer) announce(f finding) error {
	return refused("not every request of %s/%s goes through ipublish yet. First `adopt %s %s`, which writes %s and changes nothing for users. "+
		"Then change nginx's own files: %s. Then `%s`, and adopt again",
		b.target.App, b.target.Env, b.target.App, b.target.Env, b.settings.Include, b.advise(f), strings.Join(b.settings.Test, " "))
}

func (b *balancer) advise(f finding) string { return advise(f.obstacles, b.target.App) }

func refused(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeRefused, Message: fmt.Sprintf(format, args...)}
}
