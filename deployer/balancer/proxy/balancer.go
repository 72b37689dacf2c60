package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// drainMargin is what the engine needs to see that a drain is over.
const drainMargin = 250 * time.Millisecond

// DefaultListen is the front door where the settings name none.
const DefaultListen = "0.0.0.0:8000"

type settings struct {
	Listen string `json:"listen"`
}

// balancer drives one route of the proxy process.
type balancer struct {
	client client
	target deploy.Target
	listen string
}

// New opens the route of t on the proxy that is controlled over socket; nothing
// is asked of it yet. The settings are {"listen": "host:port"}; without them
// DefaultListen. deploy.CodeInvalid for any other key or a bad address.
//
// The balancer's errors: deploy.CodeUnavailable when no proxy answers (Ensure
// starts one), deploy.CodeRefused when the listen address is taken or the step
// leaves nothing up, deploy.CodeInvalid when an address is wrong.
func New(socket string, t deploy.Target, s json.RawMessage) (deployer.Balancer, error) {
	set := settings{Listen: DefaultListen}
	if len(s) > 0 {
		if err := decodeStrict(s, &set); err != nil {
			return nil, invalidSettings(t, "takes only listen, such as {listen: "+DefaultListen+"}, not this: "+strings.TrimPrefix(err.Error(), "json: "), err)
		}
	}
	if err := checkAddress(set.Listen); err != nil {
		return nil, invalidSettings(t, fmt.Sprintf("listen %q %v; write it like %s", set.Listen, err, DefaultListen), nil)
	}
	return &balancer{client: newClient(socket), target: t, listen: set.Listen}, nil
}

// Route puts the step's table in force and reads it back.
func (b *balancer) Route(ctx context.Context, s deploy.Step) error {
	wanted := b.wanted(s)
	if err := b.client.put(ctx, order{route: wanted, drain: drainTime(s)}); err != nil {
		return b.wrap("route", err)
	}
	got, err := b.client.get(ctx, wanted.Name)
	if err != nil {
		return b.wrap("verify route", err)
	}
	if !got.same(wanted) || !got.Listening {
		return &deploy.Error{Code: deploy.CodeFailed, Op: "verify route", Subject: b.target.String(),
			Message: fmt.Sprintf("the proxy took the route but serves %v on %s: somebody else changes it too", got.Up, got.Listen)}
	}
	return nil
}

// Observe tells the proxy's own table and counts. A route that was never set is
// no error: nothing is up.
func (b *balancer) Observe(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	st, err := b.client.get(ctx, b.target.String())
	if err != nil && deploy.CodeOf(err) != deploy.CodeNotFound {
		return deploy.Evidence{}, b.wrap("observe route", err)
	}
	t := traffic(st, s.Targets)
	return deploy.Evidence{Traffic: &t, Note: closed(st, s)}, nil
}

// drainTime is how long tunnels and streams to what left may last: in a drain a
// little less than the step's time, so that their end is seen within it.
func drainTime(s deploy.Step) *time.Duration {
	if s.Op != deploy.OpDrain {
		return nil
	}
	d := s.Hold.D() - min(s.Hold.D()/10, drainMargin)
	return &d
}

// closed says of a drain what it had to close.
func closed(st status, s deploy.Step) string {
	var all cut
	for _, e := range s.Targets {
		if !e.Up {
			all = addressStatus{Cut: all}.plus(st.Addresses[e.Addr]).Cut
		}
	}
	if s.Op != deploy.OpDrain || all.Tunnels+all.Streams == 0 {
		return ""
	}
	return fmt.Sprintf("%d WebSockets and %d streams were still open after %s and were closed", all.Tunnels, all.Streams, all.After)
}

// traffic tells a route's status as evidence about the step's targets and every
// other address that receives requests or still has some in flight.
func traffic(st status, targets []deploy.Endpoint) deploy.Traffic {
	t := deploy.Traffic{
		Up:       st.Up,
		InFlight: map[string]int{},
		Counters: map[string]deploy.Counter{},
		Measured: true,
	}
	if st.Generation > 0 {
		t.Generation = strconv.FormatUint(st.Generation, 10)
	}
	told := slices.Concat(st.Up, st.Spare)
	for _, e := range targets {
		told = append(told, e.Addr)
	}
	for a, c := range st.Addresses {
		t.Counters[a] = c.Counter
		if c.InFlight > 0 {
			told = append(told, a)
		}
	}
	for _, a := range told {
		t.InFlight[a] = st.Addresses[a].InFlight
		if !slices.Contains(st.Up, a) {
			t.Down = append(t.Down, a)
		}
	}
	slices.Sort(t.Down)
	t.Down = slices.Compact(t.Down)
	return t
}

func (b *balancer) wanted(s deploy.Step) route {
	r := route{Name: b.target.String(), Listen: b.listen}
	for _, e := range s.Targets {
		switch {
		case e.Up:
			r.Up = append(r.Up, e.Addr)
		case e.Spare:
			r.Spare = append(r.Spare, e.Addr)
		}
	}
	return r.normal()
}

// wrap says for which route the proxy was asked; what it said stays.
func (b *balancer) wrap(op string, err error) error {
	e := *deploy.AsError(err)
	e.Op, e.Subject = op, b.target.String()
	return &e
}

func invalidSettings(t deploy.Target, message string, err error) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "open balancer", Subject: t.String(), Message: "balancer proxy " + message, Err: err}
}

// Dial connects from this machine, where the proxy runs too.
func (b *balancer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, &deploy.Error{Code: deploy.CodeUnavailable, Op: "dial", Subject: addr, Err: err}
	}
	return c, nil
}
