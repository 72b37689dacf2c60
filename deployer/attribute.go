package deployer

import (
	"context"
	"fmt"
	"math"
	"net"
	"time"

	"ipublish/deploy"
)

// Probes of the old release, before the new one is blamed.
const (
	fewTries  = 2
	mostTries = 300
	// oftenFor bounds how long the old release is asked what failed now and then.
	oftenFor = 10 * time.Second
)

// attribute probes the old release before the new one is blamed, and asks it what
// users ask where they blame the new one: if it fails as well, going back would
// help nobody.
func (x *effects) attribute(ctx context.Context, verdict error, bl *blame) error {
	plan := x.drive.st.Plan
	switch {
	case deploy.CodeOf(verdict) != deploy.CodeUnhealthy:
		return verdict
	case x.settings.Rolling != nil:
		return x.attributeHosts(ctx, verdict, bl)
	case plan.OldSlot == "":
		return verdict
	}
	for _, h := range x.settings.Hosts {
		host, err := x.host(h.ID)
		if err == nil {
			err = x.confirmed(ctx, host, plan)
		}
		if err == nil {
			err = x.faultless(ctx, host, x.settings.BlueGreen.Port(plan.OldSlot), bl)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return &deploy.Error{Code: deploy.CodeHold, Log: logOf(verdict), Err: verdict,
				Message: fmt.Sprintf("%s; the old release on %s fails as well (%s), so going back would not help", deploy.MessageOf(verdict), plan.OldSlot, deploy.MessageOf(err))}
		}
	}
	return verdict
}

// attributeHosts probes a host that still serves the old release.
func (x *effects) attributeHosts(ctx context.Context, verdict error, bl *blame) error {
	for _, id := range x.drive.st.Untouched() {
		h, err := x.host(id)
		if err == nil {
			err = x.passesAs(ctx, h, x.settings.Rolling.Port)
		}
		if err == nil {
			err = x.faultless(ctx, h, x.settings.Rolling.Port, bl)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && x.away(ctx, id) {
			continue
		}
		if err != nil {
			return &deploy.Error{Code: deploy.CodeHold, Log: logOf(verdict), Err: verdict,
				Message: fmt.Sprintf("%s; %s, which still runs the old release, fails as well (%s), so going back would not help", deploy.MessageOf(verdict), id, deploy.MessageOf(err))}
		}
		return verdict
	}
	return verdict
}

// confirmed probes the old slot, twice before it is called bad.
func (x *effects) confirmed(ctx context.Context, h Host, plan *deploy.Plan) (err error) {
	addr := localAddress(x.settings.BlueGreen.Port(plan.OldSlot))
	for range fewTries {
		if _, err = probeHealth(ctx, h, addr, x.settings.Health, plan.Old); err == nil {
			return nil
		}
	}
	return err
}

func localAddress(port int) string { return "127.0.0.1:" + portText(port) }

// faultless asks a port of the old release what users ask, often enough to see a
// fault that shows now and then, and says how it fails if it does so about as
// often as the new one.
func (x *effects) faultless(ctx context.Context, h Host, port int, bl *blame) error {
	if x.settings.Verify == nil || bl == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, oftenFor)
	defer cancel()
	d := behind(*x.settings.Verify, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return h.Dial(ctx, network, localAddress(port))
	})
	asked, bad := 0, 0
	var last error
	for range bl.tries() {
		err := d.Once(ctx)
		if ctx.Err() != nil {
			break
		}
		if asked++; bl.likewise(err) {
			bad, last = bad+1, err
		}
	}
	if bad == 0 || bad < bl.asOften(asked) {
		return nil
	}
	return last
}

// tries is how many probes of the old release show whether it fails as often.
func (b *blame) tries() int {
	if b.share >= burstShare || b.share <= 0 {
		return fewTries
	}
	return min(int(math.Ceil(6/b.share)), mostTries)
}

// burstShare is from when on it is no matter of chance any more.
const burstShare = 0.5

// asOften is how many failures among so many tries are no fewer, by and large,
// than the new release had: half of them; all, where it fails nearly always.
func (b *blame) asOften(tries int) int {
	if b.share >= burstShare || b.share <= 0 {
		return tries
	}
	return int(math.Ceil(b.share / 2 * float64(tries)))
}

// likewise reports whether the old release fails its users too. What it says only
// to who asks it past the balancer, such as a redirect to https, is no failure.
func (b *blame) likewise(err error) bool {
	if err == nil {
		return false
	}
	switch kind := deploy.AsError(err).Subject; kind {
	case "5xx", "refused", "timeout", "cut":
		return true
	default:
		return b.cause != nil && kind == deploy.AsError(b.cause).Subject
	}
}
