package nginx

import (
	"context"
	"encoding/json"
	"net"
	"slices"

	"ipublish/deploy"
	"ipublish/deployer"
)

// previousLimit is how much of the managed file goes into evidence.
const previousLimit = 64 << 10

type balancer struct {
	target   deploy.Target
	settings settings
	host     deployer.Host
	asker    asker
}

// New opens the balancer of target t from its section balancer.nginx; host is
// the machine that nginx runs on (HostName). It does no I/O.
// deploy.CodeInvalid for a section that cannot be right, with what to write.
func New(section json.RawMessage, t deploy.Target, host deployer.Host) (deployer.Balancer, error) {
	s, err := readSettings(section)
	if err != nil {
		return nil, err
	}
	if err := s.check(t); err != nil {
		return nil, err
	}
	return &balancer{target: t, settings: s, host: host, asker: newAsker(s, host)}, nil
}

// HostName gives the host of a section, "local" by default, so that New can be
// given the right one. deploy.CodeInvalid for a section that cannot be read.
func HostName(section json.RawMessage) (string, error) {
	s, err := readSettings(section)
	return s.Host, err
}

// Dial connects from nginx's host, as deployer.Host.Dial does.
func (b *balancer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return b.host.Dial(ctx, network, addr)
}

// Route makes exactly the Up targets of step receive new requests: it writes
// the include file, tests, reloads, and returns once nginx itself answers the
// new generation and no older worker accepts connections. It blocks for about
// 200 ms, at most for the key reload_timeout and, to put back what was, as long
// again and 10 s; a table in force already costs no reload.
//
// The first time, with step.First or without step.Known, requests must also have
// no way past ipublish: when the team's own files send them to a target by
// another upstream, straight or by stream, or nobody is known to proxy to the
// upstream, that is deploy.CodeRefused with the lines to change, and the file is
// in place already, with the table of this step, so that the edit can be made and
// tested in one go. Where nginx would read it at once
// beside an upstream of the same name, it is not written.
//
// deploy.CodeRefused without an Up target, or when the upstream stands in
// another file or nginx does not read ours; deploy.CodeDrift when the file was
// edited; deploy.CodeFailed when nginx did not take the table, with the old one
// back in force; deploy.CodeHold when that could not be shown;
// deploy.CodeUnavailable when nginx does not run or its host does not answer,
// deploy.CodeCancelled when ctx was cancelled: then nothing is decided, and the
// step, or one with another table, can be run again.
func (b *balancer) Route(ctx context.Context, step deploy.Step) error {
	c, err := b.plan(ctx, step)
	if err == nil {
		err = c.apply(ctx)
	}
	return b.wrap(ctx, "route", err)
}

// Foreign reports what keeps nginx from sending every request for step.Targets
// through ipublish, as the first Route does, and changes nothing. nil: nothing,
// or nginx only waits for the first Route to write the upstream.
// deploy.CodeRefused with the lines to change in the message; deploy.CodeFailed
// when nginx refuses its configuration; deploy.CodeUnavailable when its host
// does not answer. It blocks for two or three commands on that host.
func (b *balancer) Foreign(ctx context.Context, step deploy.Step) error {
	return b.wrap(ctx, "check", b.foreign(ctx, step))
}

// Observe tells who receives traffic by nginx's own answer, never by the file.
// Up and Down are empty while nginx has no upstream of ipublish. InFlight holds
// the addresses that receive no new requests: 0 says that no worker older than
// the switch is alive or that none has a connection there, -1 that a reload is
// under way. deploy.CodeUnavailable when nginx does not run.
func (b *balancer) Observe(ctx context.Context, step deploy.Step) (deploy.Evidence, error) {
	traffic, err := b.traffic(ctx, step)
	if err != nil {
		return deploy.Evidence{}, b.wrap(ctx, "observe", err)
	}
	return deploy.Evidence{Traffic: traffic}, nil
}

func (b *balancer) traffic(ctx context.Context, step deploy.Step) (*deploy.Traffic, error) {
	next, err := newTable(step.Targets)
	if err != nil {
		return nil, err
	}
	ans, err := b.asker.ask(ctx)
	if err != nil {
		return nil, err
	}
	st, err := readStand(ctx, b.host, b.settings)
	if err != nil {
		return nil, err
	}
	inFlight, err := b.inFlight(ctx, ans, next)
	if err != nil {
		return nil, err
	}
	t := &deploy.Traffic{Up: ans.Table.up(), Down: ans.Table.down(), Generation: ans.Generation, InFlight: inFlight}
	b.describe(t, st, step.Known, next)
	return t, nil
}

// describe fills in what the managed file says.
func (b *balancer) describe(t *deploy.Traffic, st stand, known string, next table) {
	t.File = b.settings.Include
	t.SHA256 = st.Now.sum()
	t.Previous = st.Now.Content[:min(len(st.Now.Content), previousLimit)]
	judged := known != "" || len(next) > 0
	want, _ := render(b.settings, next)
	t.Edited = judged && !st.ours(known) && !(len(next) > 0 && st.Now.is(want))
}

// inFlight looks at every address that is not up: those nginx knows and those of the step.
func (b *balancer) inFlight(ctx context.Context, ans answer, next table) (map[string]int, error) {
	up := ans.Table.up()
	var addrs []string
	for _, s := range slices.Concat(ans.Table, next) {
		if !slices.Contains(up, s.Addr) && !slices.Contains(addrs, s.Addr) {
			addrs = append(addrs, s.Addr)
		}
	}
	peers := make([]peer, len(addrs))
	for i, a := range addrs {
		var err error
		if peers[i], err = resolve(ctx, b.host, a); err != nil {
			return nil, err
		}
	}
	p, err := look(ctx, b.host, b.settings.PID, addrs)
	if err != nil || len(addrs) == 0 {
		return nil, err
	}
	counts := make(map[string]int, len(addrs))
	for i, a := range addrs {
		counts[a] = p.inFlight(peers[i])
	}
	return counts, nil
}

// wrap names the operation and its subject; a context that ended decides the code
// unless the outcome is known.
func (b *balancer) wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &deploy.Error{Code: deploy.CodeOf(err), Op: op, Subject: "nginx upstream " + b.settings.Upstream, Err: err}
	if e.Code != deploy.CodeHold && ctx.Err() != nil {
		e.Code = deploy.CodeOf(ctx.Err())
	}
	return e
}
