package deployer

import (
	"context"
	"crypto/tls"
	"time"

	"ipublish/deploy"
)

// What the tests of the package reach: the real hosts that they need import it.
var (
	BusyConnections = busyConnections
	CountSS         = countSS
	Fence           = fence
)

// StageOn uploads a release from these artifacts unless the host has it.
func StageOn(ctx context.Context, artifacts Artifacts, h Host, s deploy.Step) (bool, error) {
	x := &effects{engine: New(Options{Artifacts: artifacts})}
	return x.stageOn(ctx, h, s)
}

// ProbeFor probes a door for so long and gives what was seen.
func ProbeFor(ctx context.Context, d Door, v deploy.Verify, long time.Duration) []deploy.Window {
	l := &lookout{news: make(chan struct{}, 1), sees: true, window: deploy.Window{When: deploy.Before, From: time.Now()}}
	ctx, stop := context.WithTimeout(ctx, long)
	defer stop()
	newProber(d, v, l).run(ctx)
	return l.take()
}

// TrustingDoor is a door that trusts what a test's server shows.
func TrustingDoor(v deploy.Verify, trust *tls.Config) Door {
	d := doorTo(v, dialing(""))
	d.kept.trust = trust.RootCAs
	return d
}
